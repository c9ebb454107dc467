"""estimate, train, evaluate, promote, rollback: wishes to the trainer."""

from __future__ import annotations

import json
from typing import Any, get_args

import click
from rich.progress import Progress

from cli.api import data_api
from cli.context import HELD_STATUS, Context, Held, pass_context, shared_options
from cli.runs import follow_run, made_by, stage_lines
from contract.errors import ThumbwheelError
from contract.facts import TrainMethod, TrainTuning
from runtime.data_api import Api


@click.command()
@click.option("--method", type=click.Choice(get_args(TrainMethod)), default="auto", show_default=True)
@click.option(
    "--tuning", type=click.Choice(get_args(TrainTuning)), default=None,
    help="Which weights are tuned, and how (default: as the champion was, else lora).",
)  # fmt: skip
@click.option("--dataset", "dataset_id", default=None, help="A dataset's id (default: build one from what is new).")
@click.option(
    "--from",
    "start",
    type=click.Choice(("champion", "base")),
    default=None,
    help="What the run starts from (default: as the project's settings say, else the champion).",
)
@click.option("--trial-label", "trial_labels", multiple=True, help="Its blind test counts picks of this label only.")
@click.option(
    "--params",
    default="{}",
    help='JSON, such as {"lr": 2e-4, "challenge": false}; docs/reference/training.md lists all.',
)
@click.option("--wait/--no-wait", default=True, help="Follow the run to its end.")
@shared_options
@pass_context
def train(
    context: Context, method: str, tuning: str | None, dataset_id: str | None, start: str | None,
    trial_labels: tuple[str, ...], params: str, wait: bool,
) -> None:  # fmt: skip
    """Ask the running trainer for a run, and follow it. Ends with 1 when it failed, with 3 when its adapter is held."""
    api = data_api(context.settings, context.project)
    try:
        wanted = json.loads(params)
    except ValueError as error:
        raise ThumbwheelError("bad_params", f"--params is not JSON: {error}", "Write a JSON object.") from error
    if start and isinstance(wanted, dict):
        wanted["start"] = start
    if trial_labels and isinstance(wanted, dict):
        wanted["trial_labels"] = list(trial_labels)
    wish = {"type": "train", "method": method, "tuning": tuning, "dataset_id": dataset_id, "params": wanted}
    request_id = api.post("/api/v1/requests", wish)["request_id"]
    if not wait:
        context.result({"request_id": request_id}, f"Asked for a run: {request_id}")
        return
    run = _follow(context, api, request_id)
    for line in stage_lines(run):
        context.say(line)
    adapter = made_by(api, run)
    text = f"{run['run_id']}: {run['state']}" + (f", adapter {run['adapter_id']}" if run.get("adapter_id") else "")
    text += f", {adapter['state']}" if adapter else ""
    context.result(run | {"adapter": adapter}, text + (f", {run['reason']}" if run.get("reason") else ""))
    if run["state"] == "failed":
        if context.as_json:
            raise SystemExit(1)
        raise ThumbwheelError("run_failed", f"The run failed: {run.get('reason')}", "See the trainer's log.")
    if adapter and adapter["state"] == "held":
        _end_held(context, str(run["adapter_id"]), adapter["reason"] or "its history says no reason.")


def _follow(context: Context, api: Api, request_id: str) -> dict[str, Any]:
    """Return the run once it has ended; print what it is going to do as soon as that is known."""
    said = False
    with Progress(console=context.console, transient=True, disable=context.as_json) as bar:
        task = bar.add_task("Training", total=None)

        def show(done: int, total: int, run: dict[str, Any]) -> None:
            nonlocal said
            if run.get("plan") and not said:
                said = True
                _say_plan(context, run)
            name = f"Training {str(run['stage']).upper()}" if run.get("stage") else "Training"
            bar.update(task, completed=done, total=total or None, description=name)

        run = follow_run(api, request_id, show)
    if not said:
        _say_plan(context, run)
    return run


def _say_plan(context: Context, run: dict[str, Any]) -> None:
    for sentence in run.get("plan") or (run.get("metrics") or {}).get("plan") or []:
        context.say(sentence)


def _end_held(context: Context, adapter_id: str, reason: str) -> None:
    """End the command: the run went through, and nobody will be asked about what it made."""
    if context.as_json:
        raise SystemExit(HELD_STATUS)
    raise Held(
        "adapter_held", f"The adapter {adapter_id} is held: {reason}",
        f"`thumbwheel evaluate {adapter_id}` prints every guard; the next run trains with half the learning rate.",
    )  # fmt: skip


@click.command()
@click.argument("adapter_id")
@shared_options
@pass_context
def evaluate(context: Context, adapter_id: str) -> None:
    """Measure an adapter against the base on the frozen prompts, and print every guard. Ends with 3 when one failed."""
    from trainer.guarding.measure import evaluate_adapter

    found = evaluate_adapter(context.settings, context.project, adapter_id)
    context.result(found)
    if not found["passed"]:
        raise SystemExit(HELD_STATUS)


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
@click.argument("size")
@click.option("--method", default="lora", show_default=True, help="How weights are tuned; a wrong name lists all.")
@click.option("--raters", default=1, show_default=True, type=click.IntRange(1), help="So many people rate.")
@click.option("--card", default=24.0, show_default=True, help="Memory of one GPU in GB.")
@shared_options
@pass_context
def estimate(context: Context, size: str, method: str, raters: int, card: float) -> None:
    """Say what training a model of SIZE parameters (135M, 7B, 7e9) takes: memory, cards, picks to a decision."""
    from trainer.estimate import estimate as estimated
    from trainer.estimate import parse_size

    found = estimated(parse_size(size), method, card, raters)
    picks = ", ".join(
        f"{rate}: {'mostly undecided' if n is None else n}" for rate, n in found["picks_to_decide"].items()
    )
    context.result(found, "\n".join([
        f"rule of thumb   {found['rule_gib']} GiB (parameters x bytes x 4): {found['rule_cards']} cards of {card:g} GB",
        f"finer           {found['finer_gib']} GiB for weights, gradients and optimiser; activations come on top",
        f"a blind test    of {raters} rater{'' if raters == 1 else 's'} needs about so many decisive picks "
        f"when the new model wins that share: {picks}",
    ]))  # fmt: skip


COMMANDS = (estimate, train, evaluate, promote, rollback)
