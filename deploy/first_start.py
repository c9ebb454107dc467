"""Make the keys and the console user of a new installation, once, and run a command with the service key.

    python deploy/first_start.py                      # HOME/dev.toml is written where it is missing (mode 0600)
    python deploy/first_start.py python -m trainer    # the same, then this command, with THUMBWHEEL_SERVICE_KEY set

A THUMBWHEEL_SERVICE_KEY from outside is left as it is. Read the file with `docker compose exec collector cat
/srv/thumbwheel/dev.toml`; nothing secret is printed.
"""

from __future__ import annotations

import fcntl
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cli.home import DEV_FILE, ensure_dev_keys
from contract.errors import ThumbwheelError
from runtime.private import keep_private
from runtime.settings import Settings, load_settings


def first_start(settings: Settings) -> str:
    """Make the credentials unless they are there, and return the service key. Several processes may start at once."""
    if tightened := keep_private(settings):
        print(tightened, file=sys.stderr)
    settings.home.mkdir(parents=True, exist_ok=True)
    path = settings.home / DEV_FILE
    with (settings.home / f"{DEV_FILE}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            print(f"Keys and the console's user are written to {path}.", file=sys.stderr)
        return ensure_dev_keys(settings).service


def main(command: list[str]) -> int:
    """Make the credentials, then become `command` where one is given."""
    try:
        key = first_start(load_settings())
    except ThumbwheelError as error:
        print(error.line(), file=sys.stderr)
        return 2
    if command:
        os.environ.setdefault("THUMBWHEEL_SERVICE_KEY", key)
        os.execvp(command[0], command)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
