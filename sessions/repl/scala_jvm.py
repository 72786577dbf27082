"""Starts the Scala interpreter of the driver's JVM, from the jars that every Spark distribution has.

Decides its settings, its class path and what is predefined in it. Knows no statements.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

# The interpreter's own side, in the order in which it is compiled.
SOURCES = [Path(__file__).with_name(name) for name in ("scala_values.scala", "scala_bridge.scala")]

PACKAGE = "scala/tools/nsc/interpreter"
OUTPUT = "spark.repl.class.outputDir"  # where the interpreter writes what it compiles

QUIET = "-Wconf:cat=deprecation:silent,cat=feature:silent"

# Transient, because a closure takes the line it stands in along to the executors.
PREDEFINED = """
@transient val spark = org.apache.spark.repl.Main.sparkSession
@transient val sc = spark.sparkContext
@transient val sqlContext = spark.sqlContext
import org.apache.spark.SparkContext._
import spark.implicits._
import spark.sql
import org.apache.spark.sql.functions._
"""


def start(session: Any, cache: Path | None) -> Any:
    """A bridge to a new interpreter for the pyspark `session`. Raises RuntimeError when there is none to be had.

    To compile the bridge takes as long as all the rest, so its classes are kept in the folder `cache` for the next one.
    """
    jvm = session._jvm
    messages = jvm.java.io.StringWriter()
    conf = session.sparkContext.getConf()
    interpreter = _interpreter(jvm, _settings(jvm, conf), jvm.java.io.PrintWriter(messages))
    kept = None if cache is None else cache / _version(jvm)
    if kept is not None and kept.is_dir():
        loader = _loader(session, kept, interpreter.classLoader().getParent())
    else:
        _compile(interpreter, messages)
        loader = interpreter.classLoader()
        if kept is not None:
            _keep(Path(conf.get(OUTPUT)) / PACKAGE, kept)
    arguments = session.sparkContext._gateway.new_array(jvm.java.lang.Object, 2)
    arguments[0], arguments[1] = interpreter, messages
    return loader.loadClass("scala.tools.nsc.interpreter.GatewayBridge").getConstructors()[0].newInstance(arguments)


def _version(jvm: Any) -> str:
    """A name for the classes of exactly these sources, Scala and Spark."""
    scala, spark = jvm.scala.util.Properties.versionNumberString(), jvm.org.apache.spark.package.SPARK_VERSION()
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in SOURCES)).hexdigest()[:16]
    return f"scala-{scala}-spark-{spark}-{digest}"


def _compile(interpreter: Any, messages: Any) -> None:
    for source in SOURCES:
        if not interpreter.compileString(source.read_text("utf-8")):
            raise RuntimeError(f"{source.name} does not compile: {messages.toString()}")


def _loader(session: Any, folder: Path, parent: Any) -> Any:
    jvm = session._jvm
    urls = session.sparkContext._gateway.new_array(jvm.java.net.URL, 1)
    urls[0] = jvm.java.io.File(str(folder)).toURI().toURL()
    return jvm.java.net.URLClassLoader(urls, parent)


def _keep(made: Path, kept: Path) -> None:
    """Copy the bridge's classes, whole or not at all. The cache is a comfort: nothing depends on it."""
    try:
        kept.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(prefix="build-", dir=kept.parent) as folder:
            whole = Path(folder) / "classes"
            shutil.copytree(made, whole / PACKAGE)
            whole.rename(kept)
    except OSError as exc:
        print(f"the Scala interpreter's classes were not kept: {exc}", file=sys.stderr)


def predefine(bridge: Any, session: Any) -> None:
    """Bind `spark` and its companions to the pyspark `session`, and import what spark-shell does."""
    main = session._jvm.org.apache.spark.repl.Main
    getattr(main, "sparkContext_$eq")(session.sparkContext._jsc.sc())
    getattr(main, "sparkSession_$eq")(session._jsparkSession)
    outcome = bridge.run(PREDEFINED, True)
    if outcome.status() != "ok":
        raise RuntimeError(outcome.text())


def _settings(jvm: Any, conf: Any) -> Any:
    folder = conf.get(OUTPUT)
    if folder is None:
        raise RuntimeError(f"{OUTPUT} must be set before Spark starts")
    # Jars of the session are in a loader of their own, which spark-submit leaves to its threads.
    loader = jvm.java.lang.Thread.currentThread().getContextClassLoader()
    jars = filter(None, conf.get("spark.repl.local.jars", "").split(","))
    local = [jvm.org.apache.spark.util.Utils.resolveURI(jar).getPath() for jar in jars]
    path = ":".join([jvm.java.lang.System.getProperty("java.class.path"), *local])
    # No summaries of warnings, which end with advice for another shell.
    arguments = ["-Yrepl-class-based", "-Yrepl-outdir", folder, "-classpath", path, QUIET]
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
