"""In: the labels of the tables and a form. Out: the tree of labels, one label with its health, and its new versions."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, g, redirect, render_template, request, url_for

from contract.curation.definitions import Option
from contract.errors import ThumbwheelError
from processor.console.curation.defining import define_label, move_label, restore_label
from processor.console.permissions import needs
from processor.console.services import project, reading
from processor.curation.labels import LabelDef, former_paths
from processor.queries.labels import find_label, label_counts, label_health, label_history, list_labels

blueprint = Blueprint("labels", __name__, url_prefix="/labels")
KINDS = ("bool", "choice", "multi", "rating", "text", "pairwise", "ranking", "span", "correction")
SCOPES = ("interaction", "candidate", "pair", "span")


@blueprint.get("")
@needs("label.read")
def index() -> Any:
    """Show the tree of labels."""
    return _list_page()


@blueprint.post("")
@needs("label.edit")
def define() -> Any:
    """Define a label from the form; say beside the form what was wrong."""
    path = request.form.get("path", "").strip()
    known = bool(request.form.get("version"))
    try:
        made = define_label(g.user, project(), _label_of_form())
    except ThumbwheelError as error:
        return (_one_page(path, error) if known else _list_page(error)), error.status
    return redirect(url_for(".detail", path=made.path), 303)


@blueprint.post("/move")
@needs("label.edit")
def move() -> Any:
    """Give a label another path."""
    path = request.form.get("path", "")
    try:
        made = move_label(g.user, project(), path, request.form.get("to", "").strip())
    except ThumbwheelError as error:
        return _one_page(path, error), error.status
    return redirect(url_for(".detail", path=made.path), 303)


@blueprint.post("/restore")
@needs("label.edit")
def restore() -> Any:
    """Define a label once more as it was."""
    path = request.form.get("path", "")
    try:
        restore_label(g.user, project(), path, request.form.get("event_id", ""))
    except ThumbwheelError as error:
        return _one_page(path, error), error.status
    return redirect(url_for(".detail", path=path), 303)


@blueprint.get("/<path:path>")
@needs("label.read")
def detail(path: str) -> Any:
    """Show one label: its form, its answers, its history."""
    return _one_page(path)


def _list_page(problem: ThumbwheelError | None = None) -> str:
    with reading() as cursor:
        labels = list_labels(cursor, project())
        counts = label_counts(cursor, project(), labels)
    standing = {path: label for path, label in labels.items() if not label.moved_to}
    items = [(label, _depth(label, standing), counts[path]) for path, label in _tree(standing)]
    return render_template(
        "labels.html", items=items, problem=problem, given=request.form if problem else {"kind": "bool"}, kinds=KINDS,
        scopes=SCOPES, labels=standing, may_edit=g.user.may("label.edit"),
    )  # fmt: skip


def _one_page(path: str, problem: ThumbwheelError | None = None) -> str:
    with reading() as cursor:
        labels = list_labels(cursor, project())
        label = find_label(labels, path)
        history = label_history(cursor, project(), label.path)
        own = former_paths(labels, label.path)
        health = label_health(cursor, project(), own)
    return render_template(
        "label.html", label=label, history=list(reversed(history)), former=own[1:], health=health, problem=problem,
        given=request.form if problem else form_of(label), kinds=KINDS, scopes=SCOPES,
        labels={name: one for name, one in labels.items() if not one.moved_to and name != label.path},
        may_edit=g.user.may("label.edit"),
    )  # fmt: skip


def _tree(labels: dict[str, LabelDef]) -> list[tuple[str, LabelDef]]:
    """Return the labels, each after the one it stands below."""
    below: dict[str | None, list[str]] = {}
    for path, label in labels.items():
        below.setdefault(label.parent if label.parent in labels else None, []).append(path)
    found: list[tuple[str, LabelDef]] = []
    waiting = list(reversed(below.get(None, [])))
    while waiting:
        path = waiting.pop()
        found.append((path, labels[path]))
        waiting += reversed(below.get(path, []))
    return found


def _depth(label: LabelDef, labels: dict[str, LabelDef]) -> int:
    depth = 0
    while label.parent in labels and depth < 20:
        label, depth = labels[str(label.parent)], depth + 1
    return depth


def _label_of_form() -> dict[str, Any]:
    """Return the form's label: a choice a line, `key | English | Chinese | shortcut`; `-` before it archives it."""
    form = request.form
    body: dict[str, Any] = {
        "path": form.get("path", "").strip(), "kind": form.get("kind", "bool"), "scope": form.get("scope"),
        "title": {"en": form.get("title", "").strip(), "zh": form.get("title_zh", "").strip()},
        "description": {"en": form.get("description", "").strip(), "zh": form.get("description_zh", "").strip()},
        "required": "required" in form, "deprecated": "deprecated" in form,
    }  # fmt: skip
    for name in ("parent", "guideline"):
        if text := form.get(name, "").strip():
            body[name] = text
    if body["kind"] == "rating":
        body |= {name: _number(form.get(name, ""), name) for name in ("min", "max", "step") if form.get(name)}
    if body["kind"] in ("choice", "multi"):
        body["choices"] = [_choice(line) for line in form.get("choices", "").splitlines() if line.strip()]
    if version := form.get("version", ""):
        body["version"] = int(_number(version, "version"))
    return body


def _choice(line: str) -> dict[str, Any]:
    archived = line.strip().startswith("-")
    key, title, title_zh, shortcut, *_ = [part.strip() for part in line.strip().lstrip("-").split("|")] + [""] * 4
    return {"key": key, "title": {"en": title, "zh": title_zh}, "shortcut": shortcut, "archived": archived}


def form_of(label: LabelDef) -> dict[str, Any]:
    """Return what the form shows of a label."""
    given: dict[str, Any] = {
        "path": label.path, "kind": label.kind, "scope": label.scope, "title": label.title.en,
        "title_zh": label.title.zh, "description": label.description.en, "description_zh": label.description.zh,
        "parent": label.parent or "", "guideline": label.guideline or "", "version": label.version,
        "choices": "\n".join(map(_line, label.choices)),
    }  # fmt: skip
    given |= {name: f"{value:g}" for name in ("min", "max", "step") if (value := getattr(label, name)) is not None}
    return given | {name: "1" for name in ("required", "deprecated") if getattr(label, name)}


def _line(choice: Option) -> str:
    parts = [choice.key, choice.title.en, choice.title.zh, choice.shortcut]
    while parts[-1] == "" and len(parts) > 1:
        parts.pop()
    return ("- " if choice.archived else "") + " | ".join(parts)


def _number(text: str, name: str) -> float:
    try:
        number = float(text)
    except ValueError as error:
        raise ThumbwheelError("invalid_label", f"{text!r} is no number.", "For example 5.", name) from error
    if not abs(number) < 1e9:
        raise ThumbwheelError("invalid_label", f"{text!r} is out of range.", "For example 5.", name)
    return number
