"""`thumbwheel evaluate`: the guards of an adapter that is already registered."""

from __future__ import annotations

from pathlib import Path

import pytest

from contract.errors import ThumbwheelError
from inference.generation import Sampling
from runtime.settings import Settings
from tests.gateway.conftest import CHAMPION, save_adapter
from trainer.guarding import guards
from trainer.guarding.measure import evaluate_adapter


def test_every_guard_of_a_registered_adapter_is_measured(
    bases: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guards, "SAMPLING", Sampling(max_tokens=8, temperature=0.8, top_p=0.95, seed=1))
    settings = Settings(home=tmp_path, base_model=str(bases["llama"]))
    save_adapter(bases["llama"], tmp_path / "models" / "shop" / "adapters" / CHAMPION, 1)
    found = evaluate_adapter(settings, "shop", CHAMPION)
    names = {guard["name"] for guard in found["guards"]}
    assert {"reply_nll", "perplexity", "repeats", "ends", "topic", "length", "language", "not_a_no_op"} <= names
    assert found["passed"] == (not found["reasons"])
    moved = next(guard for guard in found["guards"] if guard["name"] == "not_a_no_op")
    assert moved["passed"] and moved["value"] > 0
    read = next(guard for guard in found["guards"] if guard["name"] == "reply_nll")
    assert read["value"] != read["base"], "the adapter's replies are read, not the base's twice"


def test_an_unknown_adapter_is_named(tmp_path: Path) -> None:
    with pytest.raises(ThumbwheelError, match="ad-0000"):
        evaluate_adapter(Settings(home=tmp_path), "shop", "ad-000000000000")
