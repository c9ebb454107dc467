"""users: who may log in to the console, as what, and who is logged in."""

from __future__ import annotations

import click

from cli.context import Context, pass_context, shared_options
from control_store.control import ROLES, TIERS, Control
from control_store.key_store import written


@click.group()
def users() -> None:
    """Console users."""


@users.command("create")
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), help="viewer unless told; who is there keeps theirs.")
@click.password_option(help="Asked for when not given.")
@shared_options
@pass_context
def create_user(context: Context, name: str, role: str | None, password: str) -> None:
    """Create a console user, or set the password and role of one, which ends their sessions."""
    made = _control(context).create_user(name, password, role)
    barred = f" once enabled again: thumbwheel users enable {made.name}" if made.disabled else ""
    context.result({"name": made.name, "role": made.role}, f"{made.name} may log in as {made.role}{barred}.")


@users.command("list")
@shared_options
@pass_context
def list_users(context: Context) -> None:
    """List console users."""
    rows = [
        {"name": user.name, "role": user.role, "tier": user.tier, "state": "disabled" if user.disabled else "enabled"}
        for user in _control(context).list_users()
    ]
    context.table(rows, ("name", "role", "tier", "state"), "No users yet. Create one: thumbwheel users create NAME")


@users.command("tier")
@click.argument("name")
@click.argument("tier", type=click.Choice(TIERS))
@shared_options
@pass_context
def set_tier(context: Context, name: str, tier: str) -> None:
    """Say whose answers a user's are in labelling tasks: the crowd's, an agent's (staff) or an expert's."""
    _control(context).set_tier(name, tier)
    context.result({"name": name, "tier": tier}, f"{name} answers as {tier}.")


@users.command("disable")
@click.argument("name")
@shared_options
@pass_context
def disable_user(context: Context, name: str) -> None:
    """Bar a user until enabled again, and end their sessions at once."""
    _control(context).disable_user(name)
    context.result({"disabled": name}, f"{name} is logged out and may not log in.")


@users.command("enable")
@click.argument("name")
@shared_options
@pass_context
def enable_user(context: Context, name: str) -> None:
    """Let a disabled user log in again."""
    _control(context).enable_user(name)
    context.result({"enabled": name}, f"{name} may log in.")


@users.command("remove")
@click.argument("name")
@shared_options
@pass_context
def remove_user(context: Context, name: str) -> None:
    """Remove a user and end their sessions; what they did stays under their name."""
    _control(context).remove_user(name)
    context.result({"removed": name}, f"{name} is removed.")


@users.command("logout")
@click.argument("name")
@click.option("--session", "session_id", help="Only this one, as `users sessions` names it.")
@shared_options
@pass_context
def log_out_user(context: Context, name: str, session_id: str | None) -> None:
    """End a user's sessions; they may log in again."""
    ended = _control(context).log_out_user(name, session_id)
    context.result({"ended": ended}, f"{ended} session{'' if ended == 1 else 's'} of {name} ended.")


@users.command("sessions")
@click.argument("name", required=False)
@shared_options
@pass_context
def list_sessions(context: Context, name: str | None) -> None:
    """List who is logged in, the session used last first."""
    rows = [
        {
            "session": one.session_id, "name": one.user, "since": written(one.created_at),
            "used_at": written(one.used_at), "ends_at": written(one.expires_at), "address": one.address,
        }
        for one in _control(context).list_sessions() if name in (None, one.user)
    ]  # fmt: skip
    context.table(rows, ("session", "name", "since", "used_at", "ends_at", "address"), "Nobody is logged in.")


def _control(context: Context) -> Control:
    return Control.of(context.settings)


COMMANDS = (users,)
