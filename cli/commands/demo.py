"""demo: the wheel turns by itself."""

from __future__ import annotations

COMMANDS = ()
