"""What people have written about an item and not submitted: kept by place and person, whoever holds the slot."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from contract.errors import ThumbwheelError
from control_store import key_store
from control_store.leases import Place
from control_store.migrating import up_to_date

MOST_BYTES = 256 * 1024

metadata = sa.MetaData()
_drafts = sa.Table(
    "drafts", metadata,
    sa.Column("item_key", sa.String(32), primary_key=True), sa.Column("person", sa.String(128), primary_key=True),
    sa.Column("project", sa.String(128), nullable=False), sa.Column("task_id", sa.String(128), nullable=False),
    sa.Column("body", sa.Text, nullable=False), sa.Column("saved_at", sa.DateTime, nullable=False),
)  # fmt: skip


@dataclass(frozen=True)
class Draft:
    """A draft, as the page sent it, and when it was saved (UTC)."""

    body: str
    saved_at: datetime


class Drafts:
    """The drafts in a control store. Thread-safe; every call raises sqlalchemy's errors while the store is away."""

    def __init__(self, engine: sa.Engine) -> None:
        """Use a control store's engine (`Control.engine`); the tables are made at first use."""
        self._engine = engine

    def save(self, place: Place, person: str, body: str) -> None:
        """Keep the newest text; raises ThumbwheelError for one that is too long."""
        if len(body.encode()) > MOST_BYTES:
            raise ThumbwheelError(
                "draft_too_large", "The draft is too long to be kept.", f"Keep it within {MOST_BYTES} bytes.", "draft",
                413,
            )  # fmt: skip
        values = {"body": body, "saved_at": key_store.now()}
        mine = (_drafts.c.item_key == place.key, _drafts.c.person == person)
        for _ in range(2):
            try:
                with up_to_date(self._engine).begin() as connection:
                    if not connection.execute(_drafts.update().where(*mine).values(**values)).rowcount:
                        row = {"project": place.project, "task_id": place.task_id, **values}
                        connection.execute(_drafts.insert().values(item_key=place.key, person=person, **row))
                return
            except sa.exc.IntegrityError:
                # Another machine of the same person was quicker: the row is there now.
                continue

    def read(self, place: Place, person: str) -> Draft | None:
        """Return what the person has written there."""
        query = sa.select(_drafts).where(_drafts.c.item_key == place.key, _drafts.c.person == person)
        with up_to_date(self._engine).connect() as connection:
            row = connection.execute(query).first()
        return None if row is None else Draft(row.body, row.saved_at.replace(tzinfo=UTC))

    def remove(self, place: Place, person: str) -> None:
        """Remove a draft that was submitted; where there is none, nothing is written."""
        if self.read(place, person) is None:
            return
        with up_to_date(self._engine).begin() as connection:
            connection.execute(_drafts.delete().where(_drafts.c.item_key == place.key, _drafts.c.person == person))

    def forget(self, project: str, person: str) -> None:
        """Remove every draft of a person."""
        with up_to_date(self._engine).begin() as connection:
            connection.execute(_drafts.delete().where(_drafts.c.project == project, _drafts.c.person == person))
