"""replay and doctor: rebuild, and find out what is wrong."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

import click
from rich.progress import Progress

from cli.context import Context, pass_context, shared_options
from cli.home import find_running
from eventlog.errors import ThumbwheelError


@click.command()
@shared_options
@pass_context
def replay(context: Context) -> None:
    """Rebuild the database from the log and swap it in; the processor must not run."""
    from dataclasses import asdict

    from processor.replay import replay as run_replay

    if find_running(context.settings.home):
        raise ThumbwheelError("still_running", "Thumbwheel runs in this home.", "Stop `thumbwheel up` first.")
    with Progress(console=context.console, transient=True, disable=context.as_json) as bar:
        task = bar.add_task("Replaying", total=None)
        report = run_replay(context.settings, lambda done, total: bar.update(task, completed=done, total=total))
    same = "There was no database before." if report.differing is None else (
        f"These tables differ from before: {', '.join(report.differing)}." if report.differing else "Equal to before."
    )  # fmt: skip
    context.result(asdict(report), f"Replayed {report.records} records in {report.seconds:.1f} s. {same}")


@click.command()
@shared_options
@pass_context
def doctor(context: Context) -> None:
    """Check this machine and home, and say what to mend."""
    findings = list(_findings(context))
    context.table(findings, ("what", "state", "hint"), "Nothing to check.")
    if any(finding["state"].startswith("bad") for finding in findings):
        if context.as_json:
            raise SystemExit(1)
        raise ThumbwheelError("not_well", "Something needs mending.", "See the lines above.")


def _findings(context: Context) -> list[dict[str, Any]]:
    from cli import checks
    from eventlog.sqlite import check_sqlite_version

    def sqlite() -> str:
        import apsw

        check_sqlite_version(apsw.sqlite_lib_version())
        return str(apsw.sqlite_lib_version())

    def python() -> str:
        checks.check_python()
        return sys.version.split()[0]

    settings = context.settings

    def home() -> str:
        checks.check_home(settings.home)
        return str(settings.home)

    def base_model() -> str:
        checks.check_base_model(settings)
        return settings.base_model

    found = [
        _check("Python", python),
        _check("home", home),
        _check("disk and memory", lambda: "; ".join(checks.low_resources(settings.home)) or "enough"),
        _check("SQLite of the log", sqlite),
        _check("base model", base_model),
        _check("log", lambda: _log_state(settings.log_url)),
    ]
    found.append({"what": "running", "state": "yes" if find_running(settings.home) else "no", "hint": ""})
    found.append(_checksums())
    found += [
        {"what": name, "state": _version(name), "hint": ""}
        for name in ("duckdb", "torch", "transformers", "peft", "trl")
    ]
    return found


def _checksums() -> dict[str, Any]:
    crc = find_spec("crc32c") is not None
    hint = "" if crc else "pip install 'kafka-python[crc32c]': three times faster writes, five times faster reads"
    return {"what": "Kafka checksums", "state": "fast" if crc else "slow", "hint": hint}


def _check(what: str, look: Any) -> dict[str, Any]:
    try:
        return {"what": what, "state": look(), "hint": ""}
    except ThumbwheelError as error:
        return {"what": what, "state": f"bad: {error.message}", "hint": error.hint}


def _log_state(url: str) -> str:
    from eventlog.log import open_log
    from eventlog.topics import EVENTS

    log = open_log(url)
    try:
        log.check()
        written = sum(log.end_offset(EVENTS, p) for p in range(log.partitions(EVENTS)))
        return f"{written} events, durable by {log.promise}"
    finally:
        log.close()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


COMMANDS = (replay, doctor)
