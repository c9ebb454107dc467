"""replay, log copy and doctor: rebuild, move, and find out what is wrong."""

from __future__ import annotations

import json
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import click
from rich.progress import Progress

from cli.context import Context, pass_context, shared_options
from cli.home import find_running
from contract.errors import ThumbwheelError
from runtime.settings import Settings


@click.command()
@shared_options
@pass_context
def replay(context: Context) -> None:
    """Rebuild the database from the log and swap it in; the processor must not run."""
    from dataclasses import asdict

    from processor.history.replay import replay as run_replay

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
def archive(context: Context) -> None:
    """Move old records of the log to THUMBWHEEL_ARCHIVE, without people forgotten, and cut the log up to there."""
    from dataclasses import asdict

    from eventlog.opening import open_log
    from processor.history.archive import Archive
    from processor.history.archiving import archive_log

    settings = context.settings
    if not settings.archive:
        raise ThumbwheelError("no_archive", "THUMBWHEEL_ARCHIVE is not set.", "Name a folder or an fsspec address.")
    _check_source(settings.log_url)
    log = open_log(settings.log_url, settings.partitions or None)
    try:
        report = archive_log(settings, log, Archive(settings.archive))
    finally:
        log.close()
    moved = sum(report.moved.values())
    text = f"Moved {moved} records in {report.segments} files; {report.rewritten} written anew for people forgotten."
    context.result(asdict(report), text)


@click.group("log")
def log_group() -> None:
    """The event log."""


@log_group.command("copy")
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@click.option("--again", is_flag=True, help="Go on although TO holds records: events count once.")
@click.option("--partitions", type=click.IntRange(1, 1000), default=None, help="Of the topics made in TO.")
@shared_options
@pass_context
def copy(context: Context, source: str, target: str, again: bool, partitions: int | None) -> None:
    """Copy a log into another: sqlite:///path or kafka://host:9092; nothing may append to FROM meanwhile."""
    from eventlog.copying import copy_log
    from eventlog.opening import open_log
    from processor.history.archive import with_archive

    _check_source(source)
    if source == target:
        raise ThumbwheelError("same_log", "FROM and TO are one log.", "Name another TO.")
    if find_running(context.settings.home) and source == context.settings.log_url:
        raise ThumbwheelError("still_running", "Thumbwheel appends to this log.", "Stop `thumbwheel up` first.")
    own = source == context.settings.log_url
    opened = with_archive(open_log(source), context.settings.archive if own else "")
    try:
        with Progress(console=context.console, transient=True, disable=context.as_json) as bar:
            task = bar.add_task("Copying", total=None)
            written = open_log(target, partitions)
            try:
                report = copy_log(
                    opened, written, again, lambda done, total: bar.update(task, completed=done, total=total)
                )
            finally:
                written.close()
    finally:
        opened.close()
    context.result({"copied": report.copied}, f"Copied {report.total} records.")


def _check_source(url: str) -> None:
    """Refuse a file that is not there: opening it would make an empty log."""
    path = Path(url.removeprefix("sqlite:///"))
    if url.startswith("sqlite:///") and not path.is_file():
        raise ThumbwheelError("no_log", f"There is no log at {path}.", "Check the path.")


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
    from eventlog.embedded.log import check_sqlite_version

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
        _check("tables", lambda: _tables_state(settings)),
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
    from contract.topics import EVENTS
    from eventlog.opening import open_log

    log = open_log(url)
    try:
        log.check()
        written = sum(log.end_offset(EVENTS, p) for p in range(log.partitions(EVENTS)))
        return f"{written} events, durable by {log.promise}"
    finally:
        log.close()


def _tables_state(settings: Settings) -> str:
    """Look through the tables' file; while a processor has it open, ask that one."""
    from processor.tables.examining import examine_file

    path = settings.home / "processor" / "thumbwheel.duckdb"
    if not path.is_file():
        return "not made yet"
    if find_running(settings.home):
        return _said_by_the_console(settings)
    return f"{examine_file(path)} rows, whole"


def _said_by_the_console(settings: Settings) -> str:
    try:
        with urlopen(f"{settings.console_bind.url}/readyz", timeout=5) as answer:
            return str(json.load(answer)["status"])
    except HTTPError as error:
        with error:
            told = json.load(error).get("error", {})
        raise ThumbwheelError(told.get("code", ""), told.get("message", ""), told.get("hint", "")) from error
    except (OSError, ValueError) as error:
        raise ThumbwheelError("console_away", f"The console does not answer: {error}", "See its log.") from error


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


COMMANDS = (replay, archive, log_group, doctor)
