"""Keys in the control store, and the audit log of what happened to them: created, rotated, revoked, given other
origins, when and by whom.

A change and its line in the audit log are one transaction. Neither table holds a key's text, and signing keys
are sealed (`control_store.sealing`).
"""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import sqlalchemy as sa

from contract.errors import ThumbwheelError
from contract.signing import signing_key
from control_store.keys import EVERY_PROJECT, KINDS, Key
from control_store.sealing import Seals, in_force

metadata = sa.MetaData()
_keys = sa.Table(
    "keys", metadata,
    sa.Column("key_id", sa.String(32), primary_key=True),
    sa.Column("project", sa.String(128), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("key_hash", sa.String(64), nullable=False, unique=True),
    sa.Column("signing_key", sa.LargeBinary, nullable=False),
    sa.Column("origins", sa.Text, nullable=False),
    sa.Column("created_at", sa.DateTime, nullable=False),
    sa.Column("revoked_at", sa.DateTime),
    sa.Column("expires_at", sa.DateTime),
)  # fmt: skip
_changes = sa.Table(
    "key_changes", metadata,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("at", sa.DateTime, nullable=False),
    sa.Column("action", sa.String(16), nullable=False),
    sa.Column("key_id", sa.String(32), nullable=False),
    sa.Column("project", sa.String(128), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("changed_by", sa.String(200), nullable=False),
    sa.Column("successor", sa.String(32)),
    sa.Column("expires_at", sa.DateTime),
)  # fmt: skip


class SealsChanged(Exception):
    """The store is sealed for another control key than these seals: claim it anew, and try again."""


@dataclass(frozen=True)
class CreatedKey:
    """A new key; `key` is shown once."""

    key: str
    key_id: str


@dataclass(frozen=True)
class KeyChange:
    """One line of the audit log; times are UTC. A rotation names the successor and when the old key expires."""

    at: datetime
    action: str
    key_id: str
    project: str
    kind: str
    name: str
    changed_by: str
    successor: str | None = None
    expires_at: datetime | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON shows it: RFC 3339, to the second."""
        return asdict(self) | {"at": written(self.at), "expires_at": self.expires_at and written(self.expires_at)}


def written(at: datetime) -> str:
    """Return a time of the store as RFC 3339, to the second."""
    return f"{at.isoformat(timespec='seconds')}Z"


def digest(text: str) -> str:
    """Return what a key, or a session's token, is stored as."""
    return sha256(text.encode()).hexdigest()


def now() -> datetime:
    """Return the time as the store keeps it: UTC, without a zone."""
    return datetime.now(UTC).replace(tzinfo=None)


def read_keys(engine: sa.Engine) -> dict[str, Key]:
    """Return every key ever made, by the digest of its text; their signing keys are sealed."""
    with engine.connect() as connection:
        return {row.key_hash: _key(row) for row in connection.execute(sa.select(_keys))}


def create(engine: sa.Engine, seals: Seals, project: str, kind: str, origins: str, name: str, by: str) -> CreatedKey:
    """Make a key; `origins` is one a line."""
    with engine.begin() as connection:
        created = _insert(connection, seals, project, kind, origins, name)
        _note(connection, KeyChange(now(), "created", created.key_id, project, kind, name, by))
    return created


def rotate(engine: sa.Engine, seals: Seals, key_id: str, overlap: timedelta, by: str) -> tuple[CreatedKey, datetime]:
    """Make a key like this one and let this one expire after the overlap; return the new key and that time.

    Raises ThumbwheelError for a key that is not here, or does not go on for ever any more.
    """
    expires = now() + overlap
    lives = (_keys.c.key_id == key_id, _keys.c.revoked_at.is_(None), _keys.c.expires_at.is_(None))
    with engine.begin() as connection:
        # First, so that of several processes that try one changes a row.
        if connection.execute(_keys.update().where(*lives).values(expires_at=expires)).rowcount != 1:
            raise ThumbwheelError(
                "unknown_key", f"There is no key {key_id} that could be rotated.",
                "thumbwheel keys list shows them; one that is expiring has a successor already.",
            )  # fmt: skip
        row = connection.execute(sa.select(_keys).where(_keys.c.key_id == key_id)).one()
        made = _insert(connection, seals, row.project, row.kind, row.origins, row.name)
        _note(
            connection, KeyChange(now(), "rotated", key_id, row.project, row.kind, row.name, by, made.key_id, expires)
        )
    return made, expires


def revoke(engine: sa.Engine, key_id: str, by: str) -> bool:
    """Revoke a key; False when there is none of that id, or it was revoked before."""
    lives = (_keys.c.key_id == key_id, _keys.c.revoked_at.is_(None))
    with engine.begin() as connection:
        if connection.execute(_keys.update().where(*lives).values(revoked_at=now())).rowcount != 1:
            return False
        row = connection.execute(sa.select(_keys).where(_keys.c.key_id == key_id)).one()
        _note(connection, KeyChange(now(), "revoked", key_id, row.project, row.kind, row.name, by))
    return True


def set_origins(engine: sa.Engine, key_id: str, origins: str, by: str) -> bool:
    """Let a key work from these origins, one a line, and no others; False when there is none of that id, or revoked."""
    lives = (_keys.c.key_id == key_id, _keys.c.revoked_at.is_(None))
    with engine.begin() as connection:
        if connection.execute(_keys.update().where(*lives).values(origins=origins)).rowcount != 1:
            return False
        row = connection.execute(sa.select(_keys).where(_keys.c.key_id == key_id)).one()
        _note(connection, KeyChange(now(), "origins", key_id, row.project, row.kind, row.name, by))
    return True


def seal_anew(connection: sa.Connection, before: Seals, after: Seals) -> int:
    """Seal every signing key for another control key; return how many. One that `before` does not open stays."""
    sealed = 0
    for row in connection.execute(sa.select(_keys.c.key_id, _keys.c.signing_key)).all():
        if (plain := before.open(row.key_id, row.signing_key)) is not None:
            changed = _keys.update().where(_keys.c.key_id == row.key_id)
            connection.execute(changed.values(signing_key=after.seal(row.key_id, plain)))
            sealed += 1
    return sealed


def list_changes(engine: sa.Engine, project: str) -> list[KeyChange]:
    """Return the changes of a project's keys and of those that serve every project, newest first."""
    wanted = (
        sa.select(*(column for column in _changes.c if column.name != "number"))
        .where(_changes.c.project.in_((project, EVERY_PROJECT)))
        .order_by(_changes.c.number.desc())
    )
    with engine.connect() as connection:
        return [KeyChange(**row._mapping) for row in connection.execute(wanted)]


def _note(connection: sa.Connection, change: KeyChange) -> None:
    connection.execute(_changes.insert().values(**asdict(change)))


def _insert(connection: sa.Connection, seals: Seals, project: str, kind: str, origins: str, name: str) -> CreatedKey:
    created = CreatedKey(KINDS[kind] + secrets.token_urlsafe(24), "k" + secrets.token_hex(5))
    row = {
        "key_id": created.key_id, "project": project, "kind": kind, "name": name, "key_hash": digest(created.key),
        "signing_key": seals.seal(created.key_id, signing_key(created.key)), "origins": origins, "created_at": now(),
    }  # fmt: skip
    connection.execute(_keys.insert().values(**row))
    # Once it is written no rotation of the control key can end before this transaction does.
    if in_force(connection, held=True) != seals.fingerprint:
        raise SealsChanged
    return created


def _key(row: sa.Row[tuple[object, ...]]) -> Key:
    return Key(
        key_id=row.key_id, project=row.project, kind=row.kind, name=row.name,
        origins=tuple(row.origins.split("\n")) if row.origins else (), signing_key=row.signing_key,
        created_at=row.created_at, revoked=row.revoked_at is not None, expires_at=row.expires_at,
    )  # fmt: skip
