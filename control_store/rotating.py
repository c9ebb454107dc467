"""In: a control store and its control key. Out: the same signing keys, sealed for another control key.

    rotate_control_key(engine)              # the key is a file of ours
    rotate_control_key(engine, their_key)   # it is a setting, or a mounted file: its owner made the new one

The new key is put beside the old one, then the store is sealed for it in one transaction, then it takes the old one's
place. Killed before the transaction ends the old key is in force, after it the new one, which whoever opens the store
next finds and puts in place. Processes that run notice with the next look at their keys.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import sqlalchemy as sa

from contract.errors import ThumbwheelError
from control_store import key_store
from control_store.migrating import migrate
from control_store.sealing import KEY_BYTES, OPTION, ControlKey, Seals, claim, fingerprints, in_force


@dataclass(frozen=True)
class Rotated:
    """The fingerprints of the control keys before and after, and how many signing keys were sealed anew."""

    before: str
    after: str
    keys: int


def rotate_control_key(engine: sa.Engine, to: ControlKey | None = None) -> Rotated:
    """Seal the store's signing keys for a new control key: one made here, or `to`.

    Raises ControlKeyError where the old key is not at hand, or is kept where only its owner can change it and `to` is
    missing; SettingsError for a key that is none; sqlalchemy's errors. Nothing has changed then.
    """
    control_key: ControlKey = engine.get_execution_options()[OPTION]
    migrate(engine)
    with _alone(control_key):
        before = claim(engine)
        new = secrets.token_bytes(KEY_BYTES) if to is None else _read(to)
        after = Seals(new)
        if after.fingerprint == before.fingerprint:
            raise ThumbwheelError("same_key", "The new control key is the old one.", "Make another one.")
        if to is None:
            control_key.prepare(new)
        try:
            keys = _reseal(engine, before, after)
        except BaseException:
            if to is None and not _in_force(engine, after):
                control_key.drop(new)
            raise
        if to is None:
            control_key.matching(after.fingerprint)
        return Rotated(before.fingerprint, after.fingerprint, keys)


def _read(control_key: ControlKey) -> bytes:
    found = control_key.read()
    if found is None:
        raise ThumbwheelError("no_file", f"There is no file {control_key.place}.", "Check the path.")
    return found


def _reseal(engine: sa.Engine, before: Seals, after: Seals) -> int:
    """Seal everything anew in one transaction. What the old key does not open stays as it is."""
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            # What is replaced is overwritten on the disk.
            connection.execute(sa.text("PRAGMA secure_delete = ON"))
        # First: no key is made meanwhile (`key_store` looks at the fingerprint once it has written one).
        changed = fingerprints.update().where(fingerprints.c.fingerprint == before.fingerprint)
        if connection.execute(changed.values(fingerprint=after.fingerprint)).rowcount != 1:
            raise ThumbwheelError("rotated_meanwhile", "Another process rotated the control key.", "Look at it first.")
        return key_store.seal_anew(connection, before, after)


def _in_force(engine: sa.Engine, seals: Seals) -> bool:
    """Say whether the store may be sealed for this key; a store that cannot be asked may be."""
    try:
        with engine.connect() as connection:
            return in_force(connection) == seals.fingerprint
    except sa.exc.SQLAlchemyError:
        return True


@contextmanager
def _alone(control_key: ControlKey) -> Iterator[None]:
    """Let one process of this machine rotate at a time: two successors must not take the place of one another."""
    if control_key.text or control_key.file is None:
        yield
        return
    try:
        lock = os.open(control_key.file.with_name(f".{control_key.file.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:
        # A mounted folder that cannot be written: then no successor is put there either.
        yield
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
