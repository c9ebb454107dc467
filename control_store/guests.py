"""Links for people without a user: each is one person of the crowd, for one task, until it ends or is revoked."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from contract.errors import ThumbwheelError
from control_store import key_store
from control_store.key_store import digest
from control_store.migrating import up_to_date

MOST_DAYS = 365
MOST_AT_ONCE = 200

metadata = sa.MetaData()
_links = sa.Table(
    "guest_links", metadata, sa.Column("link_id", sa.String(32), primary_key=True),
    sa.Column("token_hash", sa.String(64), nullable=False, unique=True),
    sa.Column("project", sa.String(128), nullable=False), sa.Column("task_id", sa.String(128), nullable=False),
    sa.Column("created_at", sa.DateTime, nullable=False), sa.Column("created_by", sa.String(128), nullable=False),
    sa.Column("expires_at", sa.DateTime, nullable=False), sa.Column("revoked_at", sa.DateTime),
)  # fmt: skip
_c = _links.c


@dataclass(frozen=True)
class Guest:
    """A link, and the pseudonym of whoever has it; times are UTC."""

    link_id: str
    project: str
    task_id: str
    created_at: datetime
    created_by: str
    expires_at: datetime
    revoked_at: datetime | None

    @property
    def person(self) -> str:
        """Return the actor id of the guest's answers."""
        return f"crowd-{self.link_id}"

    @property
    def state(self) -> str:
        """Return open, expired or revoked."""
        if self.revoked_at is not None:
            return "revoked"
        return "open" if self.expires_at > datetime.now(UTC) else "expired"

    def as_dict(self) -> dict[str, Any]:
        """Return everything but what opens it, which nobody knows."""
        return {
            "link_id": self.link_id, "person": self.person, "task_id": self.task_id, "state": self.state,
            "created_at": self.created_at, "created_by": self.created_by, "expires_at": self.expires_at,
        }  # fmt: skip


class Guests:
    """The guest links in a control store. Thread-safe."""

    def __init__(self, engine: sa.Engine) -> None:
        """Use a control store's engine (`Control.engine`); the tables are made at first use."""
        self._engine = engine

    def create(self, project: str, task_id: str, by: str, lasts: timedelta) -> tuple[Guest, str]:
        """Make a link and return it with its secret, which is stored only as a hash; raises ThumbwheelError."""
        if not timedelta(0) < lasts <= timedelta(days=MOST_DAYS):
            raise ThumbwheelError("guest_days", "A link cannot last so long.", f"Use 1 to {MOST_DAYS} days.", "days")
        token, now = secrets.token_urlsafe(24), key_store.now()
        row = {
            "link_id": secrets.token_hex(6), "project": project, "task_id": task_id, "created_at": now,
            "created_by": by, "expires_at": now + lasts, "revoked_at": None,
        }  # fmt: skip
        with up_to_date(self._engine).begin() as connection:
            connection.execute(_links.insert().values(token_hash=digest(token), **row))
        return self._find(_c.link_id == row["link_id"]), token

    def listed(self, project: str, task_id: str) -> list[Guest]:
        """Return a task's links, oldest first."""
        query = sa.select(_links).where(_c.project == project, _c.task_id == task_id)
        with up_to_date(self._engine).connect() as connection:
            return [_guest(row) for row in connection.execute(query.order_by(_c.created_at, _c.link_id))]

    def enter(self, token: str) -> Guest | None:
        """Return the guest of a link that is open."""
        with up_to_date(self._engine).connect() as connection:
            row = connection.execute(sa.select(_links).where(_c.token_hash == digest(token))).first()
        found = None if row is None else _guest(row)
        return found if found is not None and found.state == "open" else None

    def revoke(self, project: str, link_id: str) -> Guest:
        """Close a link at once; what came through it stays. Raises ThumbwheelError (404)."""
        mine = (_c.project == project, _c.link_id == link_id)
        with up_to_date(self._engine).begin() as connection:
            connection.execute(_links.update().where(*mine, _c.revoked_at.is_(None)).values(revoked_at=key_store.now()))
        return self._find(*mine)

    def _find(self, *which: sa.ColumnElement[bool]) -> Guest:
        with up_to_date(self._engine).connect() as connection:
            row = connection.execute(sa.select(_links).where(*which)).first()
        if row is None:
            raise ThumbwheelError("unknown_link", "There is no such guest link.", "See the list.", None, 404)
        return _guest(row)


def _guest(row: Any) -> Guest:
    return Guest(
        row.link_id, row.project, row.task_id, row.created_at.replace(tzinfo=UTC), row.created_by,
        row.expires_at.replace(tzinfo=UTC), row.revoked_at.replace(tzinfo=UTC) if row.revoked_at else None,
    )  # fmt: skip
