"""backup and restore."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path

import click
from rich.progress import Progress

from cli.context import Context, pass_context, shared_options
from cli.home import find_running
from contract.errors import ThumbwheelError


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@shared_options
@pass_context
def backup(context: Context, file: Path | None) -> None:
    """Write log, keys, users, datasets, runs and adapters into one file; Thumbwheel may run meanwhile."""
    from cli.backup import back_up

    target = file or context.settings.home / "backups" / time.strftime("thumbwheel-%Y%m%d-%H%M%S.tar")
    with Progress(console=context.console, transient=True, disable=context.as_json) as bar:
        task = bar.add_task("Backing up", total=None)
        done = back_up(context.settings, target, lambda name: bar.update(task, description=name))
    lines = [f"{done.path}: {done.files} files, {done.bytes / 1e6:.1f} MB. It holds keys: keep it as you keep those."]
    if not any(what.startswith("control key") for what in done.left_out):
        lines.append("The control key is in it too: whoever reads this file can sign with the keys in it.")
    context.result(asdict(done), "\n".join([*lines, *(f"Left out: {what}" for what in done.left_out)]))


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@shared_options
@pass_context
def restore(context: Context, file: Path) -> None:
    """Restore a backup into an empty home; the next `up` replays the log into the tables."""
    from cli.backup import restore as put_back

    if find_running(context.settings.home):
        raise ThumbwheelError("still_running", "Thumbwheel runs in this home.", "Stop `thumbwheel up` first.")
    with Progress(console=context.console, transient=True, disable=context.as_json) as bar:
        task = bar.add_task("Restoring", total=None)
        done = put_back(context.settings, file, lambda name: bar.update(task, description=name))
    lines = [f"Restored {done.files} files into {context.settings.home}. Start it with `thumbwheel up`."]
    context.result(asdict(done), "\n".join([*lines, *(f"Not in it: {what}" for what in done.left_out)]))


COMMANDS = (backup, restore)
