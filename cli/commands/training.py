"""train, evaluate, promote, rollback, models: wishes to the trainer, and what it has made."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, get_args

import click
from rich.progress import Progress

from cli.api import Api, data_api
from cli.context import Context, pass_context, shared_options
from contract.errors import ThumbwheelError
from contract.facts import TrainMethod

POLL_S = 1.0
# The trainer polls every few seconds; a wish without a run after this long has nobody listening.
START_SECONDS = 120.0
# A restarting console is back within seconds; one that stays away this long was stopped.
AWAY_SECONDS = 120.0


@click.command()
@click.option("--method", type=click.Choice(get_args(TrainMethod)), default="auto", show_default=True)
@click.option("--dataset", "dataset_id", default=None, help="A dataset's id (default: build one from what is new).")
@click.option(
    "--from", "start", type=click.Choice(("champion", "base")), default="champion", help="What the run starts from."
)
@click.option("--params", default="{}", help='JSON, such as {"lr": 2e-4, "challenge": false}.')
@click.option("--wait/--no-wait", default=True, help="Follow the run to its end.")
@shared_options
@pass_context
def train(context: Context, method: str, dataset_id: str | None, start: str, params: str, wait: bool) -> None:
    """Ask the running trainer for a run, and follow it."""
    api = data_api(context.settings, context.project)
    try:
        wanted = json.loads(params)
    except ValueError as error:
        raise ThumbwheelError("bad_params", f"--params is not JSON: {error}", "Write a JSON object.") from error
    if start == "base" and isinstance(wanted, dict):
        wanted["start"] = start
    wish = {"type": "train", "method": method, "dataset_id": dataset_id, "params": wanted}
    request_id = api.post("/api/v1/requests", wish)["request_id"]
    if not wait:
        context.result({"request_id": request_id}, f"Asked for a run: {request_id}")
        return
    with Progress(console=context.console, transient=True, disable=context.as_json) as bar:
        task = bar.add_task("Training", total=None)
        run = follow_run(api, request_id, lambda done, total, _: bar.update(task, completed=done, total=total or None))
    text = f"{run['run_id']}: {run['state']}" + (f", adapter {run['adapter_id']}" if run.get("adapter_id") else "")
    context.result(run, text + (f", {run['reason']}" if run.get("reason") else ""))
    if run["state"] == "failed":
        if context.as_json:
            raise SystemExit(1)
        raise ThumbwheelError("run_failed", f"The run failed: {run.get('reason')}", "See the trainer's log.")


def follow_run(api: Api, request_id: str, progress: Callable[[int, int, dict[str, Any]], None]) -> dict[str, Any]:
    """Wait for the run that answers a wish to end, and return it; progress(step, total, metrics).

    Raises ThumbwheelError when no run begins, or the console is away for two minutes.
    """
    run = wait_for_run(api, request_id)
    seen = time.monotonic()
    while run["state"] not in ("finished", "failed"):
        progress(run.get("step") or 0, run.get("total_steps") or 0, run.get("metrics") or {})
        time.sleep(POLL_S)
        found = _of_wish(_runs(api, seen), request_id)
        if found is not None:
            run, seen = found, time.monotonic()
    return run


def wait_for_run(api: Api, request_id: str) -> dict[str, Any]:
    """Return the run that answers a wish once it is known; raises ThumbwheelError when none begins.

    The trainer runs one job at a time: while another runs, the wish waits.
    """
    seen = time.monotonic()
    while True:
        runs = _runs(api, seen)
        run = _of_wish(runs, request_id)
        if run is not None:
            return run
        if any(other["state"] == "running" for other in runs):
            seen = time.monotonic()
        elif time.monotonic() - seen > START_SECONDS:
            raise ThumbwheelError(
                "no_trainer", f"No run answered the wish within {START_SECONDS:.0f} s.",
                "Is the trainer running? See its log.",
            )  # fmt: skip
        time.sleep(POLL_S)


def _runs(api: Api, seen: float) -> list[dict[str, Any]]:
    """Return the project's runs; none while the console restarts. Raises what it said once it was away too long."""
    try:
        return [dict(run) for run in api.items("/api/v1/runs")]
    except ThumbwheelError as error:
        if error.status != 503 or time.monotonic() - seen > AWAY_SECONDS:
            raise
        return []


def _of_wish(runs: list[dict[str, Any]], request_id: str) -> dict[str, Any] | None:
    return next((run for run in runs if run.get("request_id") == request_id), None)


@click.command()
@click.argument("adapter_id")
@shared_options
@pass_context
def evaluate(context: Context, adapter_id: str) -> None:
    """Measure an adapter against the base on the frozen prompts, and print every guard."""
    from trainer.guarding.measure import evaluate_adapter

    context.result(evaluate_adapter(context.settings, context.project, adapter_id))


@click.command()
@click.argument("adapter_id")
@click.option("--reason", default="by hand")
@shared_options
@pass_context
def promote(context: Context, adapter_id: str, reason: str) -> None:
    """Ask the trainer to make an adapter the champion."""
    wish = {"type": "promote", "adapter_id": adapter_id, "reason": reason}
    answer = data_api(context.settings, context.project).post("/api/v1/requests", wish)
    context.result(answer, f"Asked to promote {adapter_id}: {answer['request_id']}")


@click.command()
@click.option("--reason", default="by hand")
@shared_options
@pass_context
def rollback(context: Context, reason: str) -> None:
    """Ask the trainer to go back to the champion before."""
    answer = data_api(context.settings, context.project).post(
        "/api/v1/requests", {"type": "roll_back", "reason": reason}
    )
    context.result(answer, f"Asked to roll back: {answer['request_id']}")


@click.command()
@shared_options
@pass_context
def models(context: Context) -> None:
    """List adapters with their state."""
    found = data_api(context.settings, context.project).get("/api/v1/models")
    rows = found["items"]
    context.table(
        rows, ("adapter_id", "state", "run_id", "dataset_id", "parent", "baseline"),
        "No adapters yet: the base answers. Train one: thumbwheel train",
    )  # fmt: skip


@click.command()
@click.argument("size")
@click.option("--method", default="lora", show_default=True, help="How weights are tuned; a wrong name lists all.")
@click.option("--card", default=24.0, show_default=True, help="Memory of one GPU in GB.")
@shared_options
@pass_context
def estimate(context: Context, size: str, method: str, card: float) -> None:
    """Say what training a model of SIZE parameters (135M, 7B, 7e9) takes: memory, cards, picks to a decision."""
    from trainer.estimate import estimate as estimated
    from trainer.estimate import parse_size

    found = estimated(parse_size(size), method, card)
    picks = ", ".join(f"{n} at {rate}" for rate, n in found["picks_to_decide"].items())
    context.result(found, "\n".join([
        f"rule of thumb   {found['rule_gib']} GiB (parameters x bytes x 4): {found['rule_cards']} cards of {card:g} GB",
        f"finer           {found['finer_gib']} GiB for weights, gradients and optimiser; activations come on top",
        f"a blind test    needs about so many decisive picks when the new model wins that share: {picks}",
    ]))  # fmt: skip


COMMANDS = (estimate, train, evaluate, promote, rollback, models)
