"""In: an empty store, or one of a release before there were migrations. Out: keys, people, sessions, campaigns."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables, and the columns that releases added to them, where missing."""
    there = set(sa.inspect(op.get_bind()).get_table_names())
    for table in _tables().tables.values():
        if table.name not in there:
            op.create_table(table.name, *[column.copy() for column in table.columns])
            continue
        known = {column["name"] for column in sa.inspect(op.get_bind()).get_columns(table.name)}
        for column in table.columns:
            if column.name not in known:
                op.add_column(table.name, column.copy())


def _tables() -> sa.MetaData:
    """Return the tables as they were when this step was written."""
    tables = sa.MetaData()
    sa.Table(
        "keys", tables, sa.Column("key_id", sa.String(32), primary_key=True),
        sa.Column("project", sa.String(128), nullable=False), sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("key_hash", sa.String(64), nullable=False, unique=True),
        sa.Column("signing_key", sa.LargeBinary, nullable=False), sa.Column("origins", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False), sa.Column("revoked_at", sa.DateTime),
        sa.Column("expires_at", sa.DateTime),
    )  # fmt: skip
    sa.Table(
        "key_changes", tables, sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("at", sa.DateTime, nullable=False), sa.Column("action", sa.String(16), nullable=False),
        sa.Column("key_id", sa.String(32), nullable=False), sa.Column("project", sa.String(128), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False), sa.Column("name", sa.String(200), nullable=False),
        sa.Column("changed_by", sa.String(200), nullable=False), sa.Column("successor", sa.String(32)),
        sa.Column("expires_at", sa.DateTime),
    )  # fmt: skip
    sa.Table(
        "users", tables, sa.Column("name", sa.String(128), primary_key=True),
        sa.Column("password", sa.String(300), nullable=False), sa.Column("role", sa.String(16), nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
    )  # fmt: skip
    sa.Table(
        "sessions", tables, sa.Column("token_hash", sa.String(64), primary_key=True),
        sa.Column("user", sa.String(128), nullable=False), sa.Column("expires_at", sa.DateTime, nullable=False),
    )  # fmt: skip
    sa.Table(
        "campaigns", tables, sa.Column("campaign_id", sa.String(32), primary_key=True),
        sa.Column("project", sa.String(128), nullable=False), sa.Column("body", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False), sa.Column("changed_at", sa.DateTime, nullable=False),
        sa.Column("changed_by", sa.String(200), nullable=False),
    )  # fmt: skip
    sa.Table(
        "campaign_answers", tables, sa.Column("campaign_id", sa.String(32), primary_key=True),
        sa.Column("counted_by", sa.String(128), primary_key=True), sa.Column("answers", sa.BigInteger, nullable=False),
    )  # fmt: skip
    return tables
