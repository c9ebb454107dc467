"""up: everything on one machine; reload: the collector's workers anew, while it serves."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import click

from cli.context import Context, pass_context, shared_options
from contract.errors import ThumbwheelError
from runtime.reloads import Reloads, read_reloads, reloads_file

# A worker may take a minute to start; the collector replaces one after the other.
RELOAD_SECONDS = 300.0


@click.command()
@shared_options
@pass_context
def up(context: Context) -> None:
    """Start everything on this machine and restart what dies; Ctrl-C stops it."""
    from cli.up import up as run_up

    run_up(context.settings, lambda line: click.echo(line))


@click.command("reload")
@shared_options
@pass_context
def reload_collector(context: Context) -> None:
    """Replace the collector's workers while it serves; no request is lost.

    New workers read the settings anew (not the address and the number of workers) and the mounted keys. Under `up` the
    settings are those it was started with.
    """
    settings = context.settings
    before = read_reloads(reloads_file(settings.home, settings.collector_bind.port))
    try:
        if before is None:
            raise ProcessLookupError
        os.kill(before.pid, signal.SIGHUP)
    except ProcessLookupError as error:
        raise ThumbwheelError(
            "not_running", f"No collector of {settings.home} runs at {settings.collector_bind}.",
            "Start it, or set THUMBWHEEL_HOME and THUMBWHEEL_COLLECTOR_BIND as it has them.",
        ) from error  # fmt: skip
    except PermissionError as error:
        raise ThumbwheelError("not_yours", "The collector runs as another user.", "Run this as that user.") from error
    after = _wait(reloads_file(settings.home, settings.collector_bind.port), before)
    if after.problem:
        raise ThumbwheelError("reload_failed", after.problem, "Mend it, and reload again.")
    context.result({"pid": after.pid, "reloads": after.count}, "The collector's workers were replaced.")


def _wait(file: Path, before: Reloads) -> Reloads:
    deadline = time.monotonic() + RELOAD_SECONDS
    while time.monotonic() < deadline:
        now = read_reloads(file)
        if now is None or now.pid != before.pid:
            raise ThumbwheelError("reload_failed", "The collector ended meanwhile.", "Its log says why.")
        if now.tries != before.tries:
            return now
        time.sleep(0.1)
    raise ThumbwheelError("reload_failed", f"Not done after {RELOAD_SECONDS:.0f} s.", "The collector's log says why.")


COMMANDS = (up, reload_collector)
