"""The `thumbwheel` command."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from types import TracebackType

import click

from cli.commands import (
    agreement,
    annotate,
    backups,
    data,
    demo,
    forget,
    hosted,
    keys,
    labels,
    maintenance,
    models,
    rejected,
    run,
    tasks,
    training,
    trials,
    users,
)
from cli.context import Context, OneLineErrors, shared_options
from runtime.private import UMASK


@click.group(cls=OneLineErrors, context_settings={"help_option_names": ["-h", "--help"]})
@shared_options
@click.version_option(package_name="thumbwheel-server", prog_name="thumbwheel")
@click.pass_context
def cli(context: click.Context) -> None:
    """Turn what people think of a chat model's replies into a better model."""
    context.ensure_object(Context)


MODULES = (
    run, demo, keys, users, data, labels, tasks, annotate, agreement, training, hosted, models, trials, maintenance,
    rejected, forget, backups,
)  # fmt: skip
for module in MODULES:
    for command in module.COMMANDS:
        cli.add_command(command)


def main() -> None:
    """Run the command line."""
    sys.excepthook = show_in_one_line
    os.umask(UMASK)
    cli(prog_name="thumbwheel")


def show_in_one_line(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print an error nobody foresaw as one line that names the file with its stack trace."""
    with tempfile.NamedTemporaryFile("w", prefix="thumbwheel-", suffix=".txt", delete=False, encoding="utf-8") as file:
        traceback.print_exception(kind, error, trace, file=file)
    told = " ".join(str(error).split())[:300]
    print(
        f"error: {kind.__name__}: {told}  hint: this is a fault of Thumbwheel; {file.name} says where", file=sys.stderr
    )


if __name__ == "__main__":
    main()
