"""models: the adapters there are, and one of them as files for other servers."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from cli.api import data_api
from cli.context import Context, pass_context, shared_options

# What `trainer/exports` writes, said here so that help needs no torch.
FORMS = ("merged", "gguf", "ollama", "card")
DTYPES = ("auto", "float32", "bfloat16", "float16")


@click.group(invoke_without_command=True)
@shared_options
@pass_context
def models(context: Context) -> None:
    """List adapters with their state."""
    if click.get_current_context().invoked_subcommand is not None:
        return
    found = data_api(context.settings, context.project).get("/api/v1/models")
    rows = found["items"]
    context.table(
        rows, ("adapter_id", "state", "run_id", "dataset_id", "parent", "baseline"),
        "No adapters yet: the base answers. Train one: thumbwheel train",
    )  # fmt: skip


@models.command()
@click.argument("adapter_id")
@click.option("--format", "form", type=click.Choice(FORMS), required=True, help="What it is written for; see below.")
@click.option("--out", type=click.Path(path_type=Path), default=None, help="Where; it must not exist yet.")
@click.option("--dtype", type=click.Choice(DTYPES), default="auto", show_default=True, help="How weights are stored.")
@shared_options
@pass_context
def export(context: Context, adapter_id: str, form: str, out: Path | None, dtype: str) -> None:
    """Write an adapter for other servers.

    merged: a model folder for vLLM; gguf: a file for llama.cpp; ollama: that file and a Modelfile; card: the adapter's
    own files with its model card. Bases in bfloat16 stay so (auto); what rounding loses of the adapter is measured.
    """
    from trainer.exports.export import export_adapter

    made = export_adapter(context.settings, context.project, adapter_id, form=form, out=out, dtype=dtype)
    lost = "" if made.lost is None else f" Stored as {made.dtype}, it loses {made.lost:.2%} of the adapter's change."
    context.result(asdict(made), f"{adapter_id} written to {made.path}.{lost}")


COMMANDS = (models,)
