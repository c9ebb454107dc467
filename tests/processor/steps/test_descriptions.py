"""Which description of an interaction counts, and what becomes of the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.processor.samples import event, interaction, pick

Put = Callable[..., None]
Rows = Callable[..., list[Any]]

ASK = [{"role": "user", "content": "Where is my order?"}]


def inline(name: str, content: str, **fields: Any) -> Any:
    fields.setdefault("candidate_id", "a")
    return event(
        "thumb", name, interaction_id="t1", value="up", messages=ASK,
        candidates=[{"candidate_id": "a", "content": content, "model": "claimed"}], **fields,
    )  # fmt: skip


def test_gateway_wins_over_secret_key_over_inline(put: Put, rows: Rows) -> None:
    put(inline("early", "from the page", via="public", at=0))
    assert rows("SELECT content, model FROM candidates") == [("from the page", None)]
    put(inline("server", "from the server", via="secret", at=1, actor="srv"))
    assert rows("SELECT content FROM candidates") == ["from the server"]
    put(interaction("t1", {"a": "explicit"}, via="secret", at=2))
    assert rows("SELECT content FROM candidates") == ["explicit"]
    put(interaction("t1", {"b": "what was shown"}, via="gateway", at=3))
    assert rows("SELECT candidate_id, content FROM candidates") == [("b", "what was shown")]
    assert len(rows("SELECT 1 FROM conflicts WHERE kind = 'description'")) == 3


def test_earliest_wins_among_equals(put: Put, rows: Rows) -> None:
    put(interaction("t1", {"a": "second"}, name="two", at=2))
    put(interaction("t1", {"a": "first"}, name="one", at=1))
    assert rows("SELECT content FROM candidates") == ["first"]
    joined = "SELECT kept_event_id = described_by FROM conflicts JOIN interactions USING (interaction_key)"
    assert rows(joined) == [True]


def test_equal_descriptions_are_no_conflict(put: Put, rows: Rows) -> None:
    put(interaction("t1", {"a": "same"}, name="one"), interaction("t1", {"a": "same"}, name="two", at=1))
    assert rows("SELECT 1 FROM conflicts") == []


def test_inline_content_under_a_public_key_is_shown_but_not_trained_on(put: Put, rows: Rows) -> None:
    put(inline("page", "claimed reply", via="public"))
    assert rows("SELECT described, trusted FROM interactions") == [(True, False)]
    assert rows("SELECT state FROM feedback") == ["untrusted"]
    assert rows("SELECT trainable, why_not, model FROM unpaired") == [(False, "untrusted", None)]


def test_trusted_description_makes_earlier_public_feedback_count(put: Put, rows: Rows) -> None:
    put(inline("page", "real reply", via="public"))
    put(interaction("t1", {"a": "real reply"}, messages=ASK))
    assert rows("SELECT state FROM feedback") == ["vote"]
    assert rows("SELECT trainable, model FROM unpaired") == [(True, "base")]


def test_shortened_interaction_is_not_trained_on(put: Put, rows: Rows) -> None:
    put(interaction("t1", {"a": "x", "b": "y"}, truncated=True), pick("t1", "ab", "a"))
    assert rows("SELECT why_not FROM pairs") == ["truncated_prompt"]


def test_image_prompts_are_kept_and_not_trained_on_as_text(put: Put, rows: Rows) -> None:
    parts = [{"type": "text", "text": "What is this?"}, {"type": "image", "url": "https://x/y.png"}]
    put(interaction("t1", {"a": "x", "b": "y"}, messages=[{"role": "user", "content": parts}]), pick("t1", "ab", "a"))
    assert rows("SELECT trainable, why_not FROM pairs") == [(False, "not_text")]


def test_same_interaction_id_in_two_projects_stays_apart(put: Put, rows: Rows) -> None:
    put(interaction("t1", {"a": "one"}, project="p"), interaction("t1", {"a": "two"}, project="q"))
    assert rows("SELECT project, content FROM candidates ORDER BY 1") == [("p", "one"), ("q", "two")]


def test_candidates_keep_the_order_in_which_they_were_shown(put: Put, rows: Rows) -> None:
    put(interaction("t1", {"a": "one", "b": "two", "c": "three"}, order=["c", "a", "b"]))
    assert rows("SELECT candidate_id FROM candidates ORDER BY position") == ["c", "a", "b"]
