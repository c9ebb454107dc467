"""agreement: how far people agree on a label, who is right how often, and what is worth a look."""

from __future__ import annotations

from typing import Any

import click

from cli.api import data_api
from cli.context import Context, pass_context, shared_options
from contract.errors import ThumbwheelError


@click.command()
@click.option("--label", metavar="PATH", help="A label, over all tasks.")
@click.option("--task", "task_id", metavar="ID", help="Each label of a task.")
@shared_options
@pass_context
def agreement(context: Context, label: str | None, task_id: str | None) -> None:
    """Say how far people agree on a label, with intervals and of how many items; and who is right how often."""
    if (label is None) == (task_id is None):
        raise ThumbwheelError("bad_choice", "Neither a label nor a task.", "Give one of --label and --task.")
    asked = {"label": label} if label is not None else {"task": task_id}
    found = data_api(context.settings, context.project).get("/api/v1/agreement", **asked)
    if context.as_json:
        context.result(found)
        return
    for one in found["items"]:
        for line in _lines(one):
            context.say(line)


def _lines(one: dict[str, Any]) -> list[str]:
    if one["unmeasured"]:
        return [f"{one['label']}: no figures ({one['unmeasured']})"]
    parts = [("all", one["whole"])]
    if len(one["by_version"]) > 1:
        parts += [(f"version {part['version']}", part) for part in one["by_version"]]
    parts += [(f"language {part['language']}", part) for part in one["by_language"]]
    lines = [f"{one['label']}: Krippendorff's alpha ({one['metric']}), raw share, items with two answers of all"]
    for name, part in parts:
        coverage = part["coverage"]
        lines.append(f"  {name}: {_told(part['alpha'])}  {_told(part['share'])}  "
                     f"{coverage['compared']} of {coverage['items']}")  # fmt: skip
    lines += [f"  {one['person']}: as the crowd makes likely {_told(one['accuracy'])}, {one['accuracy']['n']} answers"
              for one in one["people"]]  # fmt: skip
    lines += [f"  look at {', '.join(flag['people'])}: {flag['kind']}, seen {flag['seen']:.2f}, "
              f"expected {flag['expected']:.2f}, of {flag['n']}" for flag in one["flags"]]  # fmt: skip
    return lines


def _told(estimate: dict[str, Any]) -> str:
    if estimate["value"] is None:
        return "not defined"
    interval = "" if estimate["low"] is None else f" ({estimate['low']:.2f} to {estimate['high']:.2f})"
    return f"{estimate['value']:.2f}{interval}"


COMMANDS = (agreement,)
