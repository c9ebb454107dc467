"""forget: take a person out of everything that is stored."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from cli.api import data_api
from cli.context import Context, pass_context, shared_options
from contract.errors import ThumbwheelError
from contract.ids import is_wire_id
from runtime.data_api import Api

WAIT_S = 300.0
LOOK_S = 0.2
_KINDS = {
    "events": "events", "interactions": "of them prompts with their replies", "feedback": "of them feedback",
    "pairs": "pairs", "demonstrations": "demonstrations", "unpaired": "unpaired rows", "conflicts": "conflicts",
    "rejected": "rejected events that name the actor",
}  # fmt: skip


@click.command()
@click.argument("actor")
@click.option("--before", default=None, metavar="TIME", help="Only what is older, such as 2026-01-31T12:00:00Z.")
@click.option("--datasets", is_flag=True, help="Delete the datasets that hold the person, too.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@shared_options
@pass_context
def forget(context: Context, actor: str, before: str | None, datasets: bool, yes: bool) -> None:
    """Take a person out of log and tables: every event with this actor id."""
    if not is_wire_id(actor):
        hint = "Give one whole id: 1 to 128 visible ASCII characters."
        raise ThumbwheelError("invalid_actor", "That is no actor id.", hint)
    api = data_api(context.settings, context.project)
    asked: dict[str, Any] = {"actor": actor} | ({"before": before} if before else {})
    found = api.post("/api/v1/forget/preview", asked)
    for line in _foretell(found, datasets):
        context.say(line)
    if not yes:
        if context.as_json:
            raise ThumbwheelError("not_confirmed", "This cannot be undone.", "Add --yes.")
        click.confirm("Forget this person? It cannot be undone", abort=True)
    # The time of the preview: what was counted is what goes.
    done = api.post("/api/v1/forget", asked | {"before": found["before"], "datasets": datasets})
    done["progress"] = _wait(api, done["event_id"])
    done["backups"] = [str(path) for path in sorted((Path(context.settings.home) / "backups").glob("*"))]
    context.result(done, "\n".join(_tell(done)))


def _foretell(found: dict[str, Any], datasets: bool) -> list[str]:
    counts = found["counts"]
    removed = ", ".join(f"{counts[kind]} {name}" for kind, name in _KINDS.items() if counts[kind])
    lines = [f"From before {found['before']} this removes: {removed or 'nothing, it was forgotten before'}."]
    if counts["facts_without_name"]:
        lines.append(f"{counts['facts_without_name']} wishes and definitions lose the name, and stay.")
    if counts["prompts_told_by_others"]:
        lines.append(
            f"{counts['prompts_told_by_others']} interactions the person judged were told by another actor and stay."
        )
    for row in found["datasets"]:
        lines.append(f"Dataset {row['dataset_id']} holds {row['rows']} of these rows{_fate(datasets)}")
    lines += [f"Adapter {row['adapter_id']} ({row['state']}) was trained on them." for row in found["adapters"]]
    return lines


def _fate(datasets: bool) -> str:
    return " and is deleted." if datasets else " and stays; --datasets deletes it."


def _wait(api: Api, event_id: str) -> dict[str, Any]:
    """Wait until log and tables hold nothing any more; return what is still going on after some minutes."""
    deadline = time.monotonic() + WAIT_S
    state: dict[str, Any] = {"events": 0, "log": "pending", "file": "pending"}
    while time.monotonic() < deadline:
        try:
            state = api.get(f"/api/v1/forget/{event_id}")
        except ThumbwheelError as error:
            if error.status not in (404, 503):
                raise
        if "pending" not in (state["log"], state["file"]):
            break
        time.sleep(LOOK_S)
    return state


def _tell(done: dict[str, Any]) -> list[str]:
    state = done["progress"]
    log = {
        "erased": "The log holds nothing of them.",
        "kept": "The log is Kafka's and still holds them: docs/concepts/privacy.md says what to do.",
        "pending": "The log is still being cleaned; the processor goes on with it.",
    }[state["log"]]
    lines = [f"Forgotten: {state['events']} events, {done['counts']['rejected']} rejected ones. {log}"]
    if state["file"] == "pending":
        lines.append("The database's file is still being written anew; the processor goes on with it.")
    if state.get("archive"):
        lines.append("The archive is written anew without them by the next `thumbwheel archive`.")
    lines += [f"Deleted dataset {dataset_id}." for dataset_id in done["deleted"]]
    if done["adapters"]:
        names = ", ".join(row["adapter_id"] for row in done["adapters"])
        lines.append(f"What {names} learned stays. To replace them: thumbwheel train --from base, then promote.")
    if done["backups"]:
        lines.append(f"Backups from before still hold the person: {', '.join(done['backups'])}.")
    return lines


COMMANDS = (forget,)
