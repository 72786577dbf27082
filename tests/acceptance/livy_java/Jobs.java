package example;

import java.io.File;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.TimeUnit;
import org.apache.livy.Job;
import org.apache.livy.JobContext;
import org.apache.spark.SparkFiles;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.SparkSession;

/** What the program submits: this class and those within it are the jar that it uploads. */
public class Jobs {

  /** A result of the user's own class, with what old and new clients write differently. */
  public static class Report implements java.io.Serializable {
    public String title;
    public String[] words;
    public List<String> names = new ArrayList<>();
    public Map<String, Integer> counts = new HashMap<>();
    public Report next;

    Report(String title, String... words) {
      this.title = title;
      this.words = words;
      for (String word : words) {
        names.add(word.toUpperCase());
        counts.merge(word, 1, Integer::sum);
      }
    }

    @Override
    public String toString() {
      return title + Arrays.toString(words) + names + counts + (next == null ? "" : "->" + next);
    }
  }

  /** Gives back what it was made with. */
  public static class Echo<T> implements Job<T> {
    private final T value;
    private final List<String> notes = new ArrayList<>(Arrays.asList("any", "notes"));

    public Echo(T value) {
      this.value = value;
    }

    @Override
    public T call(JobContext context) {
      if (!notes.equals(Arrays.asList("any", "notes"))) {
        throw new IllegalStateException("the job did not arrive whole: " + notes);
      }
      return value;
    }
  }

  /** Makes what has no part in the job itself. */
  public static class MakeReport implements Job<Report> {
    @Override
    public Report call(JobContext context) {
      Report report = new Report("made", "a", "b", "a");
      report.next = new Report("second");
      return report;
    }
  }

  /** Squares by a closure of the user's jar, on executors; the job itself is in the closure. */
  public static class SumOfSquares implements Job<Integer> {
    private final int most;

    public SumOfSquares(int most) {
      this.most = most;
    }

    private int square(int number) {
      return number * number;
    }

    @Override
    public Integer call(JobContext context) {
      List<Integer> numbers = new ArrayList<>();
      for (int number = 1; number <= most; number++) {
        numbers.add(number);
      }
      return context.sc().parallelize(numbers, 4).map(number -> square(number)).reduce(Integer::sum);
    }
  }

  /** A job without a class. */
  public static Job<Long> timesThree(int factor) {
    return context -> factor * context.sc().parallelize(Arrays.asList(1, 2, 3)).count();
  }

  /** A Dataset by the session, read by the SQLContext. */
  public static class LongWords implements Job<List<String>> {
    @Override
    public List<String> call(JobContext context) throws Exception {
      SparkSession spark = context.sparkSession();
      Dataset<String> words = spark.createDataset(Arrays.asList("a", "abc", "abcd"), Encoders.STRING());
      words.filter((org.apache.spark.api.java.function.FilterFunction<String>) word -> word.length() > 2)
          .createOrReplaceTempView("long_words");
      return new ArrayList<>(
          context.sqlctx().sql("select upper(value) from long_words order by 1").as(Encoders.STRING()).collectAsList());
    }
  }

  /** Ends only when three of it run at the same time. */
  public static class Meet implements Job<Boolean> {
    private static final CyclicBarrier HERE = new CyclicBarrier(3);

    @Override
    public Boolean call(JobContext context) throws Exception {
      HERE.await(60, TimeUnit.SECONDS);
      return true;
    }
  }

  public static class Fail implements Job<String> {
    @Override
    public String call(JobContext context) {
      throw new IllegalStateException("as it should", new RuntimeException("the reason"));
    }
  }

  /** A result that Kryo cannot write. */
  public static class Unwritable implements Job<Thread> {
    @Override
    public Thread call(JobContext context) {
      return Thread.currentThread();
    }
  }

  /** Runs for ever, in one of four ways. */
  public static class Endless implements Job<String> {
    public static volatile long turns;
    private final String how;

    public Endless(String how) {
      this.how = how;
    }

    @Override
    public String call(JobContext context) throws Exception {
      while (true) {
        turns++;
        if (how.equals("spark")) {
          context.sc().parallelize(Arrays.asList(1, 2)).foreach(one -> Thread.sleep(600000));
        } else if (how.equals("sleep")) {
          Thread.sleep(600000);
        } else if (how.equals("stubborn")) {
          try {
            context.sc().parallelize(Arrays.asList(1, 2)).foreach(one -> Thread.sleep(600000));
          } catch (Exception again) {
            turns++;
          }
        }
      }
    }
  }

  /** The turns that endless jobs have made, and how many Spark jobs run. */
  public static class Watch implements Job<long[]> {
    @Override
    public long[] call(JobContext context) {
      return new long[] {Endless.turns, context.sc().statusTracker().getActiveJobIds().length};
    }
  }

  /** A file's first line, read in the driver and by a task. */
  public static class ReadFile implements Job<String> {
    private final String name;

    public ReadFile(String name) {
      this.name = name;
    }

    @Override
    public String call(JobContext context) throws Exception {
      String file = name;
      List<String> read = context.sc().parallelize(Arrays.asList(1), 1).map(one -> first(file)).collect();
      return first(name) + ", " + read.get(0);
    }

    private static String first(String name) throws Exception {
      return Files.readAllLines(new File(SparkFiles.get(name)).toPath()).get(0);
    }
  }

  /** Calls a class that no jar of the program's own has. */
  public static class Greet implements Job<String> {
    @Override
    public String call(JobContext context) throws Exception {
      Class<?> greeting = Class.forName("example.Greeting", true, Thread.currentThread().getContextClassLoader());
      return greeting.getMethod("text").invoke(null).toString();
    }
  }

  /** Shares, or takes what was shared. */
  public static class Share implements Job<Object> {
    private final String what;

    public Share(String what) {
      this.what = what;
    }

    @Override
    public Object call(JobContext context) {
      if (what.equals("set")) {
        context.setSharedObject("report", new Report("shared", "x"));
        return null;
      }
      return what.equals("get") ? context.getSharedObject("report") : context.removeSharedObject("report");
    }
  }

  /** All else that a JobContext has. */
  public static class Tour implements Job<List<String>> {
    @Override
    public List<String> call(JobContext context) throws Exception {
      List<String> seen = new ArrayList<>();
      File note = new File(context.getLocalTmpDir(), "note");
      Files.write(note.toPath(), new byte[] {1, 2, 3});
      seen.add("folder " + note.length());
      seen.add("hive " + context.hivectx());
      try {
        context.streamingctx();
      } catch (IllegalStateException none) {
        seen.add("no streaming");
      }
      context.createStreamingContext(500);
      seen.add("streaming " + (context.streamingctx().sparkContext().sc() == context.sc().sc()));
      context.stopStreamingCtx();
      seen.add("still " + context.sc().parallelize(Arrays.asList(1, 2)).count());
      return seen;
    }
  }
}
