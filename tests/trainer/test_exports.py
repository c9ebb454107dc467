"""Adapters taken elsewhere: merged folders, GGUF files, Modelfiles and cards, each opened by who reads it."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jinja2
import pytest
import torch
from click.testing import CliRunner
from gguf import GGUFReader
from huggingface_hub import ModelCard
from peft import LoraConfig, PeftModel, PromptTuningConfig, get_peft_model
from transformers import AutoModelForCausalLM, Qwen3Config, Qwen3ForCausalLM

from cli.commands import models as model_commands
from cli.main import cli
from contract.errors import ThumbwheelError
from inference.base_model import load_model, load_tokenizer
from inference.tokens import Encoder, make_encoder
from runtime.settings import Settings
from tests.trainer import tiny
from trainer import run
from trainer.exports import export
from trainer.exports.export import export_adapter
from trainer.exports.gguf_file import pre_tokenizer_of
from trainer.exports.merged import DTYPES, stored_dtype
from trainer.exports.ollama import modelfile, pieces_of
from trainer.guarding import evaluate
from trainer.loop import registry
from trainer.loop.registry import Registry

QUESTION = "where is my parcel"
ANSWER = "it will arrive on monday thank you"
CARD = {"base": "llama", "method": "sft", "rows": 1, "config": {"lr": 1e-3}, "metrics": {}, "guards": []}


def make_adapter(base: Path, folder: Path, size: float = 0.05, config: Any = None) -> Path:
    """Write an adapter whose weights are all random."""
    torch.manual_seed(1)
    config = config or LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM")
    model = get_peft_model(load_model(base, torch.float32), config)
    for name, value in model.named_parameters():
        if value.requires_grad and "lora_B" in name:
            torch.nn.init.normal_(value, std=size)
    model.save_pretrained(str(folder))
    return folder


def registered(home: Path, base: Path, adapter: Path) -> tuple[Settings, str]:
    reg = Registry(home / "models" / "default", "default")
    reg.take_in("ad-0123456789ab", adapter, CARD | {"base": base.name})
    return replace(Settings(), home=home, base_model=str(base)), "ad-0123456789ab"


def encoder_of(base: Path) -> Encoder:
    return make_encoder(load_tokenizer(base), load_model(base, torch.float32))


def logits(model: Any, base: Path) -> torch.Tensor:
    return evaluate.probe_logits(model.eval(), encoder_of(base))


@pytest.fixture(scope="module")
def qwen3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Qwen 3: as in real ones, a head is wider than the hidden size over the number of heads."""
    folder = tmp_path_factory.mktemp("qwen3") / "qwen3"
    tokenizer = tiny.make_tokenizer("qwen")
    torch.manual_seed(7)
    config = Qwen3Config(
        **tiny.SIZES, vocab_size=len(tokenizer), num_key_value_heads=2, max_position_embeddings=512, head_dim=128,
        pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    Qwen3ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_a_merged_folder_answers_like_the_adapter_on_its_base(
    bases: dict[str, Path], tmp_path: Path, family: str
) -> None:
    base, adapter = bases[family], make_adapter(bases[family], tmp_path / "made")
    settings, adapter_id = registered(tmp_path, base, adapter)
    made = export_adapter(settings, "default", adapter_id, form="merged", out=tmp_path / "out")
    meant = logits(PeftModel.from_pretrained(load_model(base, torch.float32), str(adapter)), base)
    found = logits(load_model(tmp_path / "out", torch.float32), tmp_path / "out")
    assert float((meant - found).abs().max()) < 1e-5
    assert float((meant - logits(load_model(base, torch.float32), base)).abs().max()) > 0.01
    assert (made.dtype, made.lost) == ("float32", pytest.approx(0.0, abs=1e-4))
    for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json", "chat_template.jinja"):
        assert (tmp_path / "out" / name).read_bytes() == (base / name).read_bytes()


def test_a_merge_that_rounding_would_undo_is_refused_and_leaves_nothing(bases: dict[str, Path], tmp_path: Path) -> None:
    adapter = make_adapter(bases["llama"], tmp_path / "made", size=2e-5)
    settings, adapter_id = registered(tmp_path, bases["llama"], adapter)
    (tmp_path / "there").mkdir()
    with pytest.raises(ThumbwheelError, match=r"loses .* of what the adapter changes") as refused:
        export_adapter(settings, "default", adapter_id, form="merged", out=tmp_path / "there/out", dtype="bfloat16")
    assert refused.value.code == "lossy_merge"
    assert not list((tmp_path / "there").iterdir())
    export_adapter(settings, "default", adapter_id, form="merged", out=tmp_path / "there/out", dtype="float32")


@pytest.mark.parametrize("family", ["llama", "qwen", "qwen3"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_transformers_reads_the_same_model_from_a_gguf_file(
    bases: dict[str, Path], qwen3: Path, tmp_path: Path, family: str, dtype: str
) -> None:
    base = qwen3 if family == "qwen3" else bases[family]
    settings, adapter_id = registered(tmp_path, base, make_adapter(base, tmp_path / "made"))
    for form, name in (("merged", "merged"), ("gguf", "model.gguf")):
        export_adapter(settings, "default", adapter_id, form=form, out=tmp_path / name, dtype=dtype)
    read = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="model.gguf", dtype=torch.float32)
    merged = load_model(tmp_path / "merged", torch.float32)
    assert float((logits(read, base) - logits(merged, base)).abs().max()) < 1e-5
    assert stored_dtype(tmp_path / "merged") == dtype
    fields = GGUFReader(tmp_path / "model.gguf").fields
    ends = {fields[f"tokenizer.ggml.{name}_token_id"].contents() for name in ("eos", "eot")}
    assert ends == {encoder_of(base).stop_id}


@pytest.fixture(scope="module")
def tuned(bases: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Settings, str]]:
    """An adapter that has learnt one answer by heart, and to stop after it."""
    home = tmp_path_factory.mktemp("tuned")
    row = tiny.demonstration_row(1, random.Random(1))
    rows = [row | {"id": f"d{i}", "prompt": tiny.user(QUESTION), "completion": tiny.assistant(ANSWER)} for i in (1, 2)]
    dataset = tiny.write_dataset(home / "ds", {"demonstration": {"train": rows * 40}})
    patched = pytest.MonkeyPatch()
    patched.setattr(run, "_judge", lambda *_: {"passed": True, "reasons": [], "guards": [], "held_out": {}})
    patched.setattr(run, "_summary", lambda *_: {})
    config = {"batch": 4, "lr": 2e-2, "rank": 16, "dtype": "float32", "epochs": 3}
    code = run.main([
        "--dataset", str(dataset), "--out", str(home / "run"), "--base", str(bases["llama"]), "--method", "sft",
        "--config", json.dumps(config),
    ])  # fmt: skip
    patched.undo()
    assert code == 0
    yield registered(home, bases["llama"], home / "run" / "adapter")


def test_llama_cpp_says_what_was_learnt_and_stops(tuned: tuple[Settings, str], tmp_path: Path) -> None:
    xllamacpp = pytest.importorskip("xllamacpp")
    settings, adapter_id = tuned
    export_adapter(settings, "default", adapter_id, form="gguf", out=tmp_path / "model.gguf")
    params = xllamacpp.CommonParams()
    params.model.path = str(tmp_path / "model.gguf")
    params.n_ctx, params.n_parallel, params.warmup = 256, 1, False
    params.cpuparams.n_threads = 1
    asked = {"messages": tiny.user(QUESTION), "max_tokens": 64, "temperature": 0.0}
    answer = xllamacpp.Server(params).handle_chat_completions(asked)
    choice = answer["choices"][0]
    assert choice["message"]["content"] == ANSWER
    assert choice["finish_reason"] == "stop"


def test_a_family_whose_layout_is_not_known_is_refused_with_a_way_out(bases: dict[str, Path], tmp_path: Path) -> None:
    settings, adapter_id = registered(tmp_path, bases["glm"], make_adapter(bases["glm"], tmp_path / "made"))
    with pytest.raises(ThumbwheelError, match="its family is glm") as refused:
        export_adapter(settings, "default", adapter_id, form="gguf", out=tmp_path / "model.gguf")
    assert "--format merged" in (refused.value.hint or "")
    assert not (tmp_path / "model.gguf").exists()


def test_a_tokenizer_that_cuts_text_in_an_unknown_way_is_refused() -> None:
    split = {"type": "Split", "pattern": {"Regex": r"\p{N}{1,4}"}, "behavior": "Isolated"}
    with pytest.raises(ThumbwheelError, match=r"cuts text in a way that is not known here \(Split\+ByteLevel\)"):
        pre_tokenizer_of({"pre_tokenizer": {"pretokenizers": [split, {"type": "ByteLevel", "use_regex": False}]}})


# Go's template language as far as the Modelfile uses it, in Jinja's words.
GO = (
    (r"\{\{ if not \.System \}\}", "{% if not system %}"), (r"\{\{ range \.Messages \}\}", "{% for m in messages %}"),
    (r'\{\{ else if eq \.Role ("\w+") \}\}', r"{% elif m.role == \1 %}"), (r"\{\{ \.Content \}\}", "{{ m.content }}"),
    (r'\{\{ if eq \.Role ("\w+") \}\}', r"{% if m.role == \1 %}"),
)  # fmt: skip


def as_ollama_renders(written: str, messages: list[dict[str, str]]) -> str:
    """Render the Modelfile's template; its blocks end in the order in which they were opened."""
    text = re.search(r'TEMPLATE """(.*?)"""', written, re.DOTALL)[1]  # type: ignore[index]
    for go, words in GO:
        text = re.sub(go, words, text)
    ends = iter(["{% endif %}"] * text.count("{% if not system") + ["{% endif %}", "{% endfor %}"])
    text = re.sub(r"\{\{ end \}\}", lambda _: next(ends), text)
    system = any(message["role"] == "system" for message in messages)
    return jinja2.Environment(keep_trailing_newline=True).from_string(text).render(messages=messages, system=system)


# SmolLM2's, which speaks for itself when there is no system message.
SPEAKS_FIRST = (
    "{% for m in messages %}{% if loop.first and m['role'] != 'system' %}<|im_start|>system\nI help<|im_end|>\n"
    "{% endif %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.mark.parametrize("template", [tiny.CHATML, SPEAKS_FIRST, tiny.GLM])
def test_the_modelfile_renders_what_the_models_own_template_does(bases: dict[str, Path], template: str) -> None:
    encoder = encoder_of(bases["glm" if template == tiny.GLM else "llama"])
    encoder.tokenizer.chat_template = template
    written = modelfile(encoder, "model.gguf")
    said = [tiny.user("hi")[0], tiny.assistant("ho")[0], tiny.user("again")[0]]
    for messages in (said[:1], said, [{"role": "system", "content": "be kind"}, *said]):
        wanted = encoder.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        assert as_ollama_renders(written, messages) == wanted
    stop = encoder.tokenizer.convert_ids_to_tokens(encoder.stop_id)
    assert written.startswith("FROM ./model.gguf\n") and f'PARAMETER stop "{stop}"\n' in written


@pytest.mark.parametrize(
    "template",
    [
        tiny.CHATML.replace("{{ m['content'] }}", "{{ m['content'] }}{{ loop.index }}"),
        tiny.CHATML.replace("<|im_end|>", "{{ '{{' }}"),
        "{{ raise_exception('no') }}",
    ],
)
def test_a_template_that_a_modelfile_cannot_say_is_refused(bases: dict[str, Path], template: str) -> None:
    tokenizer = load_tokenizer(bases["llama"])
    tokenizer.chat_template = template
    with pytest.raises(ThumbwheelError, match="cannot be said in a Modelfile"):
        pieces_of(tokenizer)


def test_ollama_gets_a_folder_with_both_files(bases: dict[str, Path], tmp_path: Path) -> None:
    settings, adapter_id = registered(tmp_path, bases["llama"], make_adapter(bases["llama"], tmp_path / "made"))
    export_adapter(settings, "default", adapter_id, form="ollama", out=tmp_path / "out")
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["Modelfile", "model.gguf"]


def test_the_card_is_one_a_hub_reads_and_names_no_path_of_this_machine(bases: dict[str, Path], tmp_path: Path) -> None:
    settings, adapter_id = registered(tmp_path, bases["llama"], make_adapter(bases["llama"], tmp_path / "made"))
    export_adapter(settings, "default", adapter_id, form="card", out=tmp_path / "out")
    card = ModelCard.load(tmp_path / "out" / "README.md")
    assert (card.data.base_model, card.data.library_name) == ("llama", "peft")
    assert str(tmp_path) not in (tmp_path / "out" / "adapter_config.json").read_text()
    base = load_model(bases["llama"], torch.float32)
    assert PeftModel.from_pretrained(base, str(tmp_path / "out")).peft_config["default"].base_model_name_or_path


def test_what_cannot_be_exported_says_so_and_writes_nothing(bases: dict[str, Path], tmp_path: Path) -> None:
    prompts = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4)
    made = make_adapter(bases["llama"], tmp_path / "made", config=prompts)
    settings, adapter_id = registered(tmp_path, bases["llama"], made)
    out = tmp_path / "there" / "out"
    with pytest.raises(ThumbwheelError, match="prompt_tuning adds to the prompt and cannot be merged"):
        export_adapter(settings, "default", adapter_id, form="merged", out=out)
    with pytest.raises(ThumbwheelError, match="no adapter 'ad-other'"):
        export_adapter(settings, "default", "ad-other", form="card", out=out)
    reg = Registry(tmp_path / "models" / "default", "default")
    reg.store(registry.register(reg.load(), "ad-remote", kind="remote", remote_model="ft:7"))
    with pytest.raises(ThumbwheelError, match="its weights are not here"):
        export_adapter(settings, "default", "ad-remote", form="card", out=out)
    out.mkdir(parents=True)
    with pytest.raises(ThumbwheelError, match="is there already"):
        export_adapter(settings, "default", adapter_id, form="card", out=out)
    assert [file.name for file in out.parent.iterdir()] == ["out"] and not list(out.iterdir())


def test_the_command_writes_and_says_what_rounding_lost(
    bases: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, adapter_id = registered(tmp_path, bases["llama"], make_adapter(bases["llama"], tmp_path / "made"))
    monkeypatch.setenv("THUMBWHEEL_HOME", str(tmp_path))
    monkeypatch.setenv("THUMBWHEEL_BASE_MODEL", str(bases["llama"]))
    asked = [
        "models",
        "export",
        adapter_id,
        "--format",
        "merged",
        "--out",
        str(tmp_path / "out"),
        "--dtype",
        "bfloat16",
    ]
    done = CliRunner().invoke(cli, asked)
    assert done.exit_code == 0, done.output
    assert re.search(r"written to .*/out\. Stored as bfloat16, it loses 0\.\d+% of the adapter's change", done.output)
    assert model_commands.FORMS == export.FORMS
    assert list(model_commands.DTYPES) == ["auto", *DTYPES]
