/** Livy's Java jobs inside the driver's JVM (contract livy §8.1): read from bytes, run, stopped, their results written.
  *
  * Decides the two forms in which jobs travel, what a job finds in its JobContext, and how its thread is stopped.
  * Refuses to know who asked, and where the classes of jobs come from: the loader it is given has them all.
  */
package spark_gateway

import java.io.{File, PrintWriter, StringWriter}
import java.lang.reflect.InvocationTargetException
import java.nio.ByteBuffer
import java.util.{Arrays, Base64, LinkedHashMap, Map => JavaMap}

import scala.util.{Failure, Success, Try}

import com.esotericsoftware.kryo.Kryo
import com.esotericsoftware.kryo.io.{Input, Output}
import com.esotericsoftware.kryo.serializers.ClosureSerializer
import org.apache.livy.{Job, JobContext}
import org.apache.spark.api.java.JavaSparkContext
import org.apache.spark.sql.{SQLContext, SparkSession}
import org.apache.spark.sql.hive.HiveContext
import org.apache.spark.streaming.Duration
import org.apache.spark.streaming.api.java.JavaStreamingContext
import org.objenesis.strategy.StdInstantiatorStrategy

/** One form of jobs and results. An instance serves one job on its thread. */
trait Wire {
  def read(bytes: Array[Byte]): AnyRef
  def write(value: AnyRef): Array[Byte]
}

/** The form of a client's own jar, by its own code; up to 0.7.1 that is Kryo 2, which Kryo 4 reads only in part. */
class ClientWire(serializer: Class[_]) extends Wire {
  private val instance = serializer.getConstructor(classOf[Array[Class[_]]]).newInstance(Array.empty[Class[_]])

  def read(bytes: Array[Byte]): AnyRef = call("deserialize", classOf[ByteBuffer], ByteBuffer.wrap(bytes))

  def write(value: AnyRef): Array[Byte] = {
    val buffer = call("serialize", classOf[Object], value).asInstanceOf[ByteBuffer]
    val bytes = new Array[Byte](buffer.remaining)
    buffer.get(bytes)
    bytes
  }

  private def call(method: String, of: Class[_], argument: AnyRef): AnyRef =
    try serializer.getMethod(method, of).invoke(instance, argument)
    catch { case wrapped: InvocationTargetException => throw wrapped.getCause }
}

/** The form of clients from 0.8 on: Kryo 4, which Spark has, and jobs may be lambdas. */
class Kryo4Wire extends Wire {
  private val kryo = new Kryo()
  kryo.setInstantiatorStrategy(new Kryo.DefaultInstantiatorStrategy(new StdInstantiatorStrategy))
  kryo.register(classOf[java.lang.invoke.SerializedLambda])
  kryo.register(classOf[ClosureSerializer.Closure], new ClosureSerializer)
  kryo.setClassLoader(Thread.currentThread.getContextClassLoader)

  def read(bytes: Array[Byte]): AnyRef = kryo.readClassAndObject(new Input(bytes))

  def write(value: AnyRef): Array[Byte] = {
    val output = new Output(1024, -1)
    kryo.writeClassAndObject(output, value)
    output.toBytes
  }
}

/** Tells which form a job has: the bytes do not say. */
class Wires(serializer: Class[_]) {
  private val older = () => new ClientWire(serializer)
  private val newer = () => new Kryo4Wire
  @volatile private var order: List[() => Wire] = List(older, newer)

  /** The job, and the wire its client reads results from. Throws what each has against the bytes, the likely one first. */
  def read(bytes: Array[Byte]): (Job[_], Wire) = {
    val tries = order.map(make => (make, Try { val wire = make(); (wire.read(bytes).asInstanceOf[Job[_]], wire) }))
    val readable = tries.collect { case (make, Success(found)) => (make, found) }
    if (readable.isEmpty) throw complaint(tries.map(_._2.failed.get))
    if (readable.size == 1) {
      // What only one form can read tells of the client, for jobs that both can.
      order = readable.head._1 :: order.filterNot(_ == readable.head._1)
      readable.head._2
    } else readable.map(_._2).find { case (job, wire) => writes(wire, job, bytes) }.getOrElse(readable.head._2)
  }

  private def complaint(thrown: List[Throwable]): Throwable = {
    thrown.tail.foreach(thrown.head.addSuppressed)
    thrown.head
  }

  /** Bytes in the other form may still make sense, but not the right one: then they are not what this form writes. */
  private def writes(wire: Wire, job: AnyRef, bytes: Array[Byte]): Boolean =
    Try(Arrays.equals(wire.write(job), bytes)).getOrElse(false)
}

/** What jobs find in the driver: Spark, and what other jobs of the session left for them. */
class Context(folder: File) extends JobContext {
  private val shared = new LinkedHashMap[String, Any](16, 0.75f, true) {
    override def removeEldestEntry(eldest: JavaMap.Entry[String, Any]): Boolean = size > Context.SharedObjects
  }
  private var streaming: Option[JavaStreamingContext] = None

  def session: SparkSession = SparkSession.active

  override def sc(): JavaSparkContext = JavaSparkContext.fromSparkContext(session.sparkContext)
  override def sqlctx(): SQLContext = session.sqlContext
  override def sparkSession[E](): E = session.asInstanceOf[E]
  override def getLocalTmpDir(): File = folder

  /** None, which to Java is null, without the Hive catalog: as Livy. */
  override def hivectx(): HiveContext =
    if (session.conf.get("spark.sql.catalogImplementation") == "hive") new HiveContext(session.sparkContext) else null

  override def getSharedObject[E](name: String): E = shared.synchronized {
    if (!shared.containsKey(name)) throw new NoSuchElementException(s"Cannot find shared variable named $name")
    shared.get(name).asInstanceOf[E]
  }
  override def setSharedObject[E](name: String, value: E): Unit = shared.synchronized(shared.put(name, value))
  override def removeSharedObject[E](name: String): E = shared.synchronized(shared.remove(name).asInstanceOf[E])

  override def streamingctx(): JavaStreamingContext = synchronized {
    streaming.getOrElse(throw new IllegalStateException("method createStreamingContext must be called first."))
  }
  override def createStreamingContext(milliseconds: Long): Unit = synchronized {
    if (streaming.nonEmpty) throw new IllegalStateException("Streaming context is not null.")
    streaming = Some(new JavaStreamingContext(sc(), new Duration(milliseconds)))
  }
  override def stopStreamingCtx(): Unit = synchronized {
    streamingctx().stop(false)
    streaming = None
  }
}

object Context {
  val SharedObjects = 100 // the least recently used one goes, as in Livy
}

/** One job on a thread of its own, which ends with it: so nothing else is struck when it is stopped by force. */
class RunningJob(group: String, bytes: Array[Byte], wires: Wires, context: Context) extends Thread(group) {
  setDaemon(true)
  @volatile private var wanted = true
  @volatile private var outcome: Try[String] = Failure(new InterruptedException("the job was stopped"))

  override def run(): Unit =
    try if (wanted) outcome = Success(work())
    catch { case thrown: Throwable => outcome = Failure(thrown) }

  private def work(): String = {
    val (job, wire) = wires.read(bytes)
    context.session.sparkContext.setJobGroup(group, job.getClass.getName, interruptOnCancel = true)
    val value = job.call(context)
    if (value == null) null else Base64.getEncoder.encodeToString(wire.write(value.asInstanceOf[AnyRef]))
  }

  /** Stop it, once and for all; returns at once. */
  def cancel(): Unit = synchronized {
    if (wanted) {
      wanted = false
      val canceller = new Thread(() => insist(), s"$group-cancel")
      canceller.setDaemon(true)
      canceller.start()
    }
  }

  /** Its Spark jobs are cancelled and it is interrupted, again and again; after `Patience` by force where Java can. */
  private def insist(): Unit = {
    val begin = System.nanoTime
    while (isAlive) {
      Try(context.session.sparkContext.cancelJobGroup(group))
      interrupt()
      if (System.nanoTime - begin > RunningJob.Patience) Try(RunningJob.force.invoke(this))
      join(RunningJob.Pause)
    }
  }

  def failed: Boolean = outcome.isFailure

  /** The result in base64, null for a null result; once it has ended and has not failed. */
  def result: String = outcome.get

  /** The stack trace of what it threw; once it has failed. */
  def error: String = {
    val text = new StringWriter
    outcome.failed.get.printStackTrace(new PrintWriter(text, true))
    text.toString
  }
}

object RunningJob {
  val Patience = 1000000000L // nanoseconds
  val Pause = 100L // milliseconds

  // By name, since new versions of Java have it no more: there, a loop that minds no interrupt runs to its end.
  private def force = classOf[Thread].getMethod("stop")
}

/** The door for the driver's Python side. `serializer` is that of the client's jar. */
class JavaJobs(serializer: Class[_], folder: String) {
  private val wires = new Wires(serializer)
  private val context = new Context(new File(folder))

  /** The job, not yet started; `classes` knows all that is the user's. */
  def prepare(group: String, bytes: Array[Byte], classes: ClassLoader): RunningJob = {
    val job = new RunningJob(group, bytes, wires, context)
    job.setContextClassLoader(classes)
    job
  }
}
