"""In: a control store of any release. Out: the same store with the tables this release needs (Alembic).

A store that is up to date is asked one question; Alembic is imported only for one that is not. Stores from before there
were migrations have no version: the first migration makes what they lack and leaves the rest.
"""

from __future__ import annotations

from pathlib import Path
from weakref import WeakSet

import sqlalchemy as sa

# The newest file of migrations/versions.
HEAD = "0004"
# Any number will do; the same in every process.
_LOCK = 0x7477_6D31
_TRIES = 20
_VERSION = sa.text("SELECT version_num FROM alembic_version")
_UP_TO_DATE: WeakSet[sa.Engine] = WeakSet()


def migrate(engine: sa.Engine) -> None:
    """Bring the tables up to date. Any number of processes may do so at once. Raises sqlalchemy's errors.

    A store of a later release is left as it is: migrations only add.
    """
    for attempt in range(_TRIES):
        if _version(engine) not in (None, *_older()):
            return
        try:
            with engine.begin() as connection:
                if engine.dialect.name == "postgresql":
                    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
                else:
                    # What is replaced, such as signing keys in the clear, is overwritten on the disk.
                    connection.execute(sa.text("PRAGMA secure_delete = ON"))
                _upgrade(connection)
            if engine.dialect.name == "sqlite":
                _forget_old_pages(engine)
            return
        except (sa.exc.OperationalError, sa.exc.IntegrityError) as error:
            # SQLite: another process made a table between the look and the making; the rest may still be missing.
            made = any(said in str(error) for said in ("already exists", "duplicate column", "UNIQUE", "locked"))
            if not made or attempt == _TRIES - 1:
                raise


def up_to_date(engine: sa.Engine) -> sa.Engine:
    """Return the engine with its tables up to date: looked at once, at its first use. Raises sqlalchemy's errors."""
    if engine not in _UP_TO_DATE:
        migrate(engine)
        _UP_TO_DATE.add(engine)
    return engine


def load() -> None:
    """Import what a migration needs, which takes up to seconds: not while a request waits for the store."""
    from alembic import command, config  # noqa: F401


def _older() -> tuple[str, ...]:
    """Return the versions before this release's."""
    return tuple(f"{number:04d}" for number in range(1, int(HEAD)))


def _version(engine: sa.Engine) -> str | None:
    if not sa.inspect(engine).has_table("alembic_version"):
        return None
    with engine.connect() as connection:
        return connection.execute(_VERSION).scalar()


def _forget_old_pages(engine: sa.Engine) -> None:
    """Write the file anew: free pages may hold copies of what a migration replaced."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("VACUUM"))


def _upgrade(connection: sa.Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
