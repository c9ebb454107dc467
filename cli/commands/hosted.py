"""hosted: fine-tuning jobs at a vendor: what one would be asked for and cost, and cancelling one."""

from __future__ import annotations

import json
from pathlib import Path

import click

from cli.context import Context, pass_context, shared_options
from contract.errors import ThumbwheelError


@click.group()
def hosted() -> None:
    """Fine-tuning jobs at a vendor (THUMBWHEEL_TRAIN_BACKEND=openai or zhipu)."""


@hosted.command()
@click.argument("dataset_id")
@click.option("--method", default="auto", show_default=True, help="auto, dpo or sft.")
@click.option("--params", default="{}", help='JSON, such as {"n_epochs": 2}.')
@click.option(
    "--out", type=click.Path(path_type=Path), default=None, help="Folder for the rows (default: ./hosted-ID)."
)
@shared_options
@pass_context
def plan(context: Context, dataset_id: str, method: str, params: str, out: Path | None) -> None:
    """Write the rows a job would get and say what it would cost. Nothing leaves this machine."""
    from trainer.hosted.program import Asked, parse_params, plan, wire_of

    settings = context.settings
    folder = settings.home / "datasets" / context.project / dataset_id
    target = out or Path(f"hosted-{dataset_id}")
    asked = Asked(context.project, folder, target, method, parse_params(params), settings.base_model)
    made = plan(asked, settings.train_price, wire_of(settings).form)
    cost = "unknown: set THUMBWHEEL_TRAIN_PRICE" if made["cost"] is None else f"about {made['cost']:.2f}"
    context.result(made, "\n".join([
        f"{made['rows']} rows for {made['method']} on {made['model']} written to {made['file']}",
        f"left out  {json.dumps(made['dropped'])}",
        f"tokens    about {made['tokens']} a pass",
        f"cost      {cost}",
    ]))  # fmt: skip


@hosted.command()
@click.argument("run_id")
@shared_options
@pass_context
def cancel(context: Context, run_id: str) -> None:
    """Cancel a run's job at the vendor; the run then ends as failed."""
    from trainer.backends.run_folder import VENDOR, WORK
    from trainer.hosted.program import wire_of

    file = context.settings.home / "runs" / context.project / run_id / WORK / VENDOR
    job_id = json.loads(file.read_text("utf-8")).get("job_id") if file.exists() else None
    if job_id is None:
        raise ThumbwheelError("no_job", f"The run {run_id!r} has no job at a vendor.", "The page Runs lists them.")
    wire_of(context.settings).cancel(job_id)
    context.result({"run_id": run_id, "job_id": job_id}, f"Cancelled the job {job_id} of {run_id}.")


COMMANDS = (hosted,)
