"""task: what annotators answer, made from a file, filled, watched, paused, closed, and its answers taken out."""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path
from typing import Any, TextIO

import click

from cli.api import data_api
from cli.context import Context, pass_context, shared_options
from contract.errors import ThumbwheelError
from runtime.data_api import Api

COLUMNS = ("task_id", "state", "title", "labels", "items", "settled", "disputed")
# A request of the console takes so many references.
AT_ONCE = 5000


@click.group()
def task() -> None:
    """Labelling tasks: which interactions people answer questions about, how many of them, and who checks."""


@task.command("create")
@click.argument("file", type=click.Path(path_type=Path))
@shared_options
@pass_context
def create(context: Context, file: Path) -> None:
    """Make a task from a TOML or JSON file; with the `version` it has, change it.

    A new task takes in what its query matches now.
    """
    api = data_api(context.settings, context.project)
    made = api.post("/api/v1/tasks", _read(file))
    context.result(
        made, f"Task {made['task_id']} is at version {made['version']}. See it: thumbwheel task show {made['task_id']}"
    )


@task.command("add")
@click.argument("name", metavar="TASK")
@click.option("--item", "items", multiple=True, metavar="ID[:UNIT]", help="An interaction, or a part of it.")
@click.option("--file", type=click.Path(path_type=Path), help="JSON lines: interaction_id, unit.")
@click.option("--query", metavar="JSON", help='A query, such as \'{"include_labels": ["refund"]}\'.')
@shared_options
@pass_context
def add(context: Context, name: str, items: tuple[str, ...], file: Path | None, query: str | None) -> None:
    """Take in items: by reference, from a file, or what a query matches. Adding an item twice adds nothing."""
    if (query is None) == (not items and file is None):
        raise ThumbwheelError("bad_choice", "Neither items nor a query.", "Give --item, --file or --query.")
    api = data_api(context.settings, context.project)
    found = {"matched": 0, "added": 0}
    for body in _bodies(items, file, query):
        done = api.post(f"/api/v1/tasks/{name}/items", body)
        found = {key: found[key] + done[key] for key in found}
    context.result(found, f"{found['added']} of {found['matched']} items added, the others are in the task already.")


@task.command("list")
@shared_options
@pass_context
def list_tasks(context: Context) -> None:
    """List tasks, newest first."""
    api = data_api(context.settings, context.project)
    rows = [_row(api, one) for one in api.items("/api/v1/tasks")]
    context.table(rows, COLUMNS, "No task yet: thumbwheel task create FILE.")


@task.command("show")
@click.argument("name", metavar="TASK")
@shared_options
@pass_context
def show(context: Context, name: str) -> None:
    """Show one task: how far it is, and what is stuck."""
    one = data_api(context.settings, context.project).get(f"/api/v1/tasks/{name}")
    if context.as_json:
        context.result(one)
        return
    counts = one["progress"]
    context.say(f"{one['task_id']} ({one['state']}, version {one['version']}): {counts['items']} items")
    for title, found in (("items", counts["states"]), ("people", counts["people"]), ("labels", counts["labels"])):
        for key, value in found.items():
            told = value if isinstance(value, int) else ", ".join(f"{what} {n}" for what, n in value.items())
            context.say(f"  {title}: {key}: {told}")
    for item in one["stuck"]:
        context.say(f"  stuck: {item['interaction_id']} {item['unit']} {item['state']}: {item['why']}")


@task.command("close")
@click.argument("name", metavar="TASK")
@click.option("--reason", help="Why.")
@shared_options
@pass_context
def close(context: Context, name: str, reason: str | None) -> None:
    """Close a task: nobody gets items of it any more, its answers stay."""
    _set_state(context, name, "closed", reason)


@task.command("pause")
@click.argument("name", metavar="TASK")
@click.option("--reason", help="Why.")
@shared_options
@pass_context
def pause(context: Context, name: str, reason: str | None) -> None:
    """Pause a task: nobody gets items of it for now."""
    _set_state(context, name, "paused", reason)


@task.command("open")
@click.argument("name", metavar="TASK")
@shared_options
@pass_context
def open_(context: Context, name: str) -> None:
    """Open a paused or closed task again."""
    _set_state(context, name, "open", None)


@task.command("export")
@click.argument("name", metavar="TASK")
@click.option("--output", type=click.Path(path_type=Path), help="A new file; standard output without it.")
@shared_options
@pass_context
def export(context: Context, name: str, output: Path | None) -> None:
    """Write every answer of a task, an object a line, those that no longer count too, with their state."""
    api = data_api(context.settings, context.project)
    api.get(f"/api/v1/tasks/{name}")
    if output is None:
        _write(api, name, sys.stdout)
        return
    try:
        with output.open("x", encoding="utf-8") as target:
            written = _write(api, name, target)
    except OSError as error:
        raise ThumbwheelError("bad_file", f"{output} cannot be written: {error}", "Name a new file.") from error
    context.result({"answers": written, "file": str(output)}, f"{written} answers written to {output}.")


def _write(api: Api, name: str, target: TextIO) -> int:
    query: dict[str, Any] = {"task": name, "limit": 500}
    written = 0
    while True:
        page = api.get("/api/v1/answers", **query)
        for one in page["items"]:
            target.write(json.dumps(one, ensure_ascii=False) + "\n")
        written += len(page["items"])
        if not page["next"]:
            return written
        query["cursor"] = page["next"]


def _set_state(context: Context, name: str, state: str, reason: str | None) -> None:
    body = {"state": state, **({"reason": reason} if reason else {})}
    done = data_api(context.settings, context.project).post(f"/api/v1/tasks/{name}/state", body)
    context.result(done, f"Task {name} is {state}.")


def _row(api: Api, one: dict[str, Any]) -> dict[str, Any]:
    counts = api.get(f"/api/v1/tasks/{one['task_id']}")["progress"]
    return {
        **one, "title": one["title"].get("en") or one["title"].get("zh") or "", "labels": " ".join(one["labels"]),
        "items": counts["items"], "settled": counts["states"].get("settled", 0),
        "disputed": counts["states"].get("disputed", 0),
    }  # fmt: skip


def _read(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text("utf-8-sig")
        body = tomllib.loads(text) if file.suffix.lower() == ".toml" else json.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise ThumbwheelError("bad_file", f"{file} cannot be read: {error}", "Give a TOML or JSON file.") from error
    except (ValueError, RecursionError) as error:
        kind = "TOML" if file.suffix.lower() == ".toml" else "JSON"
        raise ThumbwheelError("bad_file", f"{file.name} is not {kind}: {error}", "See the guide.") from error
    if not isinstance(body, dict):
        raise ThumbwheelError("bad_file", f"{file.name} holds no task.", "Give one object with labels and stages.")
    return body


def _bodies(items: tuple[str, ...], file: Path | None, query: str | None) -> list[dict[str, Any]]:
    if query is not None:
        try:
            return [{"query": json.loads(query)}]
        except (ValueError, RecursionError) as error:
            raise ThumbwheelError("bad_choice", f"--query is not JSON: {error}", "Quote it for the shell.") from error
    found = [dict(zip(("interaction_id", "unit"), text.partition(":")[::2], strict=True)) for text in items]
    if file is not None:
        found += _references(file)
    return [{"items": found[start : start + AT_ONCE]} for start in range(0, len(found), AT_ONCE)]


def _references(file: Path) -> list[dict[str, str]]:
    try:
        lines = file.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ThumbwheelError("bad_file", f"{file} cannot be read: {error}", "Give JSON lines in UTF-8.") from error
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            one = json.loads(line)
            found.append({"interaction_id": str(one["interaction_id"]), "unit": str(one.get("unit", ""))})
        except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
            raise ThumbwheelError(
                "bad_file", f"{file.name}, line {number}: no interaction_id.", 'Write {"interaction_id": "..."} a line.'
            ) from error
    return found


COMMANDS = (task,)
