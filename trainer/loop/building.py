"""Which rows a run is given: aliases and what it starts from in; the filters of its dataset out.

What no run of the adapter's line has learnt from is new, however old it is: thumbs that lay there while only picks
trained still train after a promotion. What one has learnt from is replay.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from contract.dataset_folder import CONFIGS
from trainer.loop.registry import Aliases, Change, Registry
from trainer.methods import OBJECTIVES

# A demo run of one epoch over more pairs takes longer than its turn may.
DEMO_MAX_ROWS = 288


def filters_for(reg: Registry, aliases: Aliases, start: str | None, demo: bool) -> dict[str, Any]:
    """Return the filters of a dataset for a run that starts from `start`, None being the base."""
    found: dict[str, Any] = {"policy": start or "base"}
    details = aliases.details_of(start) if start else None
    if details is not None:
        found["since"] = details.at
        since_of = learnt_until(reg, aliases, details)
        found["since_of"] = {kind: at for kind, at in since_of.items() if at != details.at}
        if details.dataset_id:
            found["parent"] = details.dataset_id
    if demo:
        found["max_rows"] = DEMO_MAX_ROWS
    return found


def learnt_until(reg: Registry, aliases: Aliases, details: Change) -> dict[str, str | None]:
    """Return until when the adapter's line learnt from each kind of row: null for a kind none of it learnt from."""
    found: dict[str, str | None] = dict.fromkeys(CONFIGS)
    step: Change | None = details
    seen: set[str] = set()
    while step is not None and step.adapter_id not in seen:
        seen.add(step.adapter_id)
        for kind in _kinds(reg, step):
            found[kind] = found[kind] or step.at
        step = aliases.details_of(step.parent) if step.parent else None
    return found


def _kinds(reg: Registry, step: Change) -> set[str]:
    """Return the kinds of rows that an adapter's run learnt from; all of them where that is not written down."""
    if stages := step.metrics.get("stages"):
        return {str(stage["kind"]) for stage in stages if "skipped" not in stage}
    method = _card(reg, step.adapter_id).get("method")
    return {objective.reads for objective in OBJECTIVES if objective.name == method} or set(CONFIGS)


def _card(reg: Registry, adapter_id: str) -> Mapping[str, Any]:
    try:
        found = json.loads((reg.adapter(adapter_id) / "card.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
