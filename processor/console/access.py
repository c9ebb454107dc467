"""Who may do what: login and sessions for people, keys for programs, roles, and protection against forged posts."""

from __future__ import annotations

import hmac
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from hashlib import sha256
from typing import Any, TypeVar
from urllib.parse import urlsplit

from flask import Blueprint, Flask, current_app, g, redirect, render_template, request, url_for

from contract.errors import ThumbwheelError
from contract.ids import is_wire_id, key128
from control_store.control import ROLES, SESSION_DAYS, Key
from processor.console.services import services
from processor.queries.overview import stored_projects

COOKIE = "thumbwheel_session"
OPEN_ENDPOINTS = frozenset({"static", "access.login", "health.healthz", "health.readyz", "health.metrics"})
# Ten wrong passwords a minute from one address, or for one name, are a person's mistakes; more are not.
MAX_FAILURES = 10
FAILURE_WINDOW_S = 60.0

blueprint = Blueprint("access", __name__)
F = TypeVar("F", bound=Callable[..., Any])


class Denied(ThumbwheelError):
    """Not logged in (401), or not allowed (403)."""

    status = 403


@dataclass(frozen=True)
class Caller:
    """A person (role from the control store) or a program with a key (role admin within its project)."""

    name: str
    role: str
    key: Key | None = None

    @property
    def key_id(self) -> str:
        """Return what is stamped as `key_id` on events this caller makes."""
        return self.key.key_id if self.key else "console"

    @property
    def actor(self) -> dict[str, str]:
        """Return the actor of events this caller makes; a name that cannot be an id is hashed."""
        kind = "system" if self.key else "expert"
        return {"id": self.name if is_wire_id(self.name) else f"user-{key128(self.name).hex[:16]}", "kind": kind}

    def may(self, role: str) -> bool:
        """Say whether the caller has this role or a higher one."""
        return ROLES.index(self.role) >= ROLES.index(role)


class Failures:
    """Wrong passwords of the last minute, by name and by address."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._times: dict[str, deque[float]] = {}

    def too_many(self, *marks: str) -> bool:
        """Say whether any of these marks failed too often."""
        with self._lock:
            return any(len(self._recent(mark)) >= MAX_FAILURES for mark in marks)

    def add(self, *marks: str) -> None:
        """Note a failure."""
        with self._lock:
            if len(self._times) > 10_000:
                self._times = {mark: self._recent(mark) for mark in list(self._times) if self._recent(mark)}
            for mark in marks:
                self._times.setdefault(mark, deque()).append(time.monotonic())

    def _recent(self, mark: str) -> deque[float]:
        times = self._times.get(mark, deque())
        while times and time.monotonic() - times[0] > FAILURE_WINDOW_S:
            times.popleft()
        return times


def install(app: Flask) -> None:
    """Check every request, and tell templates who asks."""
    app.extensions["thumbwheel_failures"] = Failures()
    app.register_blueprint(blueprint)
    app.before_request(_identify)
    app.context_processor(lambda: {"caller": g.get("user"), "csrf": g.get("csrf", ""), "projects": known_projects})


def _identify() -> Any:
    g.user, g.project, g.csrf = None, "default", ""
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
        g.user = Caller(user.name, user.role)
        g.csrf = csrf_token(token)
        g.project = _chosen_project()
        if request.method not in ("GET", "HEAD", "OPTIONS"):
            _check_token()
    elif request.endpoint not in OPEN_ENDPOINTS:
        if is_api:
            hint = "Send Authorization: Bearer KEY."
            raise Denied("not_logged_in", "A session or a key is needed.", hint, status=401)
        return redirect(url_for("access.login", next=request.full_path.rstrip("?")))
    return None


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


def needs(role: str) -> Callable[[F], F]:
    """Let a view run only for callers with this role or a higher one."""

    def decorate(view: F) -> F:
        @wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            if not g.user.may(role):
                raise Denied(
                    "role", f"This needs the role {role}; {g.user.name} is {g.user.role}.", "Ask an admin for it."
                )
            return view(*args, **kwargs)

        return guarded  # type: ignore[return-value]

    return decorate


@blueprint.route("/login", methods=["GET", "POST"])
def login() -> Any:
    """Show the login page, or log in."""
    if request.method == "GET":
        if g.user:
            return redirect(_local(request.args.get("next")))
        return render_template("login.html", next=request.args.get("next", ""), problem=None, name="")
    name, password = request.form.get("name", "")[:128], request.form.get("password", "")[:1024]
    failures: Failures = _failures()
    marks = (f"name:{name}", f"from:{request.remote_addr}")
    if failures.too_many(*marks):
        return _login_again("slow", name, 429)
    user = services().control.check_user(name, password)
    if user is None:
        failures.add(*marks)
        return _login_again("wrong", name, 401)
    response = redirect(_local(request.form.get("next")), 303)
    response.set_cookie(
        COOKIE, services().control.create_session(user), max_age=SESSION_DAYS * 86_400, httponly=True, samesite="Lax",
        secure=request.is_secure,
    )  # fmt: skip
    return response


def _failures() -> Failures:
    found: Failures = current_app.extensions["thumbwheel_failures"]
    return found


def _login_again(problem: str, name: str, status: int) -> Any:
    page = render_template("login.html", next=request.form.get("next", ""), problem=problem, name=name)
    return page, status, {"Retry-After": "60"} if status == 429 else {}


@blueprint.post("/logout")
def logout() -> Any:
    """End the session."""
    services().control.end_session(request.cookies.get(COOKIE, ""))
    response = redirect(url_for("access.login"), 303)
    response.delete_cookie(COOKIE)
    return response


def _local(address: str | None) -> str:
    """Return the address when it lies within the console, else the overview's."""
    parts = urlsplit(address or "")
    if not address or not address.startswith("/") or address.startswith(("//", "/\\")) or parts.netloc:
        return url_for("overview.show")
    return address
