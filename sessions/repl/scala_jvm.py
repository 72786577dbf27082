"""Starts the Scala interpreter of the driver's JVM, from the jars that every Spark distribution has.

Decides its settings and what is predefined in it. Knows no statements.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

BRIDGE = Path(__file__).with_name("scala_bridge.scala")

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
    """A bridge to a new interpreter for the pyspark `session`. Raises RuntimeError when the bridge does not compile."""
    jvm = session._jvm
    messages = jvm.java.io.StringWriter()
    interpreter = _interpreter(jvm, _settings(jvm, session), jvm.java.io.PrintWriter(messages))
    if not interpreter.compileString(BRIDGE.read_text("utf-8")):
        raise RuntimeError(f"the Scala interpreter did not start: {messages.toString()}")
    messages.getBuffer().setLength(0)
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
            raise RuntimeError(f"the Scala interpreter did not start: {outcome.text()}")


def _settings(jvm: Any, session: Any) -> Any:
    settings = jvm.scala.tools.nsc.Settings()
    folder = session.sparkContext.getConf().get("spark.repl.class.outputDir")
    if folder is None:
        raise RuntimeError("Scala needs spark.repl.class.outputDir to be set before Spark starts")
    arguments = ["-Yrepl-class-based", "-Yrepl-outdir", folder, "-classpath", _class_path(jvm)]
    settings.processArguments(jvm.org.apache.spark.api.python.PythonUtils.toSeq(arguments).toList(), True)
    return settings


def _class_path(jvm: Any) -> str:
    return str(jvm.java.lang.System.getProperty("java.class.path"))


def _interpreter(jvm: Any, settings: Any, printer: Any) -> Any:
    repl = jvm.scala.tools.nsc.interpreter
    if str(jvm.scala.util.Properties.versionNumberString()).startswith("2.12."):
        interpreter = repl.IMain(settings, printer)
        interpreter.initializeSynchronous()
    else:
        interpreter = repl.IMain(settings, repl.shell.ReplReporterImpl(settings, printer))
        interpreter.initializeCompiler()
    return interpreter
