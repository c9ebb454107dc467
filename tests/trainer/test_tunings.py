"""Ways of tuning: what each moves and leaves alone, what it is judged against, and what is refused before it starts."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from peft import LoraConfig

from contract.errors import ThumbwheelError
from inference import quantised
from inference.base_model import load_model, load_tokenizer
from inference.generation import Sampling, generate
from inference.hardware import Hardware
from inference.tokens import make_encoder
from inference.tuned import load_tuned
from tests.trainer import cells, tiny
from trainer import run
from trainer.guarding import evaluate, guards
from trainer.guarding.beside import cache_of, with_base
from trainer.loop import registry
from trainer.loop.registry import Aliases, Registry
from trainer.loop.starting import tuning_and_start
from trainer.objectives import dpo
from trainer.progress import MetricsFile
from trainer.recipes import make_config
from trainer.tuning import lora, progressive, whole
from trainer.tuning.refusals import checkpointing, ready
from trainer.tuning.settings import FrozenSettings, LoraSettings, ProgressiveSettings
from trainer.tuning.shape import Prepared
from trainer.tuning.table import TUNINGS, find_tuning

CHAMPION = "ad-00000000000a"


@pytest.mark.parametrize(
    ("tuning", "params", "says"),
    [
        ("lora", {"rank": 64}, "rank=64 is outside 1..32"),
        ("lora", {"rank": "16"}, "rank='16' is malformed"),
        ("lora", {"modules": ["lm_head"]}, "An adapter on lm_head would not be trained"),
        ("dora", {"layers": "last"}, "layers='last' is malformed"),
        ("lora", {"virtual_tokens": 8}, "virtual_tokens means nothing to the tuning lora"),
        ("full", {"rank": 8}, "rank means nothing to the tuning full"),
        ("progressive", {"stages": 1}, "stages=1 unfreezes everything at once"),
        ("prompt", {"virtual_tokens": 101}, "virtual_tokens=101 is outside 1..100"),
        ("prompt", {"packing": True}, "packing and prompt do not go together"),
        ("p-tuning", {"packing": True}, "packing and p-tuning do not go together"),
        ("prefix", {"packing": True}, "packing and prefix do not go together"),
        ("prefix", {"checkpointing": True}, "checkpointing and prefix do not go together"),
        ("lora", {"liger": True}, "Liger needs a GPU"),
        ("full", {"use_liger_kernel": True}, "Liger needs a GPU"),
    ],
)
def test_what_cannot_train_is_refused_before_it_starts(tuning: str, params: dict[str, Any], says: str) -> None:
    with pytest.raises(ThumbwheelError, match=says.replace("(", "\\(")) as refused:
        ready(find_tuning(tuning), params)
    assert refused.value.hint and refused.value.field


@pytest.mark.parametrize("name", ["pissa", "olora", "lora-ga", "LoRA_GA"])
def test_what_moves_the_base_is_refused_by_name_with_the_reason(name: str) -> None:
    with pytest.raises(ThumbwheelError, match="changes the base's own weights"):
        find_tuning(name)


def test_a_refusal_comes_before_the_model_is_read(
    bases: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = tiny.mixed_dataset(tmp_path / "ds")
    monkeypatch.setattr("transformers.AutoModelForCausalLM.from_pretrained", lambda *a, **k: pytest.fail("it was read"))
    given = ["--dataset", str(dataset), "--out", str(tmp_path / "run"), "--base", str(bases["llama"])]
    assert run.main([*given, "--tuning", "prefix", "--config", '{"checkpointing": true}']) == 2
    assert run.main([*given, "--tuning", "pissa"]) == 2
    errors = capsys.readouterr().err
    assert "which checkpointing throws away" in errors and "PiSSA changes the base" in errors
    assert errors.count("hint:") == 2


def test_a_prefix_is_never_checkpointed_and_virtual_tokens_are_never_packed() -> None:
    assert checkpointing(find_tuning("prefix"), {}) is False
    assert checkpointing(find_tuning("lora"), {}) is None
    assert checkpointing(find_tuning("lora"), {"checkpointing": True}) is True
    large = 7_000_000_000
    assert make_config("sft", {}, large).packing
    assert not make_config("sft", {}, large, find_tuning("prompt")).packing


def test_each_tuning_has_a_rate_that_suits_it_unless_a_run_names_one() -> None:
    rates = {name: make_config("dpo", {}, 1, tuning).lr for name, tuning in TUNINGS.items()}
    assert rates["lora"] == rates["dora"] == rates["qlora4"] == 5e-4
    assert rates["full"] == rates["frozen"] == rates["progressive"] == pytest.approx(5e-5)
    assert rates["prompt"] == rates["prefix"] == pytest.approx(5e-3)
    assert make_config("dpo", {"lr": 1e-3}, 1, find_tuning("full")).lr == 1e-3


def moved(before: dict[str, torch.Tensor], model: Any) -> set[str]:
    return {name for name, weight in model.named_parameters() if not torch.equal(before[name], weight)}


def test_chosen_layers_and_modules_alone_get_an_adapter(bases: dict[str, Path]) -> None:
    model = load_model(bases["llama"], torch.float32)
    config = lora.make_config(model, LoraSettings(4, 8, layers=(-1,), modules=("q_proj", "down_proj")))
    assert config.layers_to_transform == [1]
    everywhere = lora.make_config(model, LoraSettings(4, 8, layers=(0,)))
    assert {"q_proj", "up_proj"} <= set(everywhere.target_modules) and "lm_head" not in everywhere.target_modules
    for settings, says in (
        (LoraSettings(layers=(2,)), "no layer 2"),
        (LoraSettings(modules=("x",)), "no linear layer x"),
    ):
        with pytest.raises(ThumbwheelError, match=says):
            lora.make_config(model, settings)


def test_frozen_parts_stay_and_the_rest_moves(bases: dict[str, Path], tmp_path: Path) -> None:
    before = dict(load_model(bases["llama"], torch.float32).named_parameters())
    trained = cells.train("dpo", find_tuning("frozen"), bases["llama"], tmp_path)
    names = moved(before, trained.trained)
    assert names and not any(".layers.0." in name or "embed_tokens" in name for name in names)
    assert {name for name in before if ".layers.1." in name} <= names
    assert moved(before, load_tuned(bases["llama"], trained.folder, torch.float32)) == names


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (FrozenSettings(frozen_layers=(5,)), "no layer 5"),
        (FrozenSettings(frozen_modules=("mpl",)), "No weight of the model has 'mpl'"),
        (FrozenSettings(frozen_layers=(0, 1), frozen_modules=("embed", "norm", "lm_head")), "Everything is frozen"),
    ],
)
def test_freezing_what_is_not_there_or_all_there_is_is_refused(
    bases: dict[str, Path], settings: FrozenSettings, says: str
) -> None:
    with pytest.raises(ThumbwheelError, match=says):
        whole.prepare_frozen(load_model(bases["llama"], torch.float32), None, settings)


def test_blocks_are_unfrozen_from_the_last_one_on(bases: dict[str, Path]) -> None:
    model = load_model(bases["llama"], torch.float32)
    prepared = progressive.prepare(model, None, ProgressiveSettings(stages=2))
    (schedule,) = prepared.callbacks
    free = lambda: {name for name, weight in model.named_parameters() if weight.requires_grad}  # noqa: E731
    everything = free()
    state = SimpleNamespace(global_step=0, max_steps=4)
    schedule.on_train_begin(None, state, None)
    assert free() == {name for name in everything if not (".layers.0." in name or "embed_tokens" in name)}
    state.global_step = 1
    schedule.on_step_begin(None, state, None)
    assert free() != everything
    state.global_step = 2
    schedule.on_step_begin(None, state, None)
    assert free() == everything
    with pytest.raises(ThumbwheelError, match="2 stages need as many steps"):
        schedule.on_train_begin(None, SimpleNamespace(global_step=0, max_steps=1), None)
    with pytest.raises(ThumbwheelError, match="more than the 2 layers"):
        progressive.prepare(model, None, ProgressiveSettings(stages=3))


def test_a_reference_that_is_not_the_start_ends_the_run(bases: dict[str, Path], cpu: Hardware, tmp_path: Path) -> None:
    model = load_model(bases["llama"], torch.float32)
    encoder = make_encoder(load_tokenizer(bases["llama"]), model)
    config = LoraConfig(r=8, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM")
    settings = dpo.PreferenceConfig(batch=4, max_length=128)
    prepared = Prepared(model, config, "base")
    with pytest.raises(ThumbwheelError) as refused:
        dpo.train(cells.rows("dpo"), prepared, encoder, settings, cpu, MetricsFile(tmp_path / "m"), tmp_path / "work")
    assert refused.value.code == "wrong_reference" and "away from its reference" in refused.value.message


def test_a_whole_model_is_continued_against_itself_and_an_adapter_is_not(
    bases: dict[str, Path], tmp_path: Path
) -> None:
    base = bases["llama"]
    first = cells.train("sft", find_tuning("full"), base, tmp_path / "first")
    model = load_model(base, torch.float32)
    again = whole.prepare(model, first.folder, TUNINGS["full"].settings())
    assert again.reference == f"adapter {first.folder.name}"
    assert str(first.folder) in again.model.config._name_or_path, "TRL loads the reference from there"
    adapter = cells.train("sft", find_tuning("lora"), base, tmp_path / "lora")
    with pytest.raises(ThumbwheelError, match="not a whole model"):
        whole.prepare(model, adapter.folder, TUNINGS["full"].settings())
    for name, start in (("lora", first.folder), ("dora", adapter.folder), ("prompt", adapter.folder)):
        with pytest.raises(ThumbwheelError, match="cannot be continued"):
            tuning = find_tuning(name)
            tuning.parts().prepare(load_model(base, torch.float32), start, tuning.settings())


def test_a_whole_model_is_judged_against_the_base_and_not_itself(bases: dict[str, Path], tmp_path: Path) -> None:
    base = bases["llama"]
    trained = cells.train("sft", find_tuning("full"), base, tmp_path)
    plain = load_model(base, torch.float32)
    judged = with_base(trained.trained, base)
    assert torch.equal(
        evaluate.probe_logits(judged, trained.encoder, base=True), evaluate.probe_logits(plain, trained.encoder)
    )
    asked, drawn = [tiny.user("refund")], Sampling(max_tokens=8)
    off, told = (generate(one, trained.encoder, asked, drawn, base=True) for one in (judged, plain))
    assert off == told
    assert generate(judged, trained.encoder, asked, drawn) != told


@pytest.mark.parametrize("tuning", ["full", "prefix"])
def test_a_run_records_how_it_was_tuned(
    bases: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tuning: str
) -> None:
    monkeypatch.setattr(guards, "SAMPLING", Sampling(max_tokens=6))
    dataset = tiny.mixed_dataset(tmp_path / "ds")
    out = tmp_path / "run"
    given = ["--dataset", str(dataset), "--out", str(out), "--base", str(bases["llama"]), "--method", "dpo"]
    settings = {"batch": 4, "lr": 5e-3, "dtype": "float32"}
    assert run.main([*given, "--tuning", tuning, "--config", json.dumps(settings)]) == 0
    result = json.loads((out / "result.json").read_text())
    assert (result["tuning"], result["reference"]) == (tuning, "base")
    assert result["tuning_settings"] == ({} if tuning == "full" else {"virtual_tokens": 20})
    assert bool(result["warning"]) == (tuning == "prefix")
    report = json.loads((out / "guards.json").read_text())
    found = {guard["name"]: guard for guard in report["guards"]}
    assert found["loads"]["value"] == 0.0 and found["not_a_no_op"]["passed"]
    assert report["replies"] != report["base_replies"]

    reg = Registry(tmp_path / "models", "shop")
    card = {**result, "run_id": "run-1", "parent": "base", "guards": report["guards"]}
    folder = reg.take_in(CHAMPION, out / "adapter", card)
    assert reg.tuning_of(CHAMPION) == tuning
    readme = (folder / "README.md").read_text()
    assert TUNINGS[tuning].served in readme and result["warning"] in readme
    assert load_tuned(bases["llama"], folder, torch.float32)


def with_champion(folder: Path, tuning: str | None) -> tuple[Registry, Aliases]:
    reg = Registry(folder, "shop")
    aliases = registry.promote(registry.register(Aliases(), CHAMPION), CHAMPION)
    if tuning:
        reg.adapter(CHAMPION).mkdir(parents=True)
        (reg.adapter(CHAMPION) / "card.json").write_text(json.dumps({"tuning": tuning}))
    return reg, aliases


@pytest.mark.parametrize(
    ("champion", "wished", "params", "expected"),
    [
        (None, None, {}, ("lora", CHAMPION)),  # A card from before there were several ways.
        ("dora", None, {}, ("dora", CHAMPION)),
        ("full", "full", {}, ("full", CHAMPION)),
        ("prefix", None, {}, ("prefix", None)),
        ("lora", "full", {"start": "base"}, ("full", None)),
        ("full", None, {"start": "base"}, ("lora", None)),
    ],
)
def test_a_run_is_tuned_as_the_champion_was(
    tmp_path: Path, champion: str | None, wished: str | None, params: dict[str, Any], expected: tuple[str, str | None]
) -> None:
    reg, aliases = with_champion(tmp_path, champion)
    assert tuning_and_start(reg, aliases, params, wished) == expected


def test_another_tuning_than_the_champions_needs_the_base(tmp_path: Path) -> None:
    reg, aliases = with_champion(tmp_path, "lora")
    with pytest.raises(ThumbwheelError, match="was tuned by lora: a run by full cannot continue it") as refused:
        tuning_and_start(reg, aliases, {}, "full")
    assert "--from base" in refused.value.hint
    with pytest.raises(ThumbwheelError, match="outside 1"):
        tuning_and_start(reg, aliases, {"rank": 99}, None)


def test_a_quantised_base_without_its_library_is_refused(
    bases: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantised, "find_spec", lambda name: None)
    with pytest.raises(ThumbwheelError, match="need bitsandbytes") as refused:
        TUNINGS["qlora4"].parts().load(bases["llama"], torch.float32)
    assert "pip install bitsandbytes" in refused.value.hint


def test_an_adapter_of_a_quantised_base_says_so_and_its_base_is_judged_apart(
    bases: dict[str, Path], tmp_path: Path
) -> None:
    pytest.importorskip("bitsandbytes")
    trained = cells.train("dpo", find_tuning("qlora8"), bases["llama"], tmp_path)
    assert json.loads((trained.folder / "tuning.json").read_text()) == {"bits": 8}
    assert cache_of(tmp_path, trained.folder) == tmp_path / "8-bit"
    weights = [weight for name, weight in trained.trained.named_parameters() if weight.requires_grad]
    assert {weight.dtype for weight in weights} == {torch.float32}
    with pytest.raises(ThumbwheelError, match="its base has 8 bits, this run's all its"):
        lora.prepare(load_model(bases["llama"], torch.float32), trained.folder, LoraSettings())
