"""The command line: serve, supervise, stop, migrate, settings, doctor. A composition root."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

import click

import gateway
from gateway.core.errors import GatewayError
from gateway.core.settings import Settings, printing, reading


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--config", type=click.Path(path_type=Path), help="A TOML file of settings.")
@click.version_option(gateway.__version__, prog_name="spark-gateway")
@click.pass_context
def main(context: click.Context, config: Path | None) -> None:
    """One HTTP door to Apache Spark."""
    if config is not None:
        os.environ[reading.FILE_VARIABLE] = str(config.absolute())  # for the processes that we start, too
    context.obj = reading.load(os.environ)
    _log_to_terminal()


@main.command()
@click.pass_obj
def serve(settings: Settings) -> None:
    """Serve HTTP, with the supervisor beside it."""
    from gateway import doctor
    from gateway.server import Children, share_metrics, web_command

    doctor.require_startable(settings)
    click.echo(doctor.where(settings))
    share_metrics(settings)
    Children({"supervisor": [sys.executable, "-m", "gateway", "supervise"], "web": web_command(settings)}).run()
    from gateway import stop as stopping  # now, for the same reason as in doctor
    from gateway import stores

    if not stores.is_supervised(settings) and (left := stopping.words(stopping.going_on(settings))):
        click.echo(left)


@main.command()
@click.pass_obj
def stop(settings: Settings) -> None:
    """End all sessions and batches, whether the gateway runs or not; wait until they have ended."""
    from gateway import stop as stopping

    if not stopping.stop(settings, click.echo):
        sys.exit(1)


@main.command()
@click.pass_obj
def supervise(settings: Settings) -> None:
    """Be the supervisor: launch, run, watch and end what the store says."""
    from gateway import supervisor

    supervisor.run(settings)


@main.command()
@click.pass_obj
def migrate(settings: Settings) -> None:
    """Bring the store up to date (every start does so itself)."""
    from gateway import stores

    db = stores.open_store(settings)
    applied = db.migrate(stores.MIGRATIONS)
    click.echo(f"{db.where}: {'applied ' + ', '.join(applied) if applied else 'up to date'}")


@main.command(name="settings")
@click.option("--markdown", is_flag=True, help="Write the page of the docs instead, with the defaults.")
@click.pass_obj
def show_settings(settings: Settings, markdown: bool) -> None:
    """Show every setting: its value here and what it means."""
    if markdown:
        click.echo(printing.page())
        return
    for name, value, meaning in printing.describe(settings):
        click.echo(f"{name} = {value}\n    {meaning}")


@main.command()
@click.pass_obj
def doctor(settings: Settings) -> None:
    """Check Java, Spark, Python, the port, the store and permissions; say what to do about what is wrong."""
    from gateway import doctor as checks

    findings = checks.examine(settings)
    for finding in findings:
        click.echo(f"{'ok  ' if finding.fine else 'FAIL'} {finding.what}: {finding.says}")
    if not all(finding.fine for finding in findings):
        sys.exit(1)


class _WithIds(logging.Formatter):
    """Adds the ids of the records that a line is about, where it names any."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (as logging has it)
        named = [name for name in ("session", "statement", "batch", "driver") if hasattr(record, name)]
        return " ".join([super().formatMessage(record), *(f"{name}={getattr(record, name)}" for name in named)])


def _log_to_terminal() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(_WithIds("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def _in_utf8() -> None:
    """Start again in Python's UTF-8 mode where the locale has another encoding: paths and arguments are UTF-8."""
    if sys.getfilesystemencoding() != "utf-8":
        words = [sys.executable, "-m", "gateway", *sys.argv[1:]]
        os.execve(sys.executable, words, {**os.environ, "PYTHONUTF8": "1"})  # noqa: S606 (no shell is wanted)


def run() -> None:
    """The entry point: errors on purpose are one sentence on the terminal, without a trace."""
    _in_utf8()
    try:
        main(standalone_mode=True)
    except GatewayError as error:
        click.echo(f"spark-gateway: {error}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    run()
