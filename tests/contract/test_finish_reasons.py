"""Why a reply ended, in one table for SDKs, gateway and rows."""

from __future__ import annotations

import pytest
from msgspec import UNSET
from thumbwheel import openai as recorder

from contract import finish_reasons
from contract.events import decode_event, decode_stored, encode
from contract.finish_reasons import calls_tool, for_openai, is_cut

EVENT = {
    "type": "interaction", "event_id": "018f3a5e-0000-7000-8000-000000000001", "occurred_at": "2026-01-01T00:00:00Z",
    "actor": {"id": "u"}, "interaction_id": "i", "messages": [{"role": "user", "content": "hi"}],
}  # fmt: skip


@pytest.mark.parametrize(("reason", "cut"), [("stop", False), ("Stop", False), ("weird", True), (None, True)])
def test_what_is_not_known_to_be_an_end_is_a_cut(reason: str | None, cut: bool) -> None:
    assert is_cut(reason) is cut
    assert not is_cut(UNSET)


def test_a_reason_that_is_null_stays_null_in_the_log_and_one_left_out_stays_out() -> None:
    candidates = [{"candidate_id": "a", "content": "x", "finish_reason": None}, {"candidate_id": "b", "content": "y"}]
    event = decode_stored(encode(decode_event({**EVENT, "candidates": candidates})))
    assert [one.finish_reason for one in event.candidates] == [None, UNSET]  # type: ignore[union-attr]


def test_clients_are_told_a_reason_from_openais_list() -> None:
    words = ("stop", "eos", "length", "error", "content_filter", "tool_use", "function_call")
    assert [for_openai(word) for word in words] == [
        "stop", "stop", "length", "length", "content_filter", "tool_calls", "function_call",
    ]  # fmt: skip
    assert calls_tool("tool_use") and not calls_tool(None) and not calls_tool(UNSET)


def test_the_python_client_records_the_same_words() -> None:
    for name in ("INCOMPLETE", "ERROR", "CANCELLED"):
        word = getattr(recorder, name)
        assert word == getattr(finish_reasons, name)
        assert is_cut(word)
