"""In: people without a tier. Out: people with one, and tables for who holds which item, for drafts and for guests."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add what is missing."""
    looked = sa.inspect(op.get_bind())
    if "tier" not in {column["name"] for column in looked.get_columns("users")}:
        op.add_column("users", sa.Column("tier", sa.String(16)))
    if not looked.has_table("leases"):
        op.create_table(
            "leases",
            sa.Column("item_key", sa.String(32), primary_key=True),
            sa.Column("person", sa.String(128), primary_key=True),
            sa.Column("slot", sa.Integer), sa.Column("token", sa.String(64), nullable=False, unique=True),
            sa.Column("state", sa.String(16), nullable=False), *_place(),
            sa.Column("granted_at", sa.DateTime, nullable=False), sa.Column("expires_at", sa.DateTime, nullable=False),
            sa.Column("submitted_at", sa.DateTime), sa.Column("events", sa.Text, nullable=False),
            sa.UniqueConstraint("item_key", "slot"),
        )  # fmt: skip
        op.create_index("leases_of_person", "leases", ["project", "person", "task_id", "state"])
    if not looked.has_table("drafts"):
        op.create_table(
            "drafts",
            sa.Column("item_key", sa.String(32), primary_key=True),
            sa.Column("person", sa.String(128), primary_key=True),
            sa.Column("project", sa.String(128), nullable=False), sa.Column("task_id", sa.String(128), nullable=False),
            sa.Column("body", sa.Text, nullable=False), sa.Column("saved_at", sa.DateTime, nullable=False),
        )  # fmt: skip
    if not looked.has_table("guest_links"):
        op.create_table(
            "guest_links", sa.Column("link_id", sa.String(32), primary_key=True),
            sa.Column("token_hash", sa.String(64), nullable=False, unique=True),
            sa.Column("project", sa.String(128), nullable=False), sa.Column("task_id", sa.String(128), nullable=False),
            sa.Column("created_at", sa.DateTime, nullable=False),
            sa.Column("created_by", sa.String(128), nullable=False),
            sa.Column("expires_at", sa.DateTime, nullable=False), sa.Column("revoked_at", sa.DateTime),
        )  # fmt: skip


def _place() -> tuple[sa.Column[object], ...]:
    return (
        sa.Column("project", sa.String(128), nullable=False), sa.Column("task_id", sa.String(128), nullable=False),
        sa.Column("interaction_id", sa.String(128), nullable=False), sa.Column("unit", sa.String(257), nullable=False),
        sa.Column("stage", sa.Integer, nullable=False), sa.Column("round", sa.Integer, nullable=False),
    )  # fmt: skip
