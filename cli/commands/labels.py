"""label: what annotators are asked, listed, defined from a file, and moved."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import click

from cli.api import data_api
from cli.context import Context, pass_context, shared_options
from contract.errors import ThumbwheelError
from runtime.data_api import Api

# What the data API calls a field of one of several labels.
_AT = re.compile(r"labels\[(\d+)\]")
COLUMNS = ("path", "kind", "scope", "version", "answers", "people", "title")


@click.group()
def label() -> None:
    """Labels: the questions that people answer about replies and conversations."""


@label.command("list")
@shared_options
@pass_context
def list_labels(context: Context) -> None:
    """List labels, with how much each was answered."""
    rows = [
        {**item, **item["counts"], "title": item["title"].get("en") or item["title"].get("zh") or ""}
        for item in data_api(context.settings, context.project).items("/api/v1/labels")
        if "path" in item and not item["moved_to"]
    ]
    context.table(rows, COLUMNS, "No label yet: thumbwheel label import FILE, or the console's page of labels.")


@label.command("move")
@click.argument("path")
@click.argument("to")
@shared_options
@pass_context
def move(context: Context, path: str, to: str) -> None:
    """Give a label another path; its answers stay readable under both."""
    made = data_api(context.settings, context.project).post("/api/v1/labels/move", {"path": path, "to": to})
    context.result(made, f"{path} is {made['path']} now (version {made['version']}).")


@label.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Read and count, define nothing.")
@shared_options
@pass_context
def import_(context: Context, file: Path, dry_run: bool) -> None:
    """Define the labels of a file: JSON (a list, or one object a line) or CSV with a column per field.

    A label that stands so already stays as it is. Parents are defined before what stands below them.
    """
    given = _read(file)
    api = data_api(context.settings, context.project)
    standing = {item["path"]: item for item in api.items("/api/v1/labels") if "path" in item}
    changed = [(row, body) for row, body in given if not _stands(standing.get(body["path"]), body)]
    if changed and not dry_run:
        _define(api, file, changed)
    verb = "would be defined" if dry_run else "defined"
    told = {"labels": len(given), "changed": [body["path"] for _, body in changed], "dry_run": dry_run}
    context.result(told, f"{len(changed)} of {len(given)} labels {verb}, {len(given) - len(changed)} stand so already.")


def _define(api: Api, file: Path, changed: list[tuple[int, dict[str, Any]]]) -> None:
    """Define all of them or none; raises ThumbwheelError that names the one at fault."""
    try:
        api.post("/api/v1/labels", {"labels": [body for _, body in changed]})
    except ThumbwheelError as error:
        found = _AT.match(error.field or "")
        row, body = changed[int(found[1])] if found else changed[0]
        where = f"{file.name}, label {row} ({body['path']}): " if found or len(changed) == 1 else ""
        raise ThumbwheelError(error.code, f"{where}{error.message}", f"{error.hint} No label was defined.") from error


def _read(file: Path) -> list[tuple[int, dict[str, Any]]]:
    """Return the labels of a file with their number, each after its parent; raises ThumbwheelError that names one."""
    try:
        text = file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ThumbwheelError(
            "bad_file", f"{file} cannot be read: {error}", "Give a JSON or CSV file in UTF-8."
        ) from error
    bodies = _of_csv(text) if file.suffix.lower() == ".csv" else _of_json(file, text)
    found: dict[str, tuple[int, dict[str, Any]]] = {}
    for number, body in enumerate(bodies, 1):
        if not isinstance(body, dict) or not isinstance(body.get("path"), str):
            raise ThumbwheelError(
                "bad_file", f"{file.name}, label {number}: it has no path.", "Give each label a path."
            )
        if body["path"] in found:
            raise ThumbwheelError(
                "bad_file", f"{file.name}, label {number}: {body['path']} stands there twice.", "Keep one of them."
            )
        found[body["path"]] = (number, body)
    return _parents_first(found)


def _of_json(file: Path, text: str) -> list[Any]:
    try:
        if text.lstrip().startswith("["):
            listed: list[Any] = json.loads(text)
            return listed
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    except (ValueError, RecursionError) as error:
        raise ThumbwheelError("bad_file", f"{file.name} is not JSON: {error}", "Send a list of labels.") from error


def _of_csv(text: str) -> list[dict[str, Any]]:
    """Return the labels of a CSV: `title`, `title_zh`, `description`, `description_zh`, `choices` as `key|key`."""
    found = []
    for row in csv.DictReader(io.StringIO(text)):
        given = {name: value.strip() for name, value in row.items() if name and value and value.strip()}
        body: dict[str, Any] = {
            name: given[name] for name in ("path", "kind", "scope", "parent", "guideline") if name in given
        }
        for name in ("title", "description"):
            if name in given or f"{name}_zh" in given:
                body[name] = {"en": given.get(name, ""), "zh": given.get(f"{name}_zh", "")}
        for name in ("min", "max", "step"):
            if name in given:
                body[name] = _number(given[name], name)
        if "choices" in given:
            body["choices"] = [{"key": key.strip()} for key in given["choices"].split("|") if key.strip()]
        if "required" in given:
            body["required"] = given["required"].lower() in ("1", "true", "yes")
        found.append(body)
    return found


def _number(text: str, name: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise ThumbwheelError("bad_file", f"{name} {text!r} is no number.", "For example 5.") from error


def _parents_first(found: dict[str, tuple[int, dict[str, Any]]]) -> list[tuple[int, dict[str, Any]]]:
    ordered: dict[str, tuple[int, dict[str, Any]]] = {}

    def take(path: str, above: tuple[str, ...]) -> None:
        parent = found[path][1].get("parent")
        if parent in found and parent not in ordered and parent not in above:
            take(parent, (*above, path))
        ordered[path] = found[path]

    for path in found:
        if path not in ordered:
            take(path, ())
    return list(ordered.values())


def _stands(held: dict[str, Any] | None, body: dict[str, Any]) -> bool:
    """Say whether a label is defined as the file has it; texts and choices may be written in short."""
    if held is None:
        return False
    return all(_same(held.get(name), value) for name, value in body.items() if name != "version")


def _same(held: Any, given: Any) -> bool:
    if isinstance(held, dict):
        written = {"en": given} if isinstance(given, str) else given
        return isinstance(written, dict) and all(_same(held.get(key), written.get(key)) for key in {*held, *written})
    if isinstance(held, list) and isinstance(given, list):
        return len(held) == len(given) and all(_same(one, other) for one, other in zip(held, given, strict=True))
    return bool(held == given) or (held in ("", None, False) and given in ("", None, False, {}))


COMMANDS = (label,)
