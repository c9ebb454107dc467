"""The model card of an adapter: Hugging Face YAML, then what a reader wants to know first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trainer.tuning.table import TUNINGS

KNOWN = ("base", "method", "rows", "run_id", "dataset_id", "dataset_digest", "reference")
VERDICTS = {True: "passed", False: "failed", None: "not measured"}
_CARD = """---
library_name: peft
base_model: {base}
tags: [{tuning}, {method}, thumbwheel]
---

# {adapter_id}

An adapter for `{base}`, trained with {method} ({tuning}) on {rows} rows of people's feedback.{warning}

| | |
|---|---|
| run | {run_id} |
| dataset | {dataset_id} (digest {dataset_digest}) |
| continues | {parent} |
| reference policy | {reference} |
| settings | {settings} |
| chat template | {template} |
| served | {served} |
| held-out accuracy | {held_out} |

## Guards, against the base

{guards}
"""


def render_card(adapter_id: str, card: Mapping[str, Any]) -> str:
    """Return the README of an adapter from its `card.json`."""
    held = (card.get("metrics") or {}).get("held_out") or {}
    known = {name: card.get(name) for name in KNOWN}
    return _CARD.format(
        adapter_id=adapter_id, tuning=card.get("tuning") or "lora", parent=card.get("parent") or "the base",
        settings=", ".join(
            f"{name} {value}"
            for name, value in {**(card.get("config") or {}), **(card.get("tuning_settings") or {})}.items()
        ),
        served=_served(str(card.get("tuning") or "lora")),
        warning=f"\n\n{card['warning']}" if card.get("warning") else "",
        held_out=f"{held['right']:g} of {held['total']}" if held.get("total") else "no held-out rows",
        template=", ".join(f"{name} {value}" for name, value in (card.get("chat_template_kwargs") or {}).items())
        or "as it is",
        guards=_guards(card), **known,
    )  # fmt: skip


def _served(tuning: str) -> str:
    known = TUNINGS.get(tuning)
    return known.served if known else "as its server does"


def _guards(card: Mapping[str, Any]) -> str:
    lines = ["| guard | adapter | base | limit | |", "|---|---|---|---|---|"]
    for guard in card.get("guards") or []:
        value, base = _number(guard["value"]), _number(guard["base"])
        verdict = VERDICTS[guard["passed"]]
        lines.append(f"| {guard['name']} | {value} | {base} | {guard['limit']} | {verdict} |")
    return "\n".join(lines)


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, int | float) else "-"
