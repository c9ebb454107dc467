"""In: name and password. Out: a session's cookie, and one by which this device is known again."""

from __future__ import annotations

import hmac
import math
import re
import secrets
from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, Flask, current_app, g, redirect, render_template, request, url_for

from contract.errors import ThumbwheelError
from control_store.control import SESSION_DAYS
from processor.console.guesses import Guesses, marks
from processor.console.permissions import needs
from processor.console.services import services

COOKIE = "thumbwheel_session"
DEVICE_COOKIE = "thumbwheel_device"
DEVICE_DAYS = 365
_DAY_S = 86_400
# What ends a line or a header, or is dropped by a browser where it would change what an address means.
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")

blueprint = Blueprint("access", __name__)


def install(app: Flask) -> None:
    """Serve login and logout."""
    app.extensions["thumbwheel_guesses"] = Guesses()
    app.register_blueprint(blueprint)


@blueprint.route("/login", methods=["GET", "POST"])
def login() -> Any:
    """Show the login page, or log in."""
    wanted = _next()
    if request.method == "GET":
        if g.user:
            return redirect(_local(wanted))
        return render_template("login.html", next=wanted, problem=None, name="")
    name, password = request.form.get("name", "")[:128], request.form.get("password", "")[:1024]
    guesses: Guesses = current_app.extensions["thumbwheel_guesses"]
    counted = marks(name, request.remote_addr or "", _known_device(name))
    if wait := guesses.begin(counted):
        return _login_again("slow", name, 429, math.ceil(wait))
    user = services().control.check_user(name, password)
    if user is None:
        return _login_again("wrong", name, 401)
    guesses.right(counted)
    response = redirect(_local(wanted), 303)
    token = services().control.create_session(user, request.remote_addr or "")
    _set_cookie(response, COOKIE, token, SESSION_DAYS)
    _set_cookie(response, DEVICE_COOKIE, _device_mark(name, secrets.token_urlsafe(9)), DEVICE_DAYS)
    return response


def _set_cookie(response: Any, name: str, value: str, days: int) -> None:
    response.set_cookie(
        name, value, max_age=days * _DAY_S, httponly=True, samesite="Lax", secure=request.is_secure,
    )  # fmt: skip


def _login_again(problem: str, name: str, status: int, wait: int = 0) -> Any:
    page = render_template("login.html", next=_next(), problem=problem, name=name, wait=wait)
    return page, status, {"Retry-After": str(wait)} if wait else {}


@blueprint.post("/logout")
@needs("console.enter")
def logout() -> Any:
    """End the session."""
    services().control.end_session(request.cookies.get(COOKIE, ""))
    response = redirect(url_for("access.login"), 303)
    response.delete_cookie(COOKIE)
    return response


def _device_mark(name: str, device: str) -> str:
    """Return the cookie of a device that logged in under this name; only we can make it."""
    return f"{device}.{services().control.mac(f'device {device} {name}')}"


def _known_device(name: str) -> str | None:
    """Return the id of this device where it has logged in under this name before."""
    cookie = request.cookies.get(DEVICE_COOKIE, "")[:200]
    device = cookie.partition(".")[0]
    known = hmac.compare_digest(cookie.encode(), _device_mark(name, device).encode())
    return device if device and known else None


def _next() -> str:
    """Return where to go after the login; raises ThumbwheelError for what is no address."""
    wanted = request.args.get("next", "") if request.method == "GET" else request.form.get("next", "")
    if _CONTROLS.search(wanted):
        raise ThumbwheelError("bad_next", "`next` holds control characters.", "Log in at /login without it.", "next")
    return wanted


def _local(address: str) -> str:
    """Return the address when it lies within the console, else the overview's."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return url_for("overview.show")
    # A browser reads \ as /, so that /\host is another host too.
    if not re.match(r"/(?![/\\])", address) or "\\" in address or parts.netloc or parts.scheme:
        return url_for("overview.show")
    return address
