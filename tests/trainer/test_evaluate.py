"""What held-out rows are scored on: the reply's own tokens, its end where it has one, adapter on or off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from inference.tokens import Encoder
from tests.gateway.conftest import save_adapter
from tests.trainer import tiny
from tests.trainer.conftest import loaded
from tests.trainer.watched import END, OPENED
from trainer.guarding import evaluate
from trainer.rows import Pair, Rated

PROMPT, CHOSEN, REJECTED = "where is my order", "it will arrive on monday", "please wait"


def sides(row: Pair | Rated, encoder: Encoder) -> list[tuple[str, str]]:
    decode = encoder.tokenizer.decode
    return [(decode(prompt), decode(reply)) for prompt, reply in evaluate.side_tokens(row, encoder)]


@pytest.mark.parametrize("cut", [False, True])
def test_a_held_out_reply_is_scored_with_its_end_unless_it_was_cut(bases: dict[str, Path], cut: bool) -> None:
    _, encoder = loaded(bases["llama"])
    opened, end = OPENED.format(PROMPT), "" if cut else END
    rated = Rated("r", "g", tiny.user(PROMPT), tiny.assistant(CHOSEN), True, cut=cut)
    assert sides(rated, encoder) == [(opened, CHOSEN + end)]
    said = (tiny.user(PROMPT), tiny.assistant(CHOSEN), tiny.assistant(REJECTED))
    assert sides(Pair("p", "g", *said, chosen_cut=cut), encoder) == [
        (opened, CHOSEN + end), (opened, REJECTED + END),
    ]  # fmt: skip
    assert sides(Pair("p", "g", *said, rejected_cut=cut), encoder) == [
        (opened, CHOSEN + END), (opened, REJECTED + end),
    ]  # fmt: skip


def expected(model: Any, prompt: list[int], reply: list[int]) -> float:
    ids = torch.tensor([[*prompt, *reply]])
    with torch.no_grad():
        logps = F.log_softmax(model(input_ids=ids).logits[0, :-1], dim=-1)
    return float(logps.gather(1, ids[0, 1:, None])[-len(reply) :].sum())


def test_likelihoods_are_of_the_adapter_or_of_the_base_and_of_replies_alone(
    bases: dict[str, Path], tmp_path: Path
) -> None:
    """Rows of different lengths, so that they are batched out of their order and padded."""
    from peft import PeftModel

    plain: Any
    plain, encoder = loaded(bases["llama"])
    save_adapter(bases["llama"], tmp_path / "adapter", 1)
    tuned: Any = PeftModel.from_pretrained(loaded(bases["llama"])[0], str(tmp_path / "adapter")).eval()
    rows = [encoder.pair(tiny.user(f"{PROMPT} {n * 'today '}"), tiny.assistant(CHOSEN)) for n in (7, 0, 3)]
    for model, base, judge in ((tuned, False, tuned), (tuned, True, plain), (plain, False, plain)):
        found = evaluate.likelihoods(model, encoder, rows, base=base)
        assert [one.logp for one in found] == pytest.approx([expected(judge, *row) for row in rows], rel=1e-4)
        assert [one.tokens for one in found] == [len(reply) for _, reply in rows]
    on, off = (evaluate.likelihoods(tuned, encoder, rows, base=base)[0].logp for base in (False, True))
    assert abs(on - off) > 1e-3
    assert evaluate.nll_per_token(found) == pytest.approx(
        -sum(one.logp for one in found) / sum(len(reply) for _, reply in rows)
    )


def test_a_row_longer_than_allowed_is_scored_on_what_is_left_of_its_reply(bases: dict[str, Path]) -> None:
    model, encoder = loaded(bases["llama"])
    prompt, reply = encoder.pair(tiny.user(PROMPT), tiny.assistant(CHOSEN))
    (short,) = evaluate.likelihoods(model, encoder, [(prompt, reply)], max_length=len(prompt) + 2)
    assert short.tokens == 2
    assert short.logp == pytest.approx(expected(model, prompt, reply[:2]), rel=1e-4)


def test_many_rows_are_scored_a_few_at_a_time() -> None:
    lengths = [900, 10, 500, 500, 30, 1500]
    batches = list(evaluate._batches(lengths))
    assert sorted(n for batch in batches for n in batch) == list(range(6))
    assert all(len(b) == 1 or len(b) * max(lengths[n] for n in b) <= evaluate.POSITIONS for b in batches)
    assert len(batches) == 4
