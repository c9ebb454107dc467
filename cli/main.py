"""The `thumbwheel` command."""

from __future__ import annotations

import click

from cli.commands import data, demo, keys, maintenance, run, training
from cli.context import Context, OneLineErrors, shared_options


@click.group(cls=OneLineErrors, context_settings={"help_option_names": ["-h", "--help"]})
@shared_options
@click.version_option(package_name="thumbwheel-server", prog_name="thumbwheel")
@click.pass_context
def cli(context: click.Context) -> None:
    """Turn what people think of a chat model's replies into a better model."""
    context.ensure_object(Context)


for module in (run, demo, keys, data, training, maintenance):
    for command in module.COMMANDS:
        cli.add_command(command)


def main() -> None:
    """Run the command line."""
    cli(prog_name="thumbwheel")


if __name__ == "__main__":
    main()
