"""A registry entry that is a remote model: what it must be, how it is kept, and who refuses it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from contract.errors import ThumbwheelError
from eventlog.log import Log
from eventlog.opening import open_log
from gateway.aliases import Models
from runtime.data_api import Api
from runtime.settings import Settings
from tests.trainer.console import KEY, Console, serving
from trainer.backends.local import training_command
from trainer.backends.run_folder import Fetched, Look, Work
from trainer.guarding.measure import evaluate_adapter
from trainer.loop import jobs, registry
from trainer.loop.entries import MAX_REMOTE_ID
from trainer.loop.registry import Aliases, Registry
from trainer.loop.schedule import Scheduler

A, B = "ad-aaaaaaaaaaaa", "ad-bbbbbbbbbbbb"
REMOTE = {"kind": "remote", "remote_model": "ft:glm-4-flash:shop:8f3a"}
DATASET = "ds-0123456789ab"


def stored(home: Path) -> Registry:
    """Return a registry with a remote champion."""
    reg = Registry(home / "models" / "shop", "shop")
    reg.store(registry.promote(registry.register(Aliases(), A, **REMOTE), A))
    return reg


@pytest.mark.parametrize(
    "entry",
    [
        {"kind": "elsewhere"}, {"kind": "remote"}, {"kind": "remote", "remote_model": ""},
        {"kind": "remote", "remote_model": "two words"}, {"kind": "remote", "remote_model": "line\nbreak"},
        {"kind": "remote", "remote_model": "x" * (MAX_REMOTE_ID + 1)}, {"kind": "remote", "remote_model": 7},
        {"kind": "local", "remote_model": "ft:1"}, {"remote_model": "ft:1"},
    ],
)  # fmt: skip
def test_an_entry_that_is_none_is_refused(tmp_path: Path, entry: dict[str, Any]) -> None:
    with pytest.raises(ThumbwheelError) as refused:
        registry.register(Aliases(), A, **entry)
    assert (refused.value.code, refused.value.field) == ("bad_entry", "remote_model")
    reg = stored(tmp_path)
    body = json.loads(reg.file.read_text())
    body["history"][0] = {**{k: v for k, v in body["history"][0].items() if k not in REMOTE}, **entry}
    reg.file.write_text(json.dumps(body))
    with pytest.raises(ThumbwheelError, match="cannot be read"):
        reg.load()


def test_a_remote_entry_is_kept_and_a_local_one_looks_as_before(tmp_path: Path) -> None:
    reg = stored(tmp_path)
    reg.store(registry.register(reg.load(), B, kind="local"))
    first, *others = json.loads(reg.file.read_text())["history"]
    assert (first["kind"], first["remote_model"]) == ("remote", REMOTE["remote_model"])
    assert not any({"kind", "remote_model"} & step.keys() for step in others)
    kept = reg.load().details_of(A)
    assert kept is not None and (kept.kind, kept.remote_model) == ("remote", REMOTE["remote_model"])
    assert reg.weights(B) == reg.adapter(B)


def test_the_id_of_a_remote_model_follows_from_its_name_and_its_base() -> None:
    made = Fetched({"base": "glm"}, {}, None, "ft:1")
    assert registry.id_of(made) == registry.id_of(made)
    others = (replace(made, remote_model="ft:2"), replace(made, result={"base": "qwen"}))
    assert len({registry.id_of(one) for one in (made, *others)}) == 3
    assert registry.id_of(Fetched({"base": "tiny", "weights_sha256": "ab"}, {}, Path("x"))) == (
        registry.adapter_id_for("ab", "tiny")
    )


def test_guards_that_need_weights_refuse_it(tmp_path: Path) -> None:
    stored(tmp_path)
    with pytest.raises(ThumbwheelError, match=r"ad-aaaaaaaaaaaa is the remote model ft:glm-4-flash:shop:8f3a") as no:
        evaluate_adapter(Settings(home=tmp_path), "shop", A)
    assert no.value.code == "remote_model"


def test_the_gateways_embedded_engine_refuses_it(tmp_path: Path) -> None:
    stored(tmp_path)
    models = Models(tmp_path)
    assert models.resolve("shop", "champion") == models.resolve("shop", A) == A
    with pytest.raises(ThumbwheelError, match="its weights are not here") as refused:
        models.folder(A)
    assert (refused.value.code, refused.value.status) == ("remote_model", 409)
    with pytest.raises(ThumbwheelError, match="There is no model"):
        models.resolve("shop", B)
    assert not models.folder(B).exists()


class Elsewhere:
    """A backend whose runs are over at once and leave a model at a vendor."""

    def __init__(self) -> None:
        self.works: list[Work] = []

    def start(self, work: Work) -> None:
        self.works.append(work)

    def look(self, folder: Path, seen: int = 0) -> Look:
        return Look("ended")

    def stop(self, folder: Path) -> None:
        """Nothing runs."""

    def fetch(self, folder: Path) -> Fetched:
        result = {"method": "sft", "base": "glm-4-flash", "metrics": {}, "passed": True, "reasons": []}
        return Fetched(result, {"guards": []}, None, "ft:glm-4-flash:shop:8f3a")


def test_a_run_elsewhere_is_registered_as_remote_and_continued_there_only(home: Path) -> None:
    events: Log = open_log(f"sqlite:///{home / 'log' / 'events.db'}")
    dataset = home / "datasets" / "default" / DATASET
    dataset.mkdir(parents=True)
    (dataset / "manifest.json").write_text("{}")
    backend = Elsewhere()
    with serving(Console(events)) as console:
        console.datasets = [DATASET]
        settings = replace(Settings(), home=home)
        api = Api(console.url, KEY)
        scheduler = Scheduler(settings, events, api, projects=lambda: ["default"], backend=backend)
        scheduler.recover()
        console.wish("train", method="sft")
        for _ in range(3):
            scheduler.turn()
        aliases = Registry(home / "models" / "default", "default").load()
        made = aliases.details_of(str(aliases.challenger))
        assert made is not None and made.remote_model == "ft:glm-4-flash:shop:8f3a"
        assert console.types("run.") == ["run.started", "run.finished"]
        assert not (home / "models" / "default" / "adapters").exists()
        console.wish("promote", adapter_id=aliases.challenger)
        console.wish("train", method="sft")
        for _ in range(3):
            scheduler.turn()
        # The vendor of this test makes the same model again.
        assert "the same weights as" in console.events("run.failed")[0]["reason"]
        console.wish("train", method="sft", params={"start": "base"})
        for _ in range(3):
            scheduler.turn()
    events.close()
    assert [(work.start, work.start_remote) for work in backend.works] == [
        (None, None), (None, "ft:glm-4-flash:shop:8f3a"), (None, None),
    ]  # fmt: skip
    with pytest.raises(ThumbwheelError, match="its weights are not here"):
        training_command(backend.works[1])
    assert [record.state for record in jobs.read_records(home / "runs" / "default")] == ["finished", "failed", "failed"]
