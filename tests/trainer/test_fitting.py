"""Long prompts: the oldest turns go, marked and counted; what cannot be shortened is dropped, and the hint says why."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from inference.generation import Sampling
from tests.trainer import tiny
from tests.trainer.conftest import loaded
from trainer import run
from trainer.fitting import MARK, fit
from trainer.guarding import evaluate, guards
from trainer.rows import Pair

SYSTEM = {"role": "system", "content": "we are sorry for this"}


@pytest.fixture(autouse=True)
def short_replies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards on a tiny model need no 256 tokens."""
    monkeypatch.setattr(guards, "SAMPLING", Sampling(max_tokens=6))


def talk(turns: int, last: str = "where is my order", long: int = 12) -> list[dict[str, str]]:
    """Return a conversation whose turns are numbered, the newest a question."""
    said = [SYSTEM]
    for turn in range(turns):
        said += [*tiny.user(f"u{turn} " + "parcel " * long), *tiny.assistant(f"a{turn} " + "monday " * long)]
    return [*said, *tiny.user(last)]


def decoded(encoder: Any, ids: list[int]) -> str:
    return str(encoder.tokenizer.decode(ids))


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_the_oldest_turns_go_first_and_the_mark_says_so(bases: dict[str, Path], family: str) -> None:
    _, encoder = loaded(bases[family])
    reply = tiny.assistant("it will arrive on monday")
    fitted = fit(encoder, talk(8), [(reply, False)], 200)
    text = decoded(encoder, fitted.prompt)
    assert fitted.shortened and len(fitted.prompt) + len(fitted.replies[0]) <= 200
    assert text.count(MARK) == 1 and SYSTEM["content"] in text and "where is my order" in text
    kept = [turn for turn in range(8) if f"u{turn} " in text]
    assert kept == list(range(kept[0], 8)) and 0 < kept[0] < 8
    assert [f"a{turn} " in text for turn in range(8)] == [turn >= kept[0] for turn in range(8)]
    assert text.index(MARK) < text.index(f"u{kept[0]} ")
    # One turn more would not have fitted.
    head = [SYSTEM, *talk(8)[1 + 2 * (kept[0] - 1) :]]
    more = [{**m, "content": f"{MARK}\n\n{m['content']}"} if i == 1 else m for i, m in enumerate(head)]
    assert len(encoder.prompt(more)) + len(fitted.replies[0]) > 200
    assert fitted.replies[0][-1] in encoder.stop_ids


def test_a_prompt_that_fits_stays_as_it_is(bases: dict[str, Path]) -> None:
    _, encoder = loaded(bases["llama"])
    reply = tiny.assistant("it will arrive on monday")
    fitted = fit(encoder, talk(2, long=2), [(reply, False)], 200)
    assert (fitted.prompt, fitted.replies[0]) == encoder.pair(talk(2, long=2), reply)
    assert not fitted.shortened


def test_a_long_reply_takes_at_most_half_of_the_length_from_the_prompt(bases: dict[str, Path]) -> None:
    _, encoder = loaded(bases["llama"])
    fitted = fit(encoder, talk(8), [(tiny.assistant("it will arrive " * 100), False)], 200)
    assert 50 < len(fitted.prompt) <= 100


@pytest.mark.parametrize("prompt", [tiny.user("parcel " * 300), talk(4, "parcel " * 300)])
def test_a_newest_turn_that_is_too_long_is_too_long(bases: dict[str, Path], prompt: list[dict[str, str]]) -> None:
    _, encoder = loaded(bases["llama"])
    assert fit(encoder, prompt, [(tiny.assistant("yes"), False)], 200).is_too_long(200)


def test_both_replies_of_a_pair_follow_the_same_prompt_also_when_held_out(bases: dict[str, Path]) -> None:
    _, encoder = loaded(bases["llama"])
    short, long = tiny.assistant("yes"), tiny.assistant("it will arrive " * 20)
    (left, _), (right, reply) = evaluate.side_tokens(Pair("p", "g", talk(80), short, long), encoder)
    assert left == right and MARK in decoded(encoder, left)
    assert len(right) + len(reply) <= evaluate.MAX_LENGTH


@pytest.mark.parametrize("method", ["sft", "dpo", "kto"])
def test_a_run_counts_shortened_prompts_and_trains_on_them(bases: dict[str, Path], tmp_path: Path, method: str) -> None:
    rng = random.Random(1)
    long = {"prompt": talk(8)}
    rows = {
        "preference": {"train": [*(tiny.preference_row(i, rng) for i in range(3)), tiny.preference_row(3, rng) | long]},
        "unpaired": {"train": [tiny.unpaired_row(i, rng, i % 2 == 0) | (long if i == 3 else {}) for i in range(4)]},
        "demonstration": {"train": [tiny.demonstration_row(i, rng) | (long if i == 3 else {}) for i in range(4)]},
    }
    out, config = tmp_path / "run", {"batch": 4, "lr": 5e-3, "rank": 4, "dtype": "float32", "max_length": 200}
    given = {
        "--dataset": tiny.write_dataset(tmp_path / "ds", rows), "--out": out, "--base": bases["llama"],
        "--config": json.dumps(config), "--method": method,
    }  # fmt: skip
    assert run.main([str(part) for pair in given.items() for part in pair]) == 0
    (stage,) = json.loads((out / "result.json").read_text())["stages"]
    assert (stage["rows"], stage["shortened"], stage["dropped"]) == (4, 1, {})


@pytest.mark.parametrize("method", ["sft", "dpo", "kto"])
def test_where_every_prompt_is_too_long_the_hint_names_the_setting(
    bases: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], method: str
) -> None:
    rng, prompt = random.Random(1), "parcel " * 100
    rows = {
        "preference": {"train": [tiny.preference_row(i, rng, prompt) for i in range(2)]},
        "unpaired": {"train": [tiny.unpaired_row(i, rng, i == 0, prompt) for i in range(2)]},
        "demonstration": {"train": [tiny.demonstration_row(0, rng) | {"prompt": tiny.user(prompt)}]},
    }
    given = {
        "--dataset": tiny.write_dataset(tmp_path / "ds", rows), "--out": tmp_path / "run", "--base": bases["llama"],
        "--config": '{"max_length": 64}', "--method": method,
    }  # fmt: skip
    assert run.main([str(part) for pair in given.items() for part in pair]) == 2
    assert "hint: Raise the setting max_length, which is 64." in capsys.readouterr().err
