"""One digest per table: equal exactly when the tables hold the same rows, whatever order they lie in."""

from __future__ import annotations

import hashlib

from processor.rows import ROWS
from processor.tables.store import Store

# Caches and what names this process are left out: they may differ between a live database and its replay.
QUERIES = {
    table: f"SELECT md5(CAST(t AS VARCHAR)) AS row_digest FROM {table} AS t ORDER BY row_digest"
    for table in (*(name for name in ROWS if name != "erasing"), "forgets", "meta")
} | {
    "offsets": "SELECT md5(CAST(t AS VARCHAR)) AS row_digest "
    'FROM (SELECT topic, "partition", next_offset FROM offsets) AS t ORDER BY row_digest'
}  # fmt: skip


def table_digests(store: Store) -> dict[str, str]:
    """Return the SHA-256 over every table's ordered row digests, by table name."""
    digests = {}
    with store.read() as cursor:
        for table, query in QUERIES.items():
            digest = hashlib.sha256()
            cursor.execute(query)
            while rows := cursor.fetchmany(50_000):
                digest.update("\n".join(row[0] for row in rows).encode())
            digests[table] = digest.hexdigest()
    return digests
