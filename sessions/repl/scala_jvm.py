"""Starts the Scala interpreter of the driver's JVM, from the jars that every Spark distribution has.

Decides its settings, its class path and what is predefined in it. Knows no statements.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

# The interpreter's own side, in the order in which it is compiled.
SOURCES = [Path(__file__).with_name(name) for name in ("scala_values.scala", "scala_bridge.scala")]

# Transient, because a closure takes the line it stands in along to the executors.
PREDEFINED = """
@transient val spark = org.apache.spark.repl.Main.sparkSession
@transient val sc = spark.sparkContext
@transient val sqlContext = spark.sqlContext
"""
IMPORTS = """
import org.apache.spark.SparkContext._
import spark.implicits._
import spark.sql
import org.apache.spark.sql.functions._
"""


def start(session: Any) -> Any:
    """A bridge to a new interpreter for the pyspark `session`. Raises RuntimeError when there is none to be had."""
    jvm = session._jvm
    messages = jvm.java.io.StringWriter()
    settings = _settings(jvm, session.sparkContext.getConf())
    interpreter = _interpreter(jvm, settings, jvm.java.io.PrintWriter(messages))
    for source in SOURCES:
        if not interpreter.compileString(source.read_text("utf-8")):
            raise RuntimeError(f"{source.name} does not compile: {messages.toString()}")
    loaded = interpreter.classLoader().loadClass("scala.tools.nsc.interpreter.GatewayBridge")
    arguments = session.sparkContext._gateway.new_array(jvm.java.lang.Object, 2)
    arguments[0], arguments[1] = interpreter, messages
    return loaded.getConstructors()[0].newInstance(arguments)


def predefine(bridge: Any, session: Any) -> None:
    """Bind `spark` and its companions to the pyspark `session`, and import what spark-shell does."""
    main = session._jvm.org.apache.spark.repl.Main
    getattr(main, "sparkContext_$eq")(session.sparkContext._jsc.sc())
    getattr(main, "sparkSession_$eq")(session._jsparkSession)
    for code in (PREDEFINED, IMPORTS):
        outcome = bridge.run(code, True)
        if outcome.status() != "ok":
            raise RuntimeError(outcome.text())


def _settings(jvm: Any, conf: Any) -> Any:
    folder = conf.get("spark.repl.class.outputDir")
    if folder is None:
        raise RuntimeError("spark.repl.class.outputDir must be set before Spark starts")
    # Jars of the session are in a loader of their own, which spark-submit leaves to its threads.
    loader = jvm.java.lang.Thread.currentThread().getContextClassLoader()
    jars = filter(None, conf.get("spark.repl.local.jars", "").split(","))
    local = [jvm.org.apache.spark.util.Utils.resolveURI(jar).getPath() for jar in jars]
    path = ":".join([jvm.java.lang.System.getProperty("java.class.path"), *local])
    arguments = ["-Yrepl-class-based", "-Yrepl-outdir", folder, "-classpath", path]
    settings = jvm.scala.tools.nsc.Settings()
    settings.embeddedDefaults(loader)
    settings.processArguments(jvm.org.apache.spark.api.python.PythonUtils.toSeq(arguments).toList(), True)
    return settings


def _interpreter(jvm: Any, settings: Any, printer: Any) -> Any:
    repl = jvm.scala.tools.nsc.interpreter
    if str(jvm.scala.util.Properties.versionNumberString()).startswith("2.12."):
        interpreter = repl.IMain(settings, printer)
        interpreter.initializeSynchronous()
    else:
        interpreter = repl.IMain(settings, repl.shell.ReplReporterImpl(settings, printer))
        interpreter.initializeCompiler()
    return interpreter
