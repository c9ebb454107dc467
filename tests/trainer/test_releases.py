"""What the release before wrote, kept in `releases/`, opens and goes on: aliases, dataset folder, adapters, a run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from gateway.aliases import Models
from inference.generation import Sampling
from trainer import methods, run
from trainer.backends.local import LocalBackend
from trainer.guarding import guards
from trainer.loop import registry
from trainer.loop.registry import Registry
from trainer.rows import open_dataset
from trainer.tuning import lora
from trainer.tuning.shape import digest

KEPT = Path(__file__).parent / "releases" / "0.1.0"
CHAMPION, HELD, CHALLENGER = "ad-9fc4c56ffe25", "ad-cb8fe5ab2cdf", "ad-e25b1fabca5f"
DATASET = "ds-3aa549b9fffe"


@pytest.fixture
def old_home(tmp_path: Path) -> Path:
    """A home of the release before."""
    return Path(shutil.copytree(KEPT, tmp_path / "home"))


def test_the_aliases_open_and_go_on(old_home: Path) -> None:
    reg = Registry(old_home / "models" / "default", "default")
    aliases = reg.load()
    assert (aliases.version, aliases.champion, aliases.challenger, aliases.baseline) == (
        7, CHAMPION, CHALLENGER, CHAMPION,
    )  # fmt: skip
    assert aliases.known() == {CHAMPION, HELD, CHALLENGER}
    assert aliases.state_of(HELD) == "held"
    assert {change.kind for change in aliases.history} == {"local"}
    before = reg.file.read_text()
    reg.store(aliases)
    assert json.loads(reg.file.read_text()) == json.loads(before)
    reg.store(registry.promote(aliases, CHALLENGER))
    assert Models(old_home).resolve("default", "champion") == CHALLENGER
    assert (Models(old_home).folder(CHALLENGER) / "adapter_config.json").exists()
    assert reg.weights(CHAMPION) == reg.adapter(CHAMPION)


def test_a_finished_run_that_was_not_taken_in_is_fetched(old_home: Path) -> None:
    folder = old_home / "runs" / "default" / "run-00000000000000000000"
    backend = LocalBackend()
    assert backend.look(folder).state == "ended"
    assert [line["step"] for line in backend.look(folder).lines] == list(range(1, 6))
    assert registry.id_of(backend.fetch(folder)) == CHAMPION


@pytest.mark.parametrize("name", methods.NAMES)
def test_the_dataset_trains_and_the_adapter_is_continued(
    old_home: Path, bases: dict[str, Path], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(guards, "SAMPLING", Sampling(max_tokens=2))
    monkeypatch.setattr(guards, "frozen_prompts", lambda: ("How are you?", "Where is it?"))
    dataset, start = (
        old_home / "datasets" / "default" / DATASET,
        old_home / "models" / "default" / "adapters" / CHAMPION,
    )
    opened = open_dataset(dataset)
    assert {config: opened.count(config) for config in ("preference", "unpaired", "demonstration")} == {
        "preference": 19, "unpaired": 7, "demonstration": 5,
    }  # fmt: skip
    out = old_home / "run"
    settings = json.dumps({"batch": 4, "lr": 5e-3, "rank": 1, "alpha": 2, "dtype": "float32"})
    given = ["--dataset", str(dataset), "--out", str(out), "--base", str(bases["llama"]), "--config", settings]
    assert run.main([*given, "--method", name, "--start", str(start)]) == 0
    result = json.loads((out / "result.json").read_text())
    assert (result["method"], result["tuning"], result["start"]) == (name, "lora", CHAMPION)
    assert result["reference"] == f"adapter {CHAMPION}"
    digests = [digest(folder / lora.WEIGHTS) for folder in (out / "adapter", start)]
    assert digests[0] == result["weights_sha256"] != digests[1]
