"""Make the keys and the console user of a new installation, once, and run a command with the service key.

    python deploy/first_start.py                      # HOME/dev.toml is written where it is missing (mode 0600)
    python deploy/first_start.py python -m trainer    # the same, then this command, with THUMBWHEEL_SERVICE_KEY set

A THUMBWHEEL_SERVICE_KEY from outside is left as it is. Read the file with `docker compose exec collector cat
/srv/thumbwheel/dev.toml`; nothing secret is printed.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import sys
import tomllib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from eventlog.control import Control
from eventlog.errors import ThumbwheelError
from eventlog.settings import load_settings

USER = "admin"
DEV_ORIGINS = ("http://127.0.0.1:8703", "http://localhost:8703")


def first_start(home: Path, control_url: str) -> str:
    """Write `dev.toml` unless it is there, and return the service key. Safe when several processes start at once."""
    home.mkdir(parents=True, exist_ok=True)
    path = home / "dev.toml"
    with (home / "dev.toml.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            _write(path, control_url)
    key: str = tomllib.loads(path.read_text("utf-8"))["keys"]["service"]
    return key


def _write(path: Path, control_url: str) -> None:
    control = Control.open(control_url)
    password = secrets.token_urlsafe(12)
    keys = {
        kind: control.create_key("default", kind, DEV_ORIGINS if kind == "public" else (), "first start").key
        for kind in ("public", "secret", "service")
    }
    control.create_user(USER, password, "admin")
    control.close()
    lines = ["[keys]", *(f'{kind} = "{key}"' for kind, key in keys.items())]
    lines += ["", "[console]", f'user = "{USER}"', f'password = "{password}"', ""]
    unseen = path.with_suffix(".new")
    file = os.open(unseen, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(file, "w", encoding="utf-8") as output:
        output.write("\n".join(lines))
        output.flush()
        os.fsync(output.fileno())
    unseen.rename(path)
    print(f"Keys and the console user {USER!r} are in {path}.", file=sys.stderr)


def main(command: list[str]) -> int:
    try:
        settings = load_settings()
        key = first_start(settings.home, settings.control_url)
    except ThumbwheelError as error:
        print(error.line(), file=sys.stderr)
        return 2
    if command:
        os.environ.setdefault("THUMBWHEEL_SERVICE_KEY", key)
        os.execvp(command[0], command)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
