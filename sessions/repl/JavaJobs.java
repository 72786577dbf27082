/*
 * Livy's Java jobs inside the driver's JVM (contract livy §8.1): read from bytes, run, stopped, their results written.
 *
 * Decides the two forms in which jobs travel, what a job finds in its JobContext, and how its thread is stopped. Refuses
 * to know who asked. Compiled in the driver by Janino, which Spark brings: no lambdas, and casts where generics are.
 */
package spark_gateway;

import com.esotericsoftware.kryo.Kryo;
import com.esotericsoftware.kryo.io.Input;
import com.esotericsoftware.kryo.io.Output;
import com.esotericsoftware.kryo.serializers.ClosureSerializer;
import java.io.File;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.lang.invoke.SerializedLambda;
import java.lang.reflect.InvocationTargetException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.NoSuchElementException;
import org.apache.livy.Job;
import org.apache.livy.JobContext;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.SQLContext;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.hive.HiveContext;
import org.apache.spark.streaming.Duration;
import org.apache.spark.streaming.api.java.JavaStreamingContext;
import org.objenesis.strategy.StdInstantiatorStrategy;

/** The door for the driver's Python side. */
public class JavaJobs {
  final Wires wires;
  final Context context;

  /** With the serializer of the client's jar, and the folder that jobs may use. */
  public JavaJobs(Class serializer, String folder) {
    this.wires = new Wires(serializer);
    this.context = new Context(new File(folder));
  }

  /** The job, not yet started; `classes` knows all that is the user's. */
  public RunningJob prepare(String group, byte[] bytes, ClassLoader classes) {
    RunningJob job = new RunningJob(group, bytes, this);
    job.setContextClassLoader(classes);
    return job;
  }

  /** One job on a thread of its own, which ends with it: so nothing else is struck when it is stopped by force. */
  public static class RunningJob extends Thread {
    static final long PATIENCE = 1000000000L; // nanoseconds
    static final long PAUSE = 100L; // milliseconds

    final String group;
    final JavaJobs jobs;
    byte[] bytes;
    volatile boolean wanted = true;
    String result;
    Throwable thrown = new InterruptedException("the job was stopped");

    RunningJob(String group, byte[] bytes, JavaJobs jobs) {
      super(group);
      setDaemon(true);
      this.group = group;
      this.bytes = bytes;
      this.jobs = jobs;
    }

    public void run() {
      try {
        if (wanted) {
          result = work();
          thrown = null;
        }
      } catch (Throwable failure) {
        thrown = failure;
      }
    }

    private String work() throws Throwable {
      Arrived arrived = jobs.wires.read(bytes);
      bytes = null;
      jobs.context.sc().setJobGroup(group, arrived.job.getClass().getName(), true);
      jobs.context.sc().setLocalProperty("spark.job.tags", "spark-gateway-" + group); // as in thread_tags.py
      Object value = arrived.job.call(jobs.context);
      return value == null ? null : Base64.getEncoder().encodeToString(arrived.wire.write(value));
    }

    /** Stop it, once and for all; returns at once. */
    public synchronized void cancel() {
      if (wanted) {
        wanted = false;
        Thread canceller = new Thread(group + "-cancel") {
          public void run() {
            insist();
          }
        };
        canceller.setDaemon(true);
        canceller.start();
      }
    }

    /** Spark jobs are cancelled and the thread interrupted, again and again; after a while it is ended by force. */
    void insist() {
      long begin = System.nanoTime();
      while (isAlive()) {
        try {
          jobs.context.sc().cancelJobGroup(group);
        } catch (RuntimeException stopped) {
          // Without Spark there is nothing to cancel.
        }
        interrupt();
        if (System.nanoTime() - begin > PATIENCE) {
          force();
        }
        try {
          join(PAUSE);
        } catch (InterruptedException nobody) {
          return;
        }
      }
    }

    private void force() {
      try {
        // By name, since new versions of Java have it no more: there, a loop that minds no interrupt runs to its end.
        Thread.class.getMethod("stop", new Class[0]).invoke(this, new Object[0]);
      } catch (ReflectiveOperationException none) {
        return;
      }
    }

    public boolean failed() {
      return thrown != null;
    }

    /** The result in base64, null for a null result; once it has ended and has not failed. */
    public String result() {
      return result;
    }

    /** The stack trace of what it threw, without frames of this file; once it has failed. */
    public String error() {
      StringWriter text = new StringWriter();
      thrown.printStackTrace(new PrintWriter(text, true));
      return text.toString().replaceAll("(?m)^\\s*at spark_gateway\\..*\\R", "");
    }
  }

  /** One form of jobs and results. An instance serves one job on its thread. */
  interface Wire {
    Object read(byte[] bytes) throws Throwable;

    byte[] write(Object value) throws Throwable;
  }

  /** The form of a client's own jar, by its own code; up to 0.7.1 it is Kryo 2, which Kryo 4 reads only in part. */
  static class ClientWire implements Wire {
    final Class serializer;
    final Object instance;

    ClientWire(Class serializer) throws ReflectiveOperationException {
      this.serializer = serializer;
      this.instance =
          serializer.getConstructor(new Class[] {Class[].class}).newInstance(new Object[] {new Class[0]});
    }

    public Object read(byte[] bytes) throws Throwable {
      return call("deserialize", ByteBuffer.class, ByteBuffer.wrap(bytes));
    }

    public byte[] write(Object value) throws Throwable {
      ByteBuffer buffer = (ByteBuffer) call("serialize", Object.class, value);
      byte[] bytes = new byte[buffer.remaining()];
      buffer.get(bytes);
      return bytes;
    }

    private Object call(String method, Class of, Object argument) throws Throwable {
      try {
        return serializer.getMethod(method, new Class[] {of}).invoke(instance, new Object[] {argument});
      } catch (InvocationTargetException wrapped) {
        throw wrapped.getCause();
      }
    }
  }

  /** The form of clients from 0.8 on: Kryo 4, which Spark has, and jobs may be lambdas. */
  static class Kryo4Wire implements Wire {
    final Kryo kryo = new Kryo();

    Kryo4Wire() {
      kryo.setInstantiatorStrategy(new Kryo.DefaultInstantiatorStrategy(new StdInstantiatorStrategy()));
      kryo.register(SerializedLambda.class);
      kryo.register(ClosureSerializer.Closure.class, new ClosureSerializer());
      kryo.setClassLoader(Thread.currentThread().getContextClassLoader());
    }

    public Object read(byte[] bytes) {
      return kryo.readClassAndObject(new Input(bytes));
    }

    public byte[] write(Object value) {
      Output output = new Output(1024, -1);
      kryo.writeClassAndObject(output, value);
      return output.toBytes();
    }
  }

  /** A job as one form reads it, or what that form has against the bytes. */
  static class Arrived {
    Wire wire;
    Job job;
    Throwable failure;

    Arrived(boolean newer, Class serializer, byte[] bytes) {
      try {
        wire = newer ? (Wire) new Kryo4Wire() : (Wire) new ClientWire(serializer);
        job = (Job) wire.read(bytes);
        if (job == null) {
          throw new IllegalArgumentException("the bytes hold no job, but null");
        }
      } catch (Throwable thrown) {
        failure = thrown;
      }
    }

    /** Bytes in the other form may still make sense, but not the right one: then they are not what this one writes. */
    boolean isExact(byte[] bytes) {
      try {
        return Arrays.equals(wire.write(job), bytes);
      } catch (Throwable thrown) {
        return false;
      }
    }
  }

  /** Tells which form a job has, and so the form its client reads results in: the bytes do not say. */
  static class Wires {
    final Class serializer;
    volatile boolean newerFirst = false;

    Wires(Class serializer) {
      this.serializer = serializer;
    }

    /** Throws what both forms have against the bytes. */
    Arrived read(byte[] bytes) throws Throwable {
      boolean newer = newerFirst;
      Arrived likely = new Arrived(newer, serializer, bytes);
      Arrived other = new Arrived(!newer, serializer, bytes);
      if (likely.job != null && other.job != null) {
        return likely.isExact(bytes) || !other.isExact(bytes) ? likely : other;
      }
      if (likely.job == null && other.job == null) {
        likely.failure.addSuppressed(other.failure);
        throw likely.failure;
      }
      if (likely.job == null) {
        newerFirst = !newer; // what only one form can read tells of the client, for jobs that both can
      }
      return likely.job != null ? likely : other;
    }
  }

  /** What jobs find in the driver: Spark, and what other jobs of the session left for them. */
  static class Context implements JobContext {
    static final int SHARED_OBJECTS = 100; // the least recently used one goes, as in Livy

    final File folder;
    final Map shared =
        new LinkedHashMap(16, 0.75f, true) {
          protected boolean removeEldestEntry(Map.Entry eldest) {
            return size() > SHARED_OBJECTS;
          }
        };
    JavaStreamingContext streaming;

    Context(File folder) {
      this.folder = folder;
    }

    private SparkSession session() {
      return SparkSession.active();
    }

    public JavaSparkContext sc() {
      return JavaSparkContext.fromSparkContext(session().sparkContext());
    }

    public SQLContext sqlctx() {
      return session().sqlContext();
    }

    /** Null without the Hive catalog, as in Livy. */
    public HiveContext hivectx() {
      boolean hive = session().conf().get("spark.sql.catalogImplementation").equals("hive");
      return hive ? new HiveContext(session().sparkContext()) : null;
    }

    public Object sparkSession() {
      return session();
    }

    public File getLocalTmpDir() {
      return folder;
    }

    public Object getSharedObject(String name) {
      synchronized (shared) {
        if (!shared.containsKey(name)) {
          throw new NoSuchElementException("Cannot find shared variable named " + name);
        }
        return shared.get(name);
      }
    }

    public void setSharedObject(String name, Object value) {
      synchronized (shared) {
        shared.put(name, value);
      }
    }

    public Object removeSharedObject(String name) {
      synchronized (shared) {
        return shared.remove(name);
      }
    }

    public synchronized JavaStreamingContext streamingctx() {
      if (streaming == null) {
        throw new IllegalStateException("method createStreamingContext must be called first.");
      }
      return streaming;
    }

    public synchronized void createStreamingContext(long milliseconds) {
      if (streaming != null) {
        throw new IllegalStateException("Streaming context is not null.");
      }
      streaming = new JavaStreamingContext(sc(), new Duration(milliseconds));
    }

    public synchronized void stopStreamingCtx() {
      streamingctx().stop(false);
      streaming = null;
    }
  }
}
