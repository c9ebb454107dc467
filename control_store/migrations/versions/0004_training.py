"""In: a control store without settings for training runs. Out: one with a row of them for each project that has any."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the table where it is missing."""
    if not sa.inspect(op.get_bind()).has_table("training_settings"):
        op.create_table(
            "training_settings", sa.Column("project", sa.String(128), primary_key=True),
            sa.Column("body", sa.Text, nullable=False), sa.Column("changed_at", sa.DateTime, nullable=False),
            sa.Column("changed_by", sa.String(200), nullable=False),
        )  # fmt: skip
