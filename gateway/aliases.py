"""Which models a project has: the registry's files in; base, its aliases and its adapters by name out.

`aliases.json` is the truth and is written atomically by the trainer; it is read again when it has changed, so a new
champion or challenger answers from the next request on. A registry entry may be a remote model without files here.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contract.errors import ThumbwheelError

BASE = "base"
_ADAPTER_ID = re.compile(r"ad-[0-9a-f]{12}\Z")


@dataclass(frozen=True)
class Aliases:
    """The models behind the names of one project: "base" or an adapter id; remote models' ids by adapter id."""

    champion: str = BASE
    challenger: str | None = None
    baseline: str = BASE
    remote: Mapping[str, str] = field(default_factory=dict)


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
                    body.get("champion") or BASE, body.get("challenger") or None, body.get("baseline") or BASE,
                    _remote(body),
                )  # fmt: skip
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
        if _ADAPTER_ID.match(name) and _has_weights(self._adapters(project) / name):
            return name
        if name in aliases.remote:
            return name
        raise ThumbwheelError(
            "model_not_found", f"There is no model {name[:64]!r} here.", "GET /v1/models lists the names.", "model", 404
        )

    def folder(self, model: str) -> Path:
        """Return where an adapter's files lie; adapter ids are unique over projects.

        Raises ThumbwheelError `remote_model` for one that has none here.
        """
        found = sorted(self._root.glob(f"*/adapters/{model}"))
        if found:
            return found[0]
        if remote := self.remote(model):
            raise ThumbwheelError(
                "remote_model", f"The adapter {model} is the remote model {remote}: its weights are not here.",
                "Ask for another model; GET /v1/models lists them.", "model", 409,
            )  # fmt: skip
        return self._root / "missing" / model

    def names(self, project: str) -> list[str]:
        """Return every model name of the project: aliases, then adapters by id."""
        aliases = self.aliases(project)
        names = [BASE, "champion"] + (["challenger"] if aliases.challenger else [])
        folder = self._adapters(project)
        here = [p.name for p in folder.glob("ad-*") if _has_weights(p)]
        return names + sorted([*here, *aliases.remote])

    def remote(self, model: str) -> str | None:
        """Return the vendor's id of an adapter that is a remote model, None for one whose files are here."""
        for file in sorted(self._root.glob("*/aliases.json")):
            if found := self.aliases(file.parent.name).remote.get(model):
                return found
        return None

    def _adapters(self, project: str) -> Path:
        return self._root / project / "adapters"


def _has_weights(folder: Path) -> bool:
    """Say whether an adapter's folder holds an adapter or a whole model; `inference/tuned.py` needs torch."""
    return (folder / "adapter_config.json").exists() or (folder / "config.json").exists()


def _remote(body: Mapping[str, Any]) -> dict[str, str]:
    """Return the remote models' ids by adapter id."""
    return {
        step["adapter_id"]: step["remote_model"]
        for step in body.get("history", ())
        if step.get("change") == "registered" and step.get("remote_model")
    }
