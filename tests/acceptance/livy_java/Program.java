package example;

import java.io.File;
import java.net.URI;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CancellationException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.apache.livy.JobHandle;
import org.apache.livy.LivyClient;
import org.apache.livy.LivyClientBuilder;

/**
 * A user's program of jobs. It prints one line for each thing it learns: a name, a tab, and what it saw.
 *
 * <p>Arguments: the gateway's address, the jar of the jobs, a jar to add, a file to upload, a file to add.
 */
public class Program {
  private static final long PATIENCE = 120; // seconds

  public static void main(String[] arguments) throws Exception {
    URI gateway = new URI(arguments[0]);
    LivyClient client = client(gateway);
    Future<?> uploaded = client.uploadJar(new File(arguments[1]));
    say("queued while starting", client.submit(new Jobs.Echo<>("yes")));
    say("upload", uploaded);
    results(client);
    errors(client);
    together(client);
    files(client, new File(arguments[2]), new File(arguments[3]), new File(arguments[4]));
    context(client);
    for (String how : Arrays.asList("spark", "sleep", "loop", "stubborn")) {
      cancel(client, how);
    }
    listener(client);
    NewerClient newer = new NewerClient(gateway);
    newer(newer);
    attached(gateway.resolve("/sessions/" + newer.session()));
    client.stop(true);
    say("session", newer.session());
  }

  private static LivyClient client(URI address) throws Exception {
    return new LivyClientBuilder()
        .setURI(address)
        .setConf("spark.ui.enabled", "false")
        .setConf("livy.client.http.job.max-poll-interval", "100ms")
        .build();
  }

  private static void results(LivyClient client) {
    say("null", client.submit(new Jobs.Echo<>(null)));
    say("text", client.submit(new Jobs.Echo<>("zwölf \"Boxkämpfer\" 日本")));
    say("number", client.submit(new Jobs.Echo<>(Long.MIN_VALUE)));
    say("list", client.submit(new Jobs.Echo<>(new ArrayList<>(Arrays.asList(1, "two", 3.0, null)))));
    say("report", client.submit(new Jobs.Echo<>(new Jobs.Report("sent", "x", "y"))));
    say("made report", client.submit(new Jobs.MakeReport()));
    say("rdd", client.submit(new Jobs.SumOfSquares(100)));
    say("dataset", client.submit(new Jobs.LongWords()));
    say("run", client.run(new Jobs.Echo<>("by run")));
    say("big", () -> get(client.submit(new Jobs.Echo<>(new byte[5_000_000]))).length);
  }

  private static void errors(LivyClient client) {
    say("failure", client.submit(new Jobs.Fail()));
    say("unwritable", client.submit(new Jobs.Unwritable()));
    say("after failures", client.submit(new Jobs.Echo<>("works")));
  }

  private static void together(LivyClient client) {
    List<Future<?>> met = new ArrayList<>();
    for (int each = 0; each < 3; each++) {
      met.add(client.submit(new Jobs.Meet()));
    }
    say("together", () -> "" + get(met.get(0)) + get(met.get(1)) + get(met.get(2)));
  }

  private static void files(LivyClient client, File jar, File uploaded, File added) {
    say("without the jar", client.submit(new Jobs.Greet()));
    say("add jar", client.addJar(jar.toURI()));
    say("with the jar", client.submit(new Jobs.Greet()));
    say("upload file", client.uploadFile(uploaded));
    say("uploaded file", client.submit(new Jobs.ReadFile(uploaded.getName())));
    say("add file", client.addFile(added.toURI()));
    say("added file", client.submit(new Jobs.ReadFile(added.getName())));
    say("add what is not there", client.addFile(new File(added + ".not").toURI()));
  }

  private static void context(LivyClient client) {
    say("not shared", client.submit(new Jobs.Share("get")));
    say("share", client.submit(new Jobs.Share("set")));
    say("shared", client.submit(new Jobs.Share("get")));
    say("removed", client.submit(new Jobs.Share("remove")));
    say("removed again", client.submit(new Jobs.Share("remove")));
    say("context", client.submit(new Jobs.Tour()));
  }

  private static void cancel(LivyClient client, String how) throws Exception {
    long before = watch(client)[0];
    JobHandle<String> endless = client.submit(new Jobs.Endless(how));
    while (watch(client)[0] == before) {
      Thread.onSpinWait();
    }
    long asked = System.nanoTime();
    endless.cancel(true);
    say("cancel " + how, endless);
    say("seconds " + how, (System.nanoTime() - asked) / 1e9);
    long after = watch(client)[0];
    long[] seen = watch(client);
    for (int look = 0; look < 50 && seen[1] > 0; look++) {
      seen = watch(client);
    }
    say("turns after " + how, seen[0] - after);
    say("jobs after " + how, seen[1]);
  }

  private static long[] watch(LivyClient client) throws Exception {
    return get(client.submit(new Jobs.Watch()));
  }

  private static void listener(LivyClient client) throws Exception {
    List<String> events = new ArrayList<>();
    JobHandle<String> handle = client.submit(new Jobs.Echo<>("done"));
    handle.addListener(
        new JobHandle.Listener<String>() {
          @Override
          public void onJobQueued(JobHandle<String> job) {}

          @Override
          public void onJobStarted(JobHandle<String> job) {}

          @Override
          public void onJobCancelled(JobHandle<String> job) {
            events.add("cancelled");
          }

          @Override
          public void onJobFailed(JobHandle<String> job, Throwable cause) {
            events.add("failed " + cause);
          }

          @Override
          public void onJobSucceeded(JobHandle<String> job, String result) {
            events.add("succeeded " + result);
          }
        });
    get(handle);
    say("listener", events + " " + handle.getState());
  }

  /** What a client from 0.8 on sends and reads. */
  private static void newer(NewerClient newer) {
    say("lambda", () -> newer.call(Jobs.timesThree(6)));
    say("newer report", () -> newer.call(new Jobs.Echo<>(new Jobs.Report("sent", "x", "y"))));
    say("newer made report", () -> newer.call(new Jobs.MakeReport()));
  }

  private static void attached(URI session) throws Exception {
    LivyClient second = client(session);
    say("attached", second.submit(new Jobs.Echo<>("to the same session")));
    second.stop(false);
  }

  private static <T> T get(Future<T> future) throws Exception {
    return future.get(PATIENCE, TimeUnit.SECONDS);
  }

  private static void say(String name, Future<?> future) {
    say(name, () -> get(future));
  }

  private static void say(String name, Callable<?> what) {
    try {
      say(name, what.call());
    } catch (CancellationException cancelled) {
      say(name, "cancelled");
    } catch (ExecutionException failed) {
      say(name, "failed: " + failed.getCause().getMessage());
    } catch (Exception other) {
      say(name, "not known: " + other);
    }
  }

  private static void say(String name, Object seen) {
    System.out.println(name + "\t" + String.valueOf(seen).replace("\n", "\\n"));
  }
}
