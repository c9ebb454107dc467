"""How a run is tuned and what it starts from: the champion, and what was wished, in; a tuning and an adapter out.

Nobody who names no tuning changes it: the run is tuned as the champion was. Virtual tokens cannot be continued, so a
run after such a champion starts from the base, on all data.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from contract.errors import ThumbwheelError
from trainer.loop.registry import Aliases, Registry
from trainer.tuning.refusals import ready
from trainer.tuning.table import DEFAULT, find_tuning


def tuning_and_start(
    registry: Registry, aliases: Aliases, params: Mapping[str, Any], wished: str | None
) -> tuple[str, str | None]:
    """Return the tuning and the adapter that a run continues, None for the base.

    Raises ThumbwheelError `bad_setting` for params the tuning cannot train with, and for a champion tuned otherwise.
    """
    champion = None if params.get("start") == "base" else aliases.champion
    theirs = registry.tuning_of(champion) if champion else None
    tuning = find_tuning(wished or theirs or DEFAULT)
    ready(tuning, params)
    if theirs is not None and tuning.name != theirs:
        raise ThumbwheelError(
            "bad_setting", f"The champion {champion} was tuned by {theirs}: a run by {tuning.name} cannot continue it.",
            f"Add --from base, or use --tuning {theirs}.", "tuning",
        )  # fmt: skip
    return tuning.name, champion if tuning.continues else None
