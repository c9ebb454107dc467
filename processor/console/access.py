"""Who asks: a session of a person or a key of a program; whether their role may do it; no forged posts."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, current_app, g, redirect, request, url_for

from contract.errors import ThumbwheelError
from contract.events import Event, decode_event, stamp
from contract.ids import is_wire_id, key128, uuid7
from control_store.control import Key
from control_store.guests import Guest
from processor.console.login import COOKIE
from processor.console.permissions import GUEST, allows, permission_of, roles_with
from processor.console.services import guests, services
from processor.queries.overview import stored_projects

# A guest comes through a link, without a user.
GUEST_COOKIE = "thumbwheel_guest"
NEEDS_NOBODY = frozenset({"static", "health.healthz", "health.readyz", "health.metrics"})
OPEN_ENDPOINTS = NEEDS_NOBODY | {"access.login", "guests.enter"}


class Denied(ThumbwheelError):
    """Not logged in (401), or not allowed (403)."""

    status = 403


@dataclass(frozen=True)
class Caller:
    """A person (role from the control store) or a program with a key (role admin within its project).

    `tier` is whose answers a person's are in tasks; a guest's `task` is the one that their link opens.
    """

    name: str
    role: str
    key: Key | None = None
    tier: str = "agent"
    task: str | None = None

    @property
    def key_id(self) -> str:
        """Return what is stamped as `key_id` on events this caller makes."""
        return self.key.key_id if self.key else "console"

    @property
    def actor(self) -> dict[str, str]:
        """Return the actor of events this caller makes; a name that cannot be an id is hashed."""
        return {"id": actor_id(self.name), "kind": "system" if self.key else "expert"}

    def event(self, project: str, fields: Mapping[str, Any]) -> Event:
        """Return an event this caller makes now, stamped; `fields` may name another id, time or actor.

        Raises EventError where they are wrong.
        """
        now = datetime.now(UTC).isoformat()
        made = decode_event({"event_id": str(uuid7()), "occurred_at": now, "actor": self.actor, **fields})
        return stamp(made, project=project, key_id=self.key_id, via="console")

    @property
    def is_service(self) -> bool:
        """Say whether it is a service of ours, which decides by what raters must not see."""
        return self.key is not None and self.key.kind == "service"

    def may(self, permission: str | None) -> bool:
        """Say whether the caller's role has a permission; an address without one is closed."""
        return allows(permission, self.role)


def actor_id(name: str) -> str:
    """Return what a person of this name is called in events; a name that cannot be an id is hashed."""
    return name if is_wire_id(name) else f"user-{key128(name).hex[:16]}"


def install(app: Flask) -> None:
    """Check every request, and tell templates who asks."""
    app.before_request(_identify)
    app.before_request(_check_permission)
    app.context_processor(lambda: {"caller": g.get("user"), "csrf": g.get("csrf", ""), "projects": known_projects})


def _identify() -> Any:
    g.user, g.project, g.csrf = None, "default", ""
    if request.endpoint in NEEDS_NOBODY:
        return None
    # One that was away at the start may not have its tables yet: this makes them, once it answers.
    services().control.check()
    is_api = request.path.startswith("/api/")
    authorization = request.headers.get("Authorization", "")
    if is_api and authorization:
        g.user = _by_key(authorization)
        g.project = _project_of_key(g.user.key)
        return None
    token = request.cookies.get(COOKIE, "")
    user = services().control.find_session(token) if token else None
    if request.method not in ("GET", "HEAD", "OPTIONS"):
        _check_origin()
    if user is not None:
        _enter(Caller(user.name, user.role, tier=user.tier), token, _chosen_project())
    elif request.endpoint != "access.login" and (guest := _guest()) is not None:
        _enter(
            Caller(guest.person, GUEST, tier="crowd", task=guest.task_id), request.cookies[GUEST_COOKIE], guest.project
        )
    elif request.endpoint not in OPEN_ENDPOINTS:
        if is_api:
            hint = "Send Authorization: Bearer KEY."
            raise Denied("not_logged_in", "A session or a key is needed.", hint, status=401)
        return redirect(url_for("access.login", next=request.full_path.rstrip("?")))
    return None


def _enter(caller: Caller, secret: str, project: str) -> None:
    """Let somebody in whose cookie is right; what changes something needs the form's token, too."""
    g.user, g.csrf, g.project = caller, csrf_token(secret), project
    if request.method not in ("GET", "HEAD", "OPTIONS"):
        _check_token()


def _guest() -> Guest | None:
    token = request.cookies.get(GUEST_COOKIE, "")
    return guests().enter(token) if token else None


def _check_permission() -> None:
    """Let a request through whose caller has the permission its address names; unknown addresses are told so."""
    if request.endpoint is None or request.endpoint in OPEN_ENDPOINTS:
        return
    permission = permission_of(current_app.view_functions[request.endpoint])
    if not g.user.may(permission):
        roles = f"It takes the role {' or '.join(roles_with(permission))}. Ask an admin." if permission else ""
        raise Denied("role", f"{g.user.name} is {g.user.role}, who may not do this ({permission}).", roles)


def _by_key(authorization: str) -> Caller:
    scheme, _, text = authorization.partition(" ")
    key = services().control.find_key(text.strip()) if scheme.lower() == "bearer" else None
    if key is None:
        raise Denied("unknown_key", "The key is missing, unknown or revoked.", "thumbwheel keys list", status=401)
    if key.kind not in ("secret", "service"):
        raise Denied("key_kind", "A public key cannot read the data API.", "Use a secret key, on a server.")
    return Caller(key.name if is_wire_id(key.name) else key.key_id, "admin", key)


def _project_of_key(key: Key | None) -> str:
    asked = request.args.get("project") or request.headers.get("X-Thumbwheel-Project")
    if key is None or key.project == "*":
        return asked or "default"
    if asked and asked != key.project:
        raise Denied("wrong_project", f"The key belongs to project {key.project!r}.", "Leave `project` out.", "project")
    return key.project


def _chosen_project() -> str:
    return (request.args.get("project") or "default")[:128]


def known_projects() -> dict[str, int]:
    """Return every project with a key or with data, and its number of events."""
    with services().store.read() as cursor:
        stored = stored_projects(cursor)
    names = sorted({*services().control.projects(), *stored, g.project})
    return {name: stored.get(name, 0) for name in names}


def csrf_token(session: str) -> str:
    """Return the token a form of this session must carry: it cannot be made without the cookie's value."""
    return hmac.new(session.encode(), b"thumbwheel csrf v1", sha256).hexdigest()


def _check_origin() -> None:
    """Refuse a post another origin caused. Cookies are shared by all ports of a host, so SameSite is not enough."""
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    same = site in ("same-origin", "none") if site else origin is None or urlsplit(origin).netloc == request.host
    if not same:
        raise Denied("cross_origin", "The request came from another site.", "Use the console's own pages.")


def _check_token() -> None:
    given = request.headers.get("X-CSRF-Token") or request.form.get("csrf", "")
    if not hmac.compare_digest(given.encode(), g.csrf.encode()):
        raise Denied("csrf", "The form is out of date.", "Reload the page and send it again.")
