"""In: signing keys in the clear, people without an end. Out: sealed signing keys, people who can be barred, sessions
that say when they were used.

Annotators had what viewers have, and stay viewers: the role of that name is a narrower one now.
"""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

from control_store.sealing import PLAIN_BYTES, claim_in

revision = "0002"
down_revision = "0001"

_COLUMNS = {
    "users": (sa.Column("disabled_at", sa.DateTime),),
    "sessions": (
        sa.Column("created_at", sa.DateTime), sa.Column("used_at", sa.DateTime), sa.Column("address", sa.String(64)),
    ),
}  # fmt: skip
_keys = sa.table("keys", sa.column("key_id"), sa.column("signing_key", sa.LargeBinary))
_users = sa.table("users", sa.column("role"))
_sessions = sa.table("sessions", sa.column("created_at", sa.DateTime), sa.column("used_at", sa.DateTime))


def upgrade() -> None:
    """Add what is missing, then seal what is in the clear."""
    connection = op.get_bind()
    looked = sa.inspect(connection)
    for table, columns in _COLUMNS.items():
        known = {column["name"] for column in looked.get_columns(table)}
        for column in columns:
            if column.name not in known:
                op.add_column(table, column.copy())
    if not looked.has_table("control_key"):
        op.create_table(
            "control_key", sa.Column("number", sa.Integer, primary_key=True),
            sa.Column("fingerprint", sa.String(16), nullable=False),
        )  # fmt: skip
    now = datetime.now(UTC).replace(tzinfo=None)
    connection.execute(_sessions.update().where(_sessions.c.used_at.is_(None)).values(created_at=now, used_at=now))
    connection.execute(_users.update().where(_users.c.role == "annotator").values(role="viewer"))
    _seal(connection)


def _seal(connection: sa.Connection) -> None:
    rows = [row for row in connection.execute(sa.select(_keys)) if len(row.signing_key) == PLAIN_BYTES]
    if not rows:
        return
    seals = claim_in(connection)
    for row in rows:
        sealed = seals.seal(row.key_id, row.signing_key)
        connection.execute(_keys.update().where(_keys.c.key_id == row.key_id).values(signing_key=sealed))
