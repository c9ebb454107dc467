"""Which models a project has: base, its aliases and its adapters, read from the registry's files.

`aliases.json` is the truth and is written atomically by the trainer; it is read again when it has changed, so a new
champion or challenger answers from the next request on.
"""

from __future__ import annotations

import json
import re
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contract.errors import ThumbwheelError

BASE = "base"
_ADAPTER_ID = re.compile(r"ad-[0-9a-f]{12}\Z")


@dataclass(frozen=True)
class Aliases:
    """The models behind the names of one project: "base" or an adapter id."""

    champion: str = BASE
    challenger: str | None = None
    baseline: str = BASE


class Models:
    """Resolves model names for every project under `home`."""

    def __init__(self, home: Path) -> None:
        self._root = home / "models"
        self._seen: dict[str, tuple[tuple[int, int], Aliases]] = {}
        self._lock = threading.Lock()

    def aliases(self, project: str) -> Aliases:
        """Return the project's aliases as the file has them now."""
        file = self._root / project / "aliases.json"
        try:
            found = file.stat()
        except FileNotFoundError:
            return Aliases()
        changed = (found.st_mtime_ns, found.st_ino)
        with self._lock:
            seen = self._seen.get(project)
            if seen is None or seen[0] != changed:
                body: dict[str, Any] = json.loads(file.read_text("utf-8"))
                aliases = Aliases(
                    body.get("champion") or BASE, body.get("challenger") or None, body.get("baseline") or BASE
                )
                seen = self._seen[project] = (changed, aliases)
            return seen[1]

    def resolve(self, project: str, name: str) -> str:
        """Return "base" or an adapter id for a model name; raises ThumbwheelError `unknown_model` (404)."""
        aliases = self.aliases(project)
        if name == BASE:
            return BASE
        if name == "champion":
            return aliases.champion
        if name == "challenger" and aliases.challenger:
            return aliases.challenger
        if _ADAPTER_ID.match(name) and (self._adapters(project) / name / "adapter_config.json").exists():
            return name
        raise ThumbwheelError(
            "model_not_found", f"There is no model {name[:64]!r} here.", "GET /v1/models lists the names.", "model", 404
        )

    def folder(self, model: str) -> Path:
        """Return where an adapter's files lie; adapter ids are unique over projects."""
        found = sorted(self._root.glob(f"*/adapters/{model}"))
        return found[0] if found else self._root / "missing" / model

    def names(self, project: str) -> list[str]:
        """Return every model name of the project: aliases, then adapters by id."""
        aliases = self.aliases(project)
        names = [BASE, "champion"] + (["challenger"] if aliases.challenger else [])
        folder = self._adapters(project)
        return names + sorted(p.name for p in folder.glob("ad-*") if (p / "adapter_config.json").exists())

    def _adapters(self, project: str) -> Path:
        return self._root / project / "adapters"
