"""keys: who may write."""

from __future__ import annotations

import getpass
import re
from datetime import timedelta
from pathlib import Path

import click

from cli.context import Context, pass_context, shared_options
from contract.errors import ThumbwheelError
from control_store.control import KINDS, Control
from control_store.engine import open_engine
from control_store.key_store import now, written
from control_store.origins import meaning
from control_store.rotating import rotate_control_key
from control_store.sealing import ControlKey

WHAT_AN_ORIGIN_IS = (
    "A public key works on pages of its origins only. An origin is scheme, host and port of the page's address, "
    "without a path: http://localhost:3000 is another one than http://127.0.0.1:3000."
)


@click.group()
def keys() -> None:
    """API keys."""


@keys.command("create")
@click.argument("kind", type=click.Choice(sorted(KINDS)))
@click.option(
    "--origin",
    "origins",
    multiple=True,
    help="For public keys, where pages are: https://shop.example, https://*.shop.example, null.",
)
@click.option("--name", default="", help="What it is for.")
@shared_options
@pass_context
def create_key(context: Context, kind: str, origins: tuple[str, ...], name: str) -> None:
    """Create a key; its text is shown once."""
    if kind == "public" and not origins:
        raise ThumbwheelError("no_origin", "A public key needs an origin.", "Add --origin https://shop.example.")
    if kind != "public" and origins:
        raise ThumbwheelError("origin", f"A {kind} key has no origins: it is for servers.", "Leave --origin out.")
    made = _control(context).create_key(context.project, kind, origins, name, by=_whoever())
    context.result({"key": made.key, "key_id": made.key_id, "project": context.project, "kind": kind})


@keys.command("list")
@shared_options
@pass_context
def list_keys(context: Context) -> None:
    """List keys; their texts are not stored."""
    listed = [key for key in _control(context).list_keys() if key.project in (context.project, "*")]
    rows = [
        {"key_id": k.key_id, "kind": k.kind, "project": k.project, "name": k.name, "origins": " ".join(k.origins),
         "created_at": written(k.created_at), "state": k.state(now()),
         "expires_at": k.expires_at and written(k.expires_at)}
        for k in listed
    ]  # fmt: skip
    context.table(
        rows, ("key_id", "kind", "project", "name", "state", "created_at", "expires_at"),
        "No keys yet. Create one: thumbwheel keys create secret",
    )  # fmt: skip
    public = [k for k in listed if k.kind == "public" and k.origins]
    if public:
        context.say(f"\n{WHAT_AN_ORIGIN_IS}")
    for key in public:
        for origin in key.origins:
            context.say(f"  {key.key_id}  {origin}" + (f"  ({meaning(origin)})" if meaning(origin) else ""))


@keys.command("rotate")
@click.argument("key_id")
@click.option("--overlap", default="24h", show_default=True, help="How long the old key goes on working: 90s, 24h, 7d.")
@shared_options
@pass_context
def rotate_key(context: Context, key_id: str, overlap: str) -> None:
    """Create a key like this one, and let this one expire after the overlap."""
    made, expires = _control(context).rotate_key(key_id, read_overlap(overlap), by=_whoever())
    context.result({"key": made.key, "key_id": made.key_id, "replaces": key_id, "old_expires_at": written(expires)})


@keys.command("revoke")
@click.argument("key_id")
@shared_options
@pass_context
def revoke_key(context: Context, key_id: str) -> None:
    """Revoke a key; running services notice within seconds."""
    if not _control(context).revoke_key(key_id, by=_whoever()):
        raise ThumbwheelError("unknown_key", f"There is no live key {key_id}.", "thumbwheel keys list shows them.")
    context.result({"revoked": key_id}, f"Revoked {key_id}.")


@keys.command("reseal")
@shared_options
@pass_context
def reseal_keys(context: Context) -> None:
    """Go on with a new control key after the old one was lost, and name the keys to rotate."""
    lost = Control.reseal(context.settings)
    lines = ["The control store has a new control key."]
    lines += [f"Rotate {key.key_id} ({key.project}): what it signed is not verified any more." for key in lost]
    context.result({"rotate": [key.key_id for key in lost]}, "\n".join(lines))


@keys.command("rotate-control-key")
@click.option(
    "--new-key-file",
    type=click.Path(path_type=Path),
    help="The new key, where the old one is a setting or a mounted file: `openssl rand -hex 32 > FILE` makes one.",
)
@shared_options
@pass_context
def rotate_control(context: Context, new_key_file: Path | None) -> None:
    """Seal the signing keys for a new control key, while services run. For a lost one: reseal."""
    settings = context.settings
    engine = open_engine(settings.control_url, ControlKey.of(settings))
    try:
        rotated = rotate_control_key(engine, ControlKey("", new_key_file) if new_key_file else None)
    finally:
        engine.dispose()
    lines = [
        f"{rotated.keys} signing keys are sealed for the control key {rotated.after}; it was {rotated.before}.",
        "Give every service the new one and restart it; until then it goes on with the keys it knows."
        if new_key_file
        else f"It is in {settings.control_key_path}. Running services go on with it; earlier backups hold the old one.",
    ]
    context.result({"before": rotated.before, "after": rotated.after, "keys": rotated.keys}, "\n".join(lines))


@keys.command("audit")
@shared_options
@pass_context
def audit_keys(context: Context) -> None:
    """List what happened to the project's keys, newest first."""
    rows = [change.as_dict() for change in _control(context).list_key_changes(context.project)]
    context.table(
        rows, ("at", "action", "key_id", "kind", "changed_by", "successor"),
        "No key of this project was ever created here.",
    )  # fmt: skip


def read_overlap(text: str) -> timedelta:
    """Return `90s`, `30m`, `24h` or `7d` as a duration; raises ThumbwheelError."""
    found = re.fullmatch(r"(\d{1,6})([smhd])", text)
    if found is None:
        raise ThumbwheelError("overlap", f"The overlap {text!r} is no duration.", "Write 90s, 30m, 24h or 7d.")
    unit = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}[found[2]]
    return timedelta(**{unit: int(found[1])})


def _whoever() -> str:
    """Return who runs this command, for the audit log."""
    try:
        return f"command line: {getpass.getuser()}"
    except (OSError, KeyError):
        return "command line: a user without a name"  # A container's user id that /etc/passwd does not know.


def _control(context: Context) -> Control:
    return Control.of(context.settings)


COMMANDS = (keys,)
