"""annotate: the queue in a terminal. guests: links for people without a user."""

from __future__ import annotations

import json
import time
from typing import Any

import click

from cli.api import data_api
from cli.context import Context, pass_context, shared_options
from contract.errors import ThumbwheelError
from runtime.data_api import Api

HELP = (
    "Type the number of an answer (several with commas), or text. Enter alone leaves a question out. "
    "s skips the item, d puts it off, u takes the last one back, q ends."
)
_MOVES = ("s", "d", "u", "q")


class _Move(Exception):
    """The person does something else than answer; `args[0]` is the letter."""


@click.command("annotate")
@click.option("--as", "name", required=True, help="The user whose answers these are.")
@click.option("--task", "task_id", help="The task; needed where several wait.")
@click.option("--limit", type=click.IntRange(1), help="End after so many items.")
@shared_options
@pass_context
def annotate(context: Context, name: str, task_id: str | None, limit: int | None) -> None:
    """Answer what waits for a person, item by item."""
    api = data_api(context.settings, context.project)
    task = task_id or _only_task(api, name)
    context.say(HELP)
    done = 0
    while limit is None or done < limit:
        item = api.post(f"/api/v1/tasks/{task}/next", {"as": name})["item"]
        if item is None:
            context.say("Nothing waits for you in this task.")
            break
        answered = _one(context, api, name, item)
        if answered is None:
            break
        done += answered
    context.result({"task": task, "done": done}, f"{done} item{'' if done == 1 else 's'} done.")


def _only_task(api: Api, name: str) -> str:
    waiting = [one["task_id"] for one in api.get("/api/v1/work", **{"as": name})["items"] if one["waiting"]]
    if len(waiting) != 1:
        hint = f"Choose with --task: {', '.join(waiting)}." if waiting else "They appear when a manager opens a task."
        what = f"{len(waiting)} tasks wait for {name}." if waiting else f"No task waits for {name}."
        raise ThumbwheelError("which_task", what, hint)
    return str(waiting[0])


def _one(context: Context, api: Api, name: str, item: dict[str, Any]) -> int | None:
    """Show an item and send what is said about it; return how many that makes, None when the person ends."""
    _show(context, item)
    address, body = f"/api/v1/tasks/{item['task_id']}", {"as": name, "token": item["token"]}
    began = time.monotonic()
    while True:
        try:
            answers = {q["path"]: value for q in item["questions"] if (value := _ask(item, q)) is not None}
            spent = round((time.monotonic() - began) * 1000)
            told = api.post(f"{address}/submit", {**body, "answers": answers, "active_ms": spent})
            late = told["state"] == "late"
            context.say("Kept, but not needed: somebody else was given the item." if late else "Submitted.")
            return 1
        except _Move as move:
            if move.args[0] == "q":
                return None
            if move.args[0] == "u":
                # The item in hand is the next one again.
                api.post(f"{address}/undo", {"as": name})
                context.say("Taken back; it comes again.")
                return -1
            elif move.args[0] == "d":
                api.post(f"{address}/postpone", body)
                context.say("Put off to the end.")
                return 0
            else:
                api.post(f"{address}/skip", {**body, "reason": click.prompt("Why can it not be answered")})
                context.say("Skipped.")
            return 1
        except ThumbwheelError as error:
            if error.code not in ("invalid_answer", "answer_missing"):
                raise
            click.echo(f"error: {error.line()}", err=True)


def _show(context: Context, item: dict[str, Any]) -> None:
    context.say("")
    for message in item["messages"]:
        context.say(f"{message['role']}: {_plain(message['content'])}")
    for number, reply in enumerate(item["candidates"], 1):
        context.say(f"[{number}] {_plain(reply['content'])}")


def _plain(content: Any) -> str:
    return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)


def _ask(item: dict[str, Any], question: dict[str, Any]) -> Any:
    """Ask one question until what is typed can be an answer; None for none."""
    title = _worded(question["title"]) or question["path"]
    needed = " (needed)" if question["required"] else ""
    while True:
        typed = click.prompt(f"{title}{needed}{_offer(item, question)}", default="", show_default=False).strip()
        if typed in _MOVES:
            raise _Move(typed)
        if not typed:
            return None
        try:
            return _value(item, question, typed)
        except (ValueError, IndexError):
            click.echo("error: that is no answer to this question.  hint: type what stands in brackets", err=True)


def _worded(words: dict[str, str]) -> str:
    return words.get("en") or words.get("zh") or ""


def _offer(item: dict[str, Any], question: dict[str, Any]) -> str:
    kind, replies = question["kind"], len(item["candidates"])
    if kind in ("choice", "multi"):
        named = [f"{n} {_worded(one['title']) or one['key']}" for n, one in enumerate(question["choices"], 1)]
        return f" [{', '.join(named)}]"
    if kind == "rating":
        return f" [{question['min']:g} to {question['max']:g}]"
    return {
        "bool": " [1 yes, 2 no]",
        "pairwise": f" [1 to {replies}, with ! !! !!! for how clearly; t tie, n none is good]",
        "ranking": f" [the best first, ties with =, such as {'>'.join(str(n) for n in range(1, replies + 1))}]",
        "span": " [reply:text that is marked, several with |]",
    }.get(kind, "")  # fmt: skip


def _value(item: dict[str, Any], question: dict[str, Any], typed: str) -> Any:
    kind, replies = question["kind"], [one["candidate_id"] for one in item["candidates"]]
    if kind == "choice":
        return _picked(question["choices"], typed)["key"]
    if kind == "multi":
        return [_picked(question["choices"], one)["key"] for one in typed.split(",")]
    if kind == "bool":
        return {"1": True, "2": False, "y": True, "n": False}[typed] if typed in ("1", "2", "y", "n") else int("x")
    if kind == "rating":
        return float(typed)
    if kind == "pairwise":
        if typed in ("t", "n"):
            return {"outcome": "tie" if typed == "t" else "none"}
        strength = len(typed) - len(typed.rstrip("!"))
        chosen = {"outcome": "chosen", "chosen": _picked(replies, typed.rstrip("!"))}
        return {**chosen, "strength": strength} if strength else chosen
    if kind == "ranking":
        groups = [[_picked(replies, one) for one in group.split("=")] for group in typed.split(">")]
        return [group[0] if len(group) == 1 else group for group in groups]
    if kind == "span":
        return [_span(item, question["path"], one) for one in typed.split("|")]
    return typed


def _picked(offered: list[Any], typed: str) -> Any:
    number = int(typed)
    if number < 1:
        raise IndexError(number)
    return offered[number - 1]


def _span(item: dict[str, Any], path: str, typed: str) -> dict[str, Any]:
    number, _, text = typed.partition(":")
    reply = _picked(item["candidates"], number)
    start = _plain(reply["content"]).index(text)
    return {"path": path, "candidate_id": reply["candidate_id"], "start": start, "end": start + len(text), "text": text}


@click.group()
def guests() -> None:
    """Links for people without a user: each is one person of the crowd, for one task."""


@guests.command("create")
@click.argument("task_id")
@click.option("--days", type=int, default=7, show_default=True, help="How long the links are open.")
@click.option("--count", type=int, default=1, show_default=True, help="How many people.")
@shared_options
@pass_context
def create_guests(context: Context, task_id: str, days: int, count: int) -> None:
    """Make links; their addresses are shown only now."""
    api = data_api(context.settings, context.project)
    made = api.post(f"/api/v1/tasks/{task_id}/guests", {"days": days, "count": count})["items"]
    context.table(made, ("person", "url", "expires_at"), "None was made.")


@guests.command("list")
@click.argument("task_id")
@shared_options
@pass_context
def list_guests(context: Context, task_id: str) -> None:
    """List the links of a task."""
    found = data_api(context.settings, context.project).get(f"/api/v1/tasks/{task_id}/guests")["items"]
    context.table(found, ("link_id", "person", "state", "expires_at", "created_by"), "The task has no guest links.")


@guests.command("revoke")
@click.argument("link_id")
@shared_options
@pass_context
def revoke_guest(context: Context, link_id: str) -> None:
    """Close a link at once; what came through it stays."""
    told = data_api(context.settings, context.project).post(f"/api/v1/guests/{link_id}/revoke", {})
    context.result(told, f"The link of {told['person']} is closed.")


COMMANDS = (annotate, guests)
