from __future__ import annotations

from tests.processor.conftest import log, put, rows, settings, store

__all__ = ["log", "put", "rows", "settings", "store"]
