"""Guards: what each one sees, and that the base is measured once."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from inference.generation import Sampling
from tests.trainer.conftest import loaded
from trainer.guarding import guards, replies
from trainer.guarding.chance import Accuracy, of_pairs, of_thumbs
from trainer.guarding.evaluate import Likelihood, closeness, meanings, preference_accuracy
from trainer.guarding.guards import Side, Training, judge, reasons
from trainer.rows import Pair

BASE = Side(2.0, 1.0, 0.05, 0.5, 60.0, 0.9, 0.0, (3.0, 4.0), ("a reply",) * 32)
FINE = Training(1.0, 2.0, 0.0, Accuracy(25, 40, 40, 0.94))


def failed(side: Side, training: Training = FINE) -> set[str]:
    return {guard.name for guard in judge(side, BASE, training) if not guard.passed}


def test_the_base_itself_passes() -> None:
    assert failed(BASE) == set()


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("reply_nll", replace(BASE, nll=3.1)),
        ("perplexity", replace(BASE, text_nll=(3.2, 4.2))),
        ("repeats", replace(BASE, repeats=0.11)),
        ("ends", replace(BASE, ended=0.2)),
        ("topic", replace(BASE, topic=0.79)),
        ("length", replace(BASE, words=14.0)),
        ("length", replace(BASE, words=91.0)),
        ("language", replace(BASE, language=0.79)),
        ("not_empty", replace(BASE, empty=0.07)),
    ],
)
def test_each_guard_sees_its_failure_and_no_other_does(name: str, side: Side) -> None:
    assert failed(side) == {name}
    lines = reasons(judge(side, BASE, FINE))
    assert len(lines) == 1
    assert lines[0].startswith(f"{name}: ")


def test_a_run_that_did_nothing_or_does_not_load_is_held() -> None:
    assert failed(BASE, replace(FINE, changed_share=0.0)) == {"not_a_no_op"}
    assert failed(BASE, replace(FINE, logit_change=0.0)) == {"not_a_no_op"}
    assert failed(BASE, replace(FINE, reload_difference=0.5)) == {"loads"}


def test_held_out_accuracy_fails_only_when_it_is_clearly_below_chance() -> None:
    assert failed(BASE, replace(FINE, accuracy=Accuracy(18, 40, 40, 0.3))) == set()
    assert failed(BASE, replace(FINE, accuracy=Accuracy(10, 40, 40, 0.001))) == {"held_out"}
    assert failed(BASE, replace(FINE, accuracy=Accuracy(0, 10, 10, 0.001))) == set()
    assert failed(BASE, replace(FINE, accuracy=Accuracy(0, 0))) == set()


def held_back(draw: Callable[[random.Random], Accuracy], runs: int = 2000) -> float:
    """Return the share of runs that the held-out guard holds back."""
    rng = random.Random(20261129)
    (guard,) = (one for one in guards.GUARDS if one.name == "held_out")
    assert isinstance(guard, guards.WeightsGuard)
    return sum(not guard.check(BASE, BASE, replace(FINE, accuracy=draw(rng)))[0] for _ in range(runs)) / runs


@pytest.mark.parametrize(("up", "down"), [(12, 12), (40, 10), (10, 90), (60, 60)])
def test_an_adapter_that_learnt_nothing_from_thumbs_is_held_back_once_in_forty_runs(up: int, down: int) -> None:
    def luck(rng: random.Random) -> Accuracy:
        return of_thumbs([rng.gauss(0, 1) for _ in range(up)], [rng.gauss(0, 1) for _ in range(down)])

    assert 0.01 < held_back(luck) < 0.04


@pytest.mark.parametrize(("groups", "of_one"), [(24, 1), (24, 3), (60, 3)])
def test_an_adapter_that_learnt_nothing_from_picks_is_held_back_once_in_forty_runs(groups: int, of_one: int) -> None:
    def luck(rng: random.Random) -> Accuracy:
        gains = []
        for _ in range(groups):
            # The pairs of one pick share its chosen reply.
            chosen = rng.gauss(0, 1)
            gains += [(chosen, rng.gauss(0, 1)) for _ in range(of_one)]
        return of_pairs(gains, [str(n // of_one) for n in range(len(gains))])

    assert 0.005 < held_back(luck) < 0.04


def test_an_adapter_that_learnt_the_opposite_is_held_back() -> None:
    def opposite(rng: random.Random) -> Accuracy:
        return of_thumbs([rng.gauss(0, 1) for _ in range(40)], [rng.gauss(1, 1) for _ in range(40)])

    assert held_back(opposite, 200) > 0.95
    assert of_pairs([(0.0, 1.0)] * 30, [str(n) for n in range(30)]).p_below < 1e-6


def test_an_adapter_that_ends_as_often_as_the_base_is_not_held_back_by_luck() -> None:
    rng, runs = random.Random(20261129), 2000

    def share(chance: float) -> float:
        return sum(rng.random() < chance for _ in range(32)) / 32

    def fails(ours: float, base: float) -> bool:
        side = replace(BASE, ended=share(base))
        return "ends" in {g.name for g in judge(replace(BASE, ended=share(ours)), side, FINE) if not g.passed}

    assert sum(fails(0.6, 0.6) for _ in range(runs)) / runs < 0.02
    assert sum(fails(0.05, 0.6) for _ in range(200)) / 200 > 0.95


def test_held_out_accuracy_counts_pairs_whose_chosen_side_gained_more() -> None:
    before = [Likelihood(-10, 5), Likelihood(-10, 5), Likelihood(-10, 5), Likelihood(-10, 5)]
    after = [Likelihood(-8, 5), Likelihood(-12, 5), Likelihood(-9, 5), Likelihood(-11, 5)]
    pairs = [Pair(str(n), f"prompt {n}", [], [], []) for n in range(2)]
    found = preference_accuracy(pairs, after, before)
    assert (found.right, found.total, found.rows) == (1, 2, 2)


def test_repeats_and_scripts_are_seen_in_english_and_chinese() -> None:
    assert replies.repeated_share("we can help you we can help you we can help you") > 0.4
    assert replies.repeated_share("every word of this sentence is said once") == 0.0
    assert replies.repeated_share("很抱歉很抱歉很抱歉很抱歉") > 0.4
    assert replies.is_chinese("请联系 support 客服，谢谢")
    assert not replies.is_chinese("Please ask 客服 for help with this order")


def test_32_prompts_and_two_languages_are_frozen() -> None:
    prompts = guards.frozen_prompts()
    assert len(prompts) == len(set(prompts)) == 32
    assert sum(map(replies.is_chinese, prompts)) == 4
    assert sum(map(replies.is_chinese, guards.frozen_text())) == 2


def test_the_base_side_is_measured_once_per_base(
    bases: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, encoder = loaded(bases["qwen"])
    short = Sampling(max_tokens=6)
    first = guards.base_side(model, encoder, bases["qwen"], tmp_path, short)
    monkeypatch.setattr(guards, "measure", lambda *_, **__: pytest.fail("measured again"))
    assert guards.base_side(model, encoder, bases["qwen"], tmp_path, short) == first
    assert guards.base_key(bases["qwen"], short) != guards.base_key(bases["llama"], short)
    assert guards.base_key(bases["qwen"], short) != guards.base_key(bases["qwen"], Sampling(max_tokens=7))


def test_replies_that_drift_off_topic_lie_no_closer_to_their_prompt() -> None:
    torch.manual_seed(3)
    prompts = torch.randn(32, 16) + 5
    on_topic = closeness(prompts, prompts + torch.randn(32, 16))
    shuffled = closeness(prompts, prompts.roll(1, 0))
    assert on_topic > 0.5
    assert shuffled < 0.1


def test_meanings_do_not_depend_on_the_other_texts_in_the_batch(bases: dict[str, Path]) -> None:
    model, encoder = loaded(bases["llama"])
    texts = ["where is my order", "", "please send a refund today thank you for this"]
    together = meanings(model, encoder, texts)
    alone = torch.cat([meanings(model, encoder, [text]) for text in texts])
    assert torch.allclose(together, alone, atol=1e-5)


def test_one_seed_gives_the_same_replies_twice(bases: dict[str, Path]) -> None:
    model, encoder = loaded(bases["glm"])
    prompts = guards.frozen_prompts()[:4]
    one = guards.measure(model, encoder, prompts, Sampling(max_tokens=8), base=True)
    assert guards.measure(model, encoder, prompts, Sampling(max_tokens=8), base=True) == one
    assert one.nll > 0
