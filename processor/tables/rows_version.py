"""In: what a tables' file says made its rows. Out: whether this code would make the same rows from the same log.

`ROWS_VERSION` is raised by whoever changes a row that the log makes: tests/processor/tables/test_rows_version.py makes
the rows of a fixed log and compares their digest with `GOLDEN_ROWS`. Both stand in a database's `meta`, so that two
branches that raise the number to the same value cannot merge unseen. A comment or a moved file changes neither.
"""

from __future__ import annotations

from collections.abc import Mapping

ROWS_VERSION = 3
# SHA-256 over the ordered digests of the golden log's tables, its first 16 signs.
GOLDEN_ROWS = "f4c06353a337f367"


def rows_version() -> str:
    """Return what `meta` calls the code that makes rows."""
    return f"{ROWS_VERSION}-{GOLDEN_ROWS}"


def makes_same_rows(held: Mapping[str, str]) -> bool:
    """Say whether the code named in a file's `meta` made the rows that this code makes."""
    return held.get("code_version") == rows_version()
