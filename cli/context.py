"""What every command shares: project, output form, settings, and errors as one line with a hint."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.table import Table

from contract.errors import ThumbwheelError
from contract.ids import is_project_name
from runtime.settings import Settings, load_settings

F = TypeVar("F", bound=Callable[..., Any])


@dataclass
class Context:
    """Options given before or after the command."""

    project: str = "default"
    as_json: bool = False
    console: Console = field(default_factory=lambda: Console(highlight=False, soft_wrap=True))

    @functools.cached_property
    def settings(self) -> Settings:
        """Return the settings; raises SettingsError."""
        return load_settings()

    def say(self, text: str) -> None:
        """Print a line for a person; nothing in JSON mode."""
        if not self.as_json:
            self.console.print(text, markup=False)

    def result(self, value: Any, text: str | None = None) -> None:
        """Print the result: as JSON when asked, else `text`, else the value, one field a line."""
        if self.as_json:
            click.echo(json.dumps(value, indent=1, ensure_ascii=False, default=str))
        elif text is not None:
            self.console.print(text, markup=False)
        else:
            for name, item in value.items():
                shown = json.dumps(item, ensure_ascii=False, default=str) if isinstance(item, dict | list) else item
                self.console.print(f"{name}: {shown}", markup=False)

    def table(self, rows: Sequence[dict[str, Any]], columns: Sequence[str], empty: str) -> None:
        """Print rows as a table, or as JSON, or what to do when there are none."""
        if self.as_json:
            click.echo(json.dumps(rows, indent=1, ensure_ascii=False, default=str))
        elif not rows:
            self.console.print(empty, markup=False)
        else:
            table = Table(box=None, pad_edge=False)
            for column in columns:
                table.add_column(column.replace("_", " "), overflow="fold")
            for row in rows:
                table.add_row(*("" if row.get(c) is None else str(row[c]) for c in columns))
            self.console.print(table)


# What a command ends with whose adapter the guards hold; 1 is an error, 2 a command that click does not understand.
HELD_STATUS = 3

pass_context = click.make_pass_decorator(Context, ensure=True)


def shared_options(command: F) -> F:
    """Let --project and --json stand after the command as well as before it."""

    def set_project(context: click.Context, _: click.Parameter, value: str | None) -> None:
        if value is not None:
            if not is_project_name(value):
                hint = "Use letters, digits, -, _ and dots, such as shop or shop.eu."
                raise ThumbwheelError("invalid_project", f"{value!r} is not a project name.", hint, "project")
            context.ensure_object(Context).project = value

    def set_json(context: click.Context, _: click.Parameter, value: bool) -> None:
        if value:
            context.ensure_object(Context).as_json = True

    command = click.option(
        "--json", "as_json", is_flag=True, expose_value=False, callback=set_json, help="Machine-readable result."
    )(command)
    return click.option(
        "--project", expose_value=False, callback=set_project, metavar="P", help="Project (default: default)."
    )(command)


class Held(ThumbwheelError):
    """A run ended well, and its guards hold what it made."""


class OneLineErrors(click.Group):
    """A group whose commands never show a stack trace: an error is one line with a hint, and status 1; 3 for `Held`."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except ThumbwheelError as error:
            shared = ctx.ensure_object(Context)
            if shared.as_json:
                click.echo(json.dumps(error.as_dict()))
            else:
                click.echo(f"error: {error.line()}", err=True)
            ctx.exit(HELD_STATUS if isinstance(error, Held) else 1)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Find the command; suggest the nearest for one that is not there."""
        import difflib

        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = difflib.get_close_matches(args[0], self.list_commands(ctx), 1) if args else []
            hint = f"  hint: did you mean `thumbwheel {near[0]}`?" if near else "  hint: thumbwheel --help lists them"
            raise click.UsageError(f"{error.message}{hint}", ctx) from error
