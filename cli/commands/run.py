"""up: everything on one machine."""

from __future__ import annotations

import click

from cli.context import Context, pass_context, shared_options


@click.command()
@shared_options
@pass_context
def up(context: Context) -> None:
    """Start everything on this machine and restart what dies; Ctrl-C stops it."""
    from cli.up import up as run_up

    run_up(context.settings, lambda line: click.echo(line))


COMMANDS = (up,)
