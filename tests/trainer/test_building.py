"""What a run's dataset is asked for: what no run of the adapter's line has learnt from is new, however old it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trainer.loop import registry
from trainer.loop.building import DEMO_MAX_ROWS, filters_for
from trainer.loop.registry import Aliases, Registry


def registered(aliases: Aliases, name: str, parent: str, *kinds: str, at: str) -> Aliases:
    stages: list[dict[str, Any]] = [{"kind": kind} for kind in kinds]
    stages.append({"kind": "demonstration", "skipped": "No demonstration is left to train on ({})."})
    return registry.register(
        aliases, name, parent=parent, dataset_id=f"ds-{name}", at=at, metrics={"stages": stages}
    )  # fmt: skip


def test_each_kind_is_new_since_the_line_last_learnt_from_it(tmp_path: Path) -> None:
    reg = Registry(tmp_path, "default")
    first = registered(Aliases(), "ad-1", "base", "unpaired", at="2026-01-01T00:00:00+00:00")
    aliases = registered(first, "ad-2", "ad-1", "preference", at="2026-02-01T00:00:00+00:00")
    assert filters_for(reg, aliases, "ad-2", demo=False) == {
        "policy": "ad-2", "parent": "ds-ad-2", "since": "2026-02-01T00:00:00+00:00",
        "since_of": {"unpaired": "2026-01-01T00:00:00+00:00", "demonstration": None},
    }  # fmt: skip
    assert filters_for(reg, aliases, None, demo=True) == {"policy": "base", "max_rows": DEMO_MAX_ROWS}


def test_an_adapter_of_an_earlier_release_is_asked_for_its_card(tmp_path: Path) -> None:
    reg = Registry(tmp_path, "default")
    at = "2026-01-01T00:00:00+00:00"
    aliases = registry.register(registry.register(Aliases(), "ad-1", at=at), "ad-2", at=at)
    (tmp_path / "adapters" / "ad-1").mkdir(parents=True)
    (tmp_path / "adapters" / "ad-1" / "card.json").write_text('{"method": "dpo"}')
    assert filters_for(reg, aliases, "ad-1", demo=False)["since_of"] == {"unpaired": None, "demonstration": None}
    assert filters_for(reg, aliases, "ad-2", demo=False)["since_of"] == {}
