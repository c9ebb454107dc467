"""Settings of each project's training runs, in the control store: the console edits them, the trainer asks for them.

What may be set and within which limits says `contract/run_settings.py`. Nothing is filled in here: a setting nobody
chose is left to `thumbwheel.toml`, then to the trainer's recipe.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from control_store.migrating import up_to_date

_settings = sa.Table(
    "training_settings", sa.MetaData(),
    sa.Column("project", sa.String(128), primary_key=True),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("changed_at", sa.DateTime, nullable=False),
    sa.Column("changed_by", sa.String(200), nullable=False),
)  # fmt: skip


class Stored(NamedTuple):
    """What a project has set, when, and by whom; all empty where nobody has."""

    values: dict[str, Any]
    changed_at: datetime | None = None
    changed_by: str | None = None


class TrainingSettings:
    """The settings in a control store. Thread-safe; every call raises sqlalchemy's errors while the store is away."""

    def __init__(self, engine: sa.Engine) -> None:
        """Use a control store's engine (`Control.engine`); the table is made at first use."""
        self._engine = engine

    def find(self, project: str) -> Stored:
        """Return what a project has set."""
        with up_to_date(self._engine).connect() as connection:
            row = connection.execute(sa.select(_settings).where(_settings.c.project == project)).first()
        if row is None:
            return Stored({})
        return Stored(json.loads(row.body), row.changed_at.replace(tzinfo=UTC), row.changed_by)

    def put(self, project: str, values: Mapping[str, Any], by: str) -> None:
        """Replace what a project has set; the values are checked already."""
        row = {
            "body": json.dumps(dict(values), ensure_ascii=False), "changed_by": by,
            "changed_at": datetime.now(UTC).replace(tzinfo=None),
        }  # fmt: skip
        with up_to_date(self._engine).connect() as connection:
            changed = connection.execute(_settings.update().where(_settings.c.project == project).values(**row))
            if not changed.rowcount:
                connection.execute(_settings.insert().values(project=project, **row))
            connection.commit()
