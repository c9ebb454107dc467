"""What a run is asked for: the settings of its project, then the wish, in; its method and its settings out. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trainer.methods import AUTO, NAMES


def run_settings(
    project: Mapping[str, Any], method: str | None, params: Mapping[str, Any]
) -> tuple[str, dict[str, Any]]:
    """Return (method, settings) of a run. A wish for `auto` leaves the method to the project.

    What the wish says wins; a stage's own settings are joined one by one.
    """
    found = {**project, **params}
    for stage in NAMES:
        if stage in project and isinstance(params.get(stage), Mapping):
            found[stage] = {**project[stage], **params[stage]}
    asked = params.get("method") or (method if method != AUTO else None) or project.get("method") or AUTO
    found.pop("method", None)
    return str(asked), found
