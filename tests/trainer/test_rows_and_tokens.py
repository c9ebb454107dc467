"""What a trainer reads from a dataset folder, and where replies end."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from contract.errors import ThumbwheelError
from inference.tokens import make_encoder
from tests.trainer import tiny
from tests.trainer.conftest import loaded
from trainer.rows import open_dataset, sample_by_weight, spread


def test_nulls_that_parquet_adds_to_messages_are_taken_out(tmp_path: Path) -> None:
    rng = random.Random(1)
    row = tiny.preference_row(1, rng)
    row["prompt"] = [{"role": "system", "content": "be kind", "name": "x"}, {"role": "user", "content": "hi"}]
    folder = tiny.write_dataset(tmp_path / "ds", {"preference": {"train": [row]}})
    prompt = open_dataset(folder).pairs("train")[0].prompt
    assert prompt == [{"role": "system", "content": "be kind", "name": "x"}, {"role": "user", "content": "hi"}]


def test_a_folder_without_a_manifest_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ThumbwheelError) as refused:
        open_dataset(tmp_path)
    assert refused.value.code == "bad_dataset"
    assert "hint:" in refused.value.line()


def test_no_batch_holds_two_rows_of_one_prompt() -> None:
    rows = [(f"prompt-{i % 20}", i) for i in range(60)]
    ordered = spread(rows, lambda row: row[0], 8, random.Random(3))
    assert sorted(ordered) == sorted(rows)
    for begin in range(0, 60, 8):
        batch = [row[0] for row in ordered[begin : begin + 8]]
        assert len(set(batch)) == len(batch)


def test_labels_are_interleaved_over_all_batches() -> None:
    rows = [(f"prompt-{i}", i < 30) for i in range(90)]
    ordered = spread(rows, lambda row: row[0], 6, random.Random(3), kind=lambda row: row[1])
    counts = [sum(label for _, label in ordered[begin : begin + 6]) for begin in range(0, 90, 6)]
    assert set(counts) == {2}


def test_rows_are_drawn_in_proportion_to_their_weight() -> None:
    class Row:
        def __init__(self, weight: float) -> None:
            self.weight = weight

    rows = [Row(1.0)] * 3000 + [Row(1 / 3)] * 3000 + [Row(0.0)] * 3000
    drawn = sample_by_weight(rows, random.Random(0))
    light = sum(row.weight == 1 / 3 for row in drawn)
    assert sum(row.weight == 1.0 for row in drawn) == 3000
    assert 900 < light < 1100
    assert not any(row.weight == 0 for row in drawn)


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_a_reply_ends_with_a_token_the_model_stops_at(bases: dict[str, Path], family: str) -> None:
    _, encoder = loaded(bases[family])
    _, reply = encoder.pair(tiny.user("where is my order"), tiny.assistant("it will arrive on monday"))
    assert reply[-1] in encoder.stop_ids
    assert not set(reply[:-1]) & encoder.stop_ids
    expected = "<|user|>" if family == "glm" else "<|im_end|>"
    assert encoder.tokenizer.convert_ids_to_tokens(encoder.stop_id) == expected


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_a_reply_cut_at_the_token_limit_trains_no_end_token(bases: dict[str, Path], family: str) -> None:
    _, encoder = loaded(bases[family])
    prompt, whole = encoder.pair(tiny.user("where is my order"), tiny.assistant("it will arrive"))
    same, cut = encoder.pair(tiny.user("where is my order"), tiny.assistant("it will arrive"), cut=True)
    assert prompt == same
    assert cut == whole[:-1]


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_padding_is_no_token_the_model_stops_at(bases: dict[str, Path], family: str) -> None:
    model, encoder = loaded(bases[family])
    assert encoder.pad_id not in encoder.stop_ids
    assert encoder.tokenizer.pad_token_id == encoder.pad_id
    encoder.tokenizer.pad_token = encoder.tokenizer.eos_token
    assert make_encoder(encoder.tokenizer, model).pad_id not in encoder.stop_ids
