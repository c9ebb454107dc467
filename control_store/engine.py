"""In: the address of a control store. Out: its engine: SQLite under the home, or PostgreSQL (extra `postgresql`).

A PostgreSQL that is away, unreachable or slow costs a caller seconds and not minutes. Options in the address
(`?connect_timeout=10`, `?sslmode=verify-full`; libpq's names) win over the limits here.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from contract.errors import SettingsError, ThumbwheelError
from control_store.sealing import OPTION, ControlKey

# Seconds, then milliseconds.
CONNECT_SECONDS = 3
POOL_SECONDS = 5
_POSTGRESQL_LIMITS: dict[str, Any] = {
    "connect_timeout": CONNECT_SECONDS,
    "tcp_user_timeout": 10_000,
    "options": "-c statement_timeout=10000 -c lock_timeout=10000",
    "application_name": "thumbwheel",
}


class ControlUnavailable(ThumbwheelError):
    """The control store cannot be asked, and what is known does not answer the question; try again."""

    status = 503


def control_away() -> ControlUnavailable:
    """Return the error for a question that only the store could answer."""
    return ControlUnavailable("control_unavailable", "The control store cannot be reached.", "Try again in a moment.")


def open_engine(url: str, control_key: ControlKey | None = None) -> sa.Engine:
    """Return the engine of an address; connects to nothing. Raises SettingsError for one that cannot be used.

    The engine carries the control key, for whoever brings the tables up to date or seals a signing key.
    """
    engine = _open(url)
    engine.update_execution_options(**{OPTION: control_key or ControlKey.beside(url)})
    return engine


def _open(url: str) -> sa.Engine:
    if url.startswith("sqlite:///"):
        path = Path(url.removeprefix("sqlite:///"))
        folder = path.parent
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            _make_private(path)
        except OSError as error:
            raise _wrong(f"names {folder}, which cannot be made: {error.strerror}", "Name a folder you own.") from error
        return sa.create_engine(url)
    try:
        address = sa.make_url(url)
        if address.get_backend_name() not in ("postgresql", "postgres"):
            raise ValueError(address.get_backend_name())
        if "+" not in address.drivername:
            address = address.set(drivername="postgresql+psycopg")
        limits = {name: value for name, value in _POSTGRESQL_LIMITS.items() if name not in address.query}
        return sa.create_engine(address, pool_pre_ping=True, pool_timeout=POOL_SECONDS, connect_args=limits)
    except ModuleNotFoundError as error:
        raise _wrong(
            f"needs the Python package {error.name}", 'pip install "thumbwheel-server[postgresql]" brings it.'
        ) from error
    except (sa.exc.ArgumentError, ValueError) as error:
        # The address holds a password: it is not shown.
        raise _wrong(
            "is not an address", "Use sqlite:////abs/path.db or postgresql://user:password@host:5432/database."
        ) from error


def _make_private(path: Path) -> None:
    """Make the file where it is missing, for its owner only; SQLite gives what it puts beside it the same mode."""
    if not path.exists() and path.name not in ("", ":memory:"):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def _wrong(why: str, hint: str) -> SettingsError:
    return SettingsError("control_store", f"THUMBWHEEL_CONTROL {why}.", hint, "THUMBWHEEL_CONTROL")
