// The JVM side of the Scala interpreter: cuts a text into pieces, runs a piece on a thread that can be found and stopped,
// and keeps what is printed meanwhile. Compiled by the interpreter it serves, on Scala 2.12 and 2.13 alike.
// In this package because the interpreter's own steps (parse, compile, run) are visible only here.
package scala.tools.nsc.interpreter

import java.io.{File, FileOutputStream, PrintStream, StringWriter}
import java.lang.reflect.{InvocationTargetException, UndeclaredThrowableException}
import java.net.URL
import java.util.concurrent.{CountDownLatch, LinkedBlockingQueue, TimeUnit}
import java.util.concurrent.locks.ReentrantLock
import org.apache.spark.repl.Main
import scala.collection.mutable.ArrayBuffer
import scala.reflect.internal.util.BatchSourceFile
import scala.tools.nsc.ast.parser.Tokens
import scala.util.control.NonFatal

/** What is printed: into a file while a statement runs, as much as there is room for, else into the log. */
final class GatewayOutput(log: PrintStream) extends java.io.OutputStream {
  val file: File = File.createTempFile("scala-output", ".txt")
  private val kept = new FileOutputStream(file, true)
  private var room = -1L

  def begin(limit: Long): Unit = synchronized { kept.getChannel.truncate(0); room = limit }
  def end(): Unit = synchronized { room = -1 }

  override def write(byte: Int): Unit = write(Array(byte.toByte), 0, 1)
  override def write(bytes: Array[Byte], start: Int, count: Int): Unit = synchronized {
    if (room < 0) log.write(bytes, start, count)
    else {
      val fitting = math.min(room, count.toLong).toInt
      kept.write(bytes, start, fitting)
      room -= fitting
    }
  }
  override def flush(): Unit = log.flush()
}

/** A thread for the user's code, one task after another. */
final class GatewayThread(loader: ClassLoader) extends Thread("scala") {
  private val tasks = new LinkedBlockingQueue[() => Unit]
  @volatile private var left = false
  setDaemon(true)
  setContextClassLoader(loader)
  start()

  override def run(): Unit = while (true) tasks.take().apply()

  /** Run `body` here and wait for it, or for the end of this thread, or until it is left to itself. */
  def call(body: => Unit): Unit = {
    val done = new CountDownLatch(1)
    tasks.put { () => try body finally done.countDown() }
    while (isAlive && !left && !done.await(20, TimeUnit.MILLISECONDS)) {}
  }

  /** Wait for it no longer. */
  def leave(): Unit = left = true
}

/** What became of a piece: "ok" with its echo and the names it defines, "incomplete", "refused" by the compiler, or
  * "failed" or "cancelled" with the text why. `warnings` are the compiler's.
  */
final class GatewayOutcome(
    val status: String, val text: String, val names: Array[String] = Array(), val warnings: String = "")

/** Asked by one thread at a time, but for `interrupt` and `complete`. */
final class GatewayBridge(intp: IMain, messages: StringWriter) {
  import intp.global

  private val output = new GatewayOutput(System.out)
  private val printer = new PrintStream(output, true, "UTF-8")
  private val (tags, tagPrefix) = ("spark.job.tags", "spark-gateway-") // as in thread_tags.py
  private val compiling = new ReentrantLock
  private val phase = new Object
  private var seen = Set.empty[URL]
  private var thread = new GatewayThread(intp.classLoader)
  private var group = ("", "")
  private var last: Option[intp.Request] = None
  private var inUserCode, cancelled = false
  private var stops = 0 // how often the thread was told to end

  System.setOut(printer)
  System.setErr(printer)

  def outputFile: String = output.file.getPath

  /** A statement begins: the job group of its Spark jobs, and how many bytes of its output are kept. */
  def begin(name: String, description: String, limit: Long): Unit = {
    phase.synchronized { cancelled = false }
    output.begin(limit)
    group = (name, description)
    last = None
    onThread { joinGroup() }
  }

  /** The statement is over; what is printed now goes to the log. */
  def end(): Unit = { output.end(); phase.synchronized { cancelled = false } }

  /** The texts to run one after another, each at its place of `code`: neighbouring definitions together, so that
    * companions are, everything else apart. Null when the text does not parse.
    */
  def pieces(code: String): Array[String] = locked {
    global.reporter.reset()
    val parser = new Statements(code)
    val trees = parser.parseStats()
    val sound = !global.reporter.hasErrors
    global.reporter.reset()
    said()
    if (sound) cut(code, trees, parser.ends.toList :+ code.length) else null
  }

  /** A parser that notes where each statement of the text ends. */
  private class Statements(code: String)
      extends global.syntaxAnalyzer.UnitParser(new global.CompilationUnit(new BatchSourceFile("<pieces>", code))) {
    val ends = ArrayBuffer.empty[Int]
    override def acceptStatSepOpt(): Unit = {
      if (in.sepRegions.isEmpty) ends += (if (in.token == Tokens.SEMI) in.offset + 1 else in.lastOffset)
      super.acceptStatSepOpt()
    }
  }

  private def cut(code: String, trees: List[global.Tree], ends: List[Int]): Array[String] = {
    val found = ArrayBuffer.empty[(Int, Int, Boolean)]
    var from = 0
    var left = trees.filter(tree => tree.pos.isDefined)
    for (end <- ends) {
      val (own, others) = left.span(_.pos.point < end)
      val defines = own.forall(isDefinition)
      if (own.nonEmpty) found.lastOption match {
        case Some((start, _, true)) if defines => found(found.length - 1) = (start, end, true)
        case _ => found += ((from, end, defines))
      }
      from = end
      left = others
    }
    found.map { case (start, end, _) => "\n" * code.take(start).count(_ == '\n') + code.substring(start, end) }.toArray
  }

  private def isDefinition(tree: global.Tree): Boolean = tree match {
    case _: global.ImplDef | _: global.DefDef | _: global.TypeDef => true
    case _ => false
  }

  /** Compile and run one piece. A `hidden` one uses no result number. */
  def run(code: String, hidden: Boolean): GatewayOutcome = compiled(code, hidden) match {
    case (Right(request), warnings) => evaluate(request, warnings)
    case (Left(Results.Incomplete), _) => new GatewayOutcome("incomplete", "")
    case (_, errors) => new GatewayOutcome("refused", errors)
  }

  private def compiled(code: String, hidden: Boolean): (Either[Results.Result, intp.Request], String) = locked {
    said()
    (intp.compile(code, hidden), said())
  }

  private def evaluate(request: intp.Request, warnings: String): GatewayOutcome =
    inUser(request.lineRep.callEither("$print")) match {
      case Right(echo) =>
        locked { intp.recordRequest(request) }
        last = Some(request)
        val names = request.handlers.flatMap(_.definesTerm).map(_.decodedName.toString)
        new GatewayOutcome("ok", String.valueOf(echo), names.toArray, warnings)
      case Left(failure) => new GatewayOutcome(status, failure)
    }

  private def status: String = if (phase.synchronized(cancelled)) "cancelled" else "failed"

  /** What `convert` makes of the value of `expression`, or with none, of the piece just run: "ok", else why not. */
  private def value(expression: String, convert: Any => String): GatewayOutcome =
    (if (expression.isEmpty) (last.toRight(Results.Error), "") else compiled(expression, hidden = true)) match {
      case (Right(request), _) =>
        inUser(request.lineRep.evalEither.map(found => if (isUnit(request)) null else convert(found))) match {
          case Right(null) => new GatewayOutcome("none", "")
          case Right(converted) => new GatewayOutcome("ok", converted.toString)
          case Left(failure) => new GatewayOutcome(status, failure)
        }
      case (_, errors) => new GatewayOutcome("none", errors)
    }

  private def isUnit(request: intp.Request): Boolean =
    request.handlers.lastOption.flatMap(_.definesTerm).forall(name => request.lookupTypeOf(name) == "Unit")

  def json(expression: String): GatewayOutcome = value(expression, GatewayValues.json)
  def table(expression: String): GatewayOutcome = value(expression, GatewayValues.table)

  /** Names that could stand at the end of `code`; none while the compiler is busy. */
  def complete(code: String): Array[String] =
    if (!compiling.tryLock()) Array()
    else try candidates(code) finally { global.reporter.reset(); compiling.unlock() }

  /** The two lines of Scala have different completers, so these are called by their names. */
  private def candidates(code: String): Array[String] = {
    val end = Int.box(code.length)
    if (scala.util.Properties.versionNumberString.startsWith("2.12.")) {
      val completer = Class.forName("scala.tools.nsc.interpreter.PresentationCompilerCompleter")
      offered(completer.getConstructors.head.newInstance(intp), "complete", code, end)
    } else {
      val compiler = named(intp, "presentationCompile", end, code).asInstanceOf[Either[_, AnyRef]].toOption.get
      // It is made for this one question, and its thread keeps it until it is told to end.
      try offered(compiler, "candidates", Int.box(-1)) finally named(compiler, "cleanup")
    }
  }

  private def offered(completer: Any, method: String, arguments: AnyRef*): Array[String] = {
    val found = named(completer, method, arguments: _*).asInstanceOf[Product].productElement(1)
    found.asInstanceOf[List[Any]].map(_.toString).toArray
  }

  private def named(target: Any, method: String, arguments: AnyRef*): AnyRef =
    target.getClass.getMethods.find { found =>
      found.getName == method && found.getParameterCount == arguments.length &&
      found.getParameterTypes.zip(arguments).forall { case (kind, given) => kind.isPrimitive || kind.isInstance(given) }
    }.get.invoke(target, arguments: _*)

  /** Let code from now on see the classes of all these jars. */
  def addJars(jars: Array[URL]): Unit = {
    val added = jars.filterNot(seen)
    seen ++= added
    if (added.nonEmpty) locked { intp.addUrlsToClassPath(added: _*) }
  }

  /** A failure as the REPL tells it: the frames below the statement's own, or below ours, then the causes. */
  private def told(failure: Throwable): String = failure match {
    case _: InvocationTargetException | _: ExceptionInInitializerError | _: UndeclaredThrowableException
        if failure.getCause != null =>
      told(failure.getCause)
    case _: ThreadDeath if status == "cancelled" => ""
    case _ =>
      val causes = Iterator.iterate(failure.getCause)(_.getCause).takeWhile(_ != null).take(10)
      frames(failure) + causes.map("Caused by: " + frames(_)).mkString
  }

  private def frames(failure: Throwable): String = {
    val all = failure.getStackTrace
    val shown = all.takeWhile(frame => !isStatement(frame) && !isOurs(frame)).take(30)
    val elided = if (shown.length < all.length) s"  ... ${all.length - shown.length} elided\n" else ""
    s"${nameOf(failure)}\n" + shown.map(frame => s"  at $frame\n").mkString + elided
  }

  /** Its own text is the user's code too, and may fail. */
  private def nameOf(failure: Throwable): String =
    try failure.toString catch { case NonFatal(_) => failure.getClass.getName }

  private def isStatement(frame: StackTraceElement): Boolean =
    frame.getClassName.startsWith("$line") && frame.getMethodName.startsWith("<")

  private def isOurs(frame: StackTraceElement): Boolean =
    frame.getClassName.startsWith("scala.tools.nsc.interpreter.Gateway")

  /** The result of user code on its thread; on the left what it threw, as it is told; nothing if it was stopped. */
  private def inUser(body: => Either[Throwable, AnyRef]): Either[String, AnyRef] = {
    var result: Either[String, AnyRef] = Left("")
    onThread {
      if (enter())
        try result = Console.withOut(printer) { Console.withErr(printer) { body.left.map(told) } }
        catch { case failure: Throwable => result = Left(told(failure)) }
        finally leave()
    }
    result
  }

  private def enter(): Boolean = phase.synchronized { inUserCode = !cancelled; inUserCode }
  private def leave(): Unit = phase.synchronized {
    if (Thread.currentThread eq thread) { inUserCode = false; Thread.interrupted(): Unit }
  }

  private def onThread(body: => Unit): Unit = {
    if (stops > 0 || !thread.isAlive) {
      thread = new GatewayThread(intp.classLoader)
      stops = 0
      thread.call { joinGroup() }
    }
    thread.call { body }
    phase.synchronized { inUserCode = false }
  }

  /** A new thread has what the one that made it had. */
  private def joinGroup(): Unit = {
    val context = Main.sparkContext
    context.setJobGroup(group._1, group._2, true)
    val others = Option(context.getLocalProperty(tags)).toSeq.flatMap(_.split(",")).filterNot(_.startsWith(tagPrefix))
    context.setLocalProperty(tags, (others :+ (tagPrefix + group._1)).filter(_.nonEmpty).mkString(","))
  }

  /** One attempt to stop the statement; `hard` ends its thread, where Java still can. Never ends the compiler's work.
    * A thread that is told to end while it waits in native code, for a connection say, ends when it comes back from
    * there: it is not waited for.
    */
  def interrupt(hard: Boolean): Unit = phase.synchronized {
    cancelled = true
    if (inUserCode && hard)
      try { thread.stop(); stops += 1; if (stops > 2) thread.leave() }
      catch { case _: UnsupportedOperationException => thread.interrupt() }
    else if (inUserCode) thread.interrupt()
  }

  private def locked[T](body: => T): T = {
    compiling.lock()
    try body finally compiling.unlock()
  }

  /** What the compiler has said since the last time. */
  private def said(): String = {
    val text = messages.toString
    messages.getBuffer.setLength(0)
    text
  }
}
