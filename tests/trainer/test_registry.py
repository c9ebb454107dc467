"""Aliases: who is champion, who is under test, and the facts that follow from each change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from contract.errors import ThumbwheelError
from runtime.files import UNFINISHED
from trainer.loop import registry
from trainer.loop.registry import Aliases, Registry
from trainer.tuning.lora import WEIGHTS


def after(*steps: tuple[str, str | None]) -> Aliases:
    """Return the aliases after these changes."""
    aliases = Aliases()
    for change, adapter_id in steps:
        move = getattr(registry, change)
        aliases = move(aliases, adapter_id) if adapter_id else move(aliases)
    return aliases


A, B = "ad-aaaaaaaaaaaa", "ad-bbbbbbbbbbbb"


def test_a_challenger_is_tested_against_the_champion_of_its_registration() -> None:
    aliases = after(("register", A), ("challenge", A))
    assert (aliases.champion, aliases.challenger, aliases.baseline) == (None, A, None)
    aliases = registry.promote(aliases, A)
    assert (aliases.champion, aliases.challenger, aliases.baseline) == (A, None, None)
    aliases = registry.challenge(registry.register(aliases, B), B)
    assert (aliases.champion, aliases.challenger, aliases.baseline) == (A, B, A)
    assert aliases.history[-1].baseline == A
    assert [change.version for change in aliases.history] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("end", ["hold", "reject"])
def test_a_held_or_rejected_challenger_loses_its_alias(end: str) -> None:
    aliases = after(("register", A), ("challenge", A), (end, A))
    assert (aliases.challenger, aliases.baseline) == (None, None)
    assert aliases.state_of(A) == {"hold": "held", "reject": "rejected"}[end]


def test_the_same_weights_are_not_registered_again() -> None:
    aliases = after(("register", A), ("challenge", A), ("hold", A))
    with pytest.raises(ThumbwheelError) as refused:
        registry.register(aliases, A)
    assert refused.value.code == "already_registered"
    assert registry.adapter_id_for("ff" * 32, "base") == registry.adapter_id_for("ff" * 32, "base")
    assert registry.adapter_id_for("ff" * 32, "base") != registry.adapter_id_for("fe" * 32, "base")


def test_rolling_back_goes_to_the_champion_before_and_then_to_the_base() -> None:
    aliases = after(("register", A), ("promote", A), ("register", B), ("promote", B))
    aliases = registry.roll_back(aliases)
    assert aliases.champion == A
    assert aliases.history[-1].adapter_id == B
    aliases = registry.roll_back(aliases)
    assert aliases.champion is None
    with pytest.raises(ThumbwheelError, match="The base is the champion"):
        registry.roll_back(aliases)


def test_a_second_challenger_waits_until_the_first_is_out() -> None:
    aliases = after(("register", A), ("challenge", A), ("register", B))
    for move in (registry.challenge, registry.promote):
        with pytest.raises(ThumbwheelError) as refused:
            move(aliases, B)
        assert refused.value.code == "test_running"


def test_each_guard_failure_in_a_row_counts_until_an_adapter_passes() -> None:
    failed: dict[str, Any] = {"metrics": {"guards_failed": ["length"]}}
    aliases = registry.hold(after(("register", A)), A, **failed)
    aliases = registry.hold(registry.register(aliases, B), B, **failed)
    assert aliases.guard_failures() == 2
    aliases = registry.challenge(registry.register(aliases, "ad-cccccccccccc"), "ad-cccccccccccc")
    assert aliases.guard_failures() == 0
    assert registry.hold(aliases, "ad-cccccccccccc").guard_failures() == 0


def test_the_fact_of_a_change_has_the_same_id_whenever_it_is_made() -> None:
    change = after(("register", A), ("challenge", A)).history[-1]
    one, two = registry.fact("shop", change), registry.fact("shop", change)
    assert one == two or one.event_id == two.event_id
    assert one.type == "model.challenger"
    assert (one.adapter_id, one.alias_version, one.baseline, one.via) == (A, 2, "base", "trainer")
    assert registry.fact("other", change).event_id != one.event_id


def test_the_alias_file_is_read_back_as_written_and_holds_what_readers_need(tmp_path: Path) -> None:
    reg = Registry(tmp_path / "models" / "shop", "shop")
    assert reg.load() == Aliases()
    aliases = after(("register", A), ("challenge", A))
    reg.store(aliases)
    assert reg.load() == aliases
    body = json.loads(reg.file.read_text())
    assert {"version": 2, "champion": None, "challenger": A, "baseline": None}.items() <= body.items()
    assert {"version", "change", "adapter_id", "at", "reason"} <= body["history"][0].keys()
    assert [file.name for file in reg.folder.iterdir()] == ["aliases.json"]


def test_a_broken_alias_file_is_named(tmp_path: Path) -> None:
    reg = Registry(tmp_path, "shop")
    reg.file.write_text("{")
    with pytest.raises(ThumbwheelError, match="cannot be read"):
        reg.load()


def test_an_adapter_is_taken_in_with_its_cards(tmp_path: Path) -> None:
    source = tmp_path / "run"
    source.mkdir()
    for name in ("adapter_config.json", WEIGHTS, "secret.txt"):
        (source / name).write_text(name)
    guard = {"name": "length", "passed": True, "value": 20.0, "base": 40.0, "limit": "0.5 to 1.5 x base"}
    card = {"base": "tiny", "method": "dpo", "rows": 3, "run_id": "run-1", "dataset_id": "ds-1", "guards": [guard],
            "config": {"lr": 5e-4}, "metrics": {"held_out": {"right": 3, "total": 4, "rate": 0.75}}}  # fmt: skip
    folder = Registry(tmp_path / "models", "shop").take_in(A, source, card)
    assert sorted(file.name for file in folder.iterdir()) == [
        "README.md", "adapter_config.json", WEIGHTS, "card.json",
    ]  # fmt: skip
    text = (folder / "README.md").read_text()
    assert text.startswith("---\nlibrary_name: peft\n")
    assert "| length | 20 | 40 | 0.5 to 1.5 x base | passed |" in text
    assert "3 of 4" in text


def test_what_a_killed_writer_left_half_done_is_swept_away(tmp_path: Path) -> None:
    reg = Registry(tmp_path, "default")
    reg.store(after(("register", A)))
    kept = reg.adapter(A)
    half = kept.parent / f"{registry.TAKING_IN}x"
    for folder in (kept, half):
        folder.mkdir(parents=True)
        (folder / "adapter_config.json").write_text("{}")
    (tmp_path / f"{UNFINISHED}x").write_text("{")
    reg.sweep()
    assert not half.exists() and kept.exists() and [path.name for path in tmp_path.glob(".*")] == []
    assert reg.load().known() == {A}
