"""What `thumbwheel up` keeps under the home besides data: the development credentials and who is running."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from contract.errors import ThumbwheelError
from control_store.control import Control
from runtime.files import write_whole
from runtime.settings import Settings

DEV_FILE = "dev.toml"
# Ports that front-end tools use for development; the public key works from pages served there.
COMMON_PORTS = (3000, 5173, 8000, 8080)
# Browsers leave it out of an origin.
HTTP_PORT = 80
CONSOLE_USER = "admin"
DEMO_PROJECT = "demo"


@dataclass(frozen=True)
class DevKeys:
    """The development credentials: keys of the project `default`, of `demo`, the service key, the console login.

    `origins` is where pages may use the public key, as the control store has it.
    """

    public: str
    secret: str
    service: str
    demo_public: str
    demo_secret: str
    user: str
    password: str
    origins: tuple[str, ...] = ()


def read_dev_keys(home: Path) -> DevKeys | None:
    """Return what dev.toml holds, or None without one. Raises ThumbwheelError when it cannot be read."""
    path = home / DEV_FILE
    try:
        body = tomllib.loads(path.read_text("utf-8"))
        keys, demo, console = body["keys"], body["demo"], body["console"]
        return DevKeys(
            keys["public"], keys["secret"], keys["service"], demo["public"], demo["secret"],
            console["user"], console["password"],
        )  # fmt: skip
    except FileNotFoundError:
        return None
    except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise ThumbwheelError("dev_file", f"{path} cannot be read: {error}", "Remove it; it is made again.") from error


def ensure_dev_keys(settings: Settings) -> DevKeys:
    """Return the development credentials, made once and kept with mode 0600; made again where the store lost them.

    The origins of the public keys follow the ports of the demo and the console, which may be others than last time.
    A person who was changed, disabled or removed since stays so: the password is then empty, as ours does not work.
    """
    control = Control.of(settings)
    try:
        kept = read_dev_keys(settings.home)
        if kept is None or any(control.find_key(key) is None for key in _keys(kept)):
            kept = _create(control, settings)
            _write(settings.home / DEV_FILE, kept)
        elif not control.list_users():
            control.create_user(kept.user, kept.password, "admin")
        elif control.check_user(kept.user, kept.password) is None:
            kept = replace(kept, password="")
        for text in (kept.public, kept.demo_public):
            _follow(control, text, _origins(settings))
        public = control.find_key(kept.public)
        return replace(kept, origins=public.origins if public else ())
    finally:
        control.close()


def _keys(kept: DevKeys) -> tuple[str, ...]:
    return (kept.public, kept.secret, kept.service, kept.demo_public, kept.demo_secret)


def _origins(settings: Settings) -> list[str]:
    """Return where pages of this machine may be: our own, and what front-end tools serve."""
    binds = (settings.demo_bind, settings.console_bind)
    here = {(host, port) for host in ("127.0.0.1", "localhost") for port in (*(b.port for b in binds), *COMMON_PORTS)}
    # An address of another network card is a page's own; those that mean every one, or are IPv6, are opened as above.
    here |= {
        (bind.host.lower(), bind.port) for bind in binds if bind.host not in ("", "0.0.0.0") and ":" not in bind.host
    }
    listed = sorted(here, key=lambda one: (one[1], one[0]))
    return [f"http://{host}" if port == HTTP_PORT else f"http://{host}:{port}" for host, port in listed]


def _follow(control: Control, text: str, origins: list[str]) -> None:
    key = control.find_key(text)
    if key is not None and set(key.origins) != set(origins):
        control.set_origins(key.key_id, origins, by="thumbwheel up")


def _create(control: Control, settings: Settings) -> DevKeys:
    origins = _origins(settings)

    def create(project: str, kind: str) -> str:
        return control.create_key(
            project, kind, origins if kind == "public" else (), "development", by="thumbwheel up"
        ).key

    made = DevKeys(
        create("default", "public"), create("default", "secret"), create("*", "service"),
        create(DEMO_PROJECT, "public"), create(DEMO_PROJECT, "secret"), CONSOLE_USER, secrets.token_urlsafe(9),
    )  # fmt: skip
    control.create_user(made.user, made.password, "admin")
    return made


def _write(path: Path, keys: DevKeys) -> None:
    text = (
        "# Development credentials of this home, made by `thumbwheel up`. Keep them to yourself.\n"
        f'[keys]\npublic = "{keys.public}"\nsecret = "{keys.secret}"\nservice = "{keys.service}"\n\n'
        f'[demo]\npublic = "{keys.demo_public}"\nsecret = "{keys.demo_secret}"\n\n'
        f'[console]\nuser = "{keys.user}"\npassword = "{keys.password}"\n'
    )
    write_whole(path, text.encode(), mode=0o600)


def _running_file(home: Path) -> Path:
    return home / "run" / "up.json"


@contextmanager
def owned(settings: Settings) -> Iterator[None]:
    """Hold the home for one `up`; raises ThumbwheelError `already_running` for a second."""
    folder = settings.home / "run"
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder / "up.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise ThumbwheelError(
            "already_running", f"Thumbwheel already runs in {settings.home}.", "Stop it first, or set THUMBWHEEL_HOME."
        ) from error
    try:
        yield
    finally:
        _running_file(settings.home).unlink(missing_ok=True)
        os.close(lock)


def announce(settings: Settings, pids: dict[str, int]) -> None:
    """Write where everything listens, for commands that use a running `up`."""
    body = {
        "collector": settings.collector_bind.url, "console": settings.console_bind.url,
        "gateway": settings.gateway_bind.url, "demo": settings.demo_bind.url, "pid": os.getpid(), "pids": pids,
    }  # fmt: skip
    write_whole(_running_file(settings.home), json.dumps(body, indent=1).encode())


def find_running(home: Path) -> dict[str, Any] | None:
    """Return the addresses of the `up` that runs in this home, or None."""
    lock_path = home / "run" / "up.lock"
    try:
        body: dict[str, Any] = json.loads(_running_file(home).read_text("utf-8"))
        lock = os.open(lock_path, os.O_RDWR)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ThumbwheelError(
            "home_unreadable", f"{home / 'run'} cannot be read: {error}", "Run as the user who owns the home."
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return None  # Nobody holds it: what was announced is gone.
    except BlockingIOError:
        return body
    finally:
        os.close(lock)
