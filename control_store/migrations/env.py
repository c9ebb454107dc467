"""In: the connection that `control_store.migrating` is in a transaction with. Out: the migrations, run in it."""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
