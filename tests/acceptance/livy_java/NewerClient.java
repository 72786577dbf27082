package example;

import com.esotericsoftware.kryo.Kryo;
import com.esotericsoftware.kryo.io.Input;
import com.esotericsoftware.kryo.io.Output;
import com.esotericsoftware.kryo.serializers.ClosureSerializer;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.Base64;
import org.apache.livy.Job;
import org.objenesis.strategy.StdInstantiatorStrategy;

/** Sends jobs as clients from 0.8 on do, which are on no registry: by Kryo 4, lambdas too. To the newest session. */
class NewerClient {
  private final HttpClient http = HttpClient.newHttpClient();
  private final ObjectMapper json = new ObjectMapper();
  private final URI gateway;
  private final int session;

  NewerClient(URI gateway) throws Exception {
    this.gateway = gateway;
    JsonNode sessions = ask(HttpRequest.newBuilder(gateway.resolve("/sessions"))).get("sessions");
    this.session = sessions.get(sessions.size() - 1).get("id").asInt();
  }

  int session() {
    return session;
  }

  /** The job's result. */
  <T> T call(Job<T> job) throws Exception {
    Output output = new Output(1024, -1);
    kryo().writeClassAndObject(output, job);
    String text = Base64.getEncoder().encodeToString(output.toBytes());
    String body = json.createObjectNode().put("job", text).put("jobType", "spark").toString();
    URI jobs = gateway.resolve("/sessions/" + session + "/");
    int id = ask(HttpRequest.newBuilder(jobs.resolve("submit-job")).POST(HttpRequest.BodyPublishers.ofString(body)))
        .get("id").asInt();
    JsonNode status;
    do {
      status = ask(HttpRequest.newBuilder(jobs.resolve("jobs/" + id)));
    } while (status.get("state").asText().matches("QUEUED|STARTED"));
    if (!status.get("state").asText().equals("SUCCEEDED")) {
      throw new IllegalStateException(status.toString());
    }
    @SuppressWarnings("unchecked")
    T result = (T) kryo().readClassAndObject(new Input(Base64.getDecoder().decode(status.get("result").asText())));
    return result;
  }

  private JsonNode ask(HttpRequest.Builder request) throws Exception {
    return json.readTree(http.send(request.build(), HttpResponse.BodyHandlers.ofString()).body());
  }

  private static Kryo kryo() {
    Kryo kryo = new Kryo();
    kryo.setInstantiatorStrategy(new Kryo.DefaultInstantiatorStrategy(new StdInstantiatorStrategy()));
    kryo.register(java.lang.invoke.SerializedLambda.class);
    kryo.register(ClosureSerializer.Closure.class, new ClosureSerializer());
    return kryo;
  }
}
