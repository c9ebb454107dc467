"""Damaged bodies at the gateway: an answer or a documented refusal, never a fault, and no half a reply in the log."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest
from tests.serving.conftest import Gateway
from tests.serving.test_refusals import CANDIDATES, CHAT, HELLO, send

from tests.collector.mutations import damaged

SEED = 20_261_126
BODIES = 150
PART = {
    "interaction_id": "i-1",
    "actor": {"id": "u-1"},
    "labels": ["refund"],
    "context": {"page": 1},
    "surface": "chat",
}
SENT: dict[str, dict[str, Any]] = {
    CHAT: {"messages": HELLO, "model": "base", "max_tokens": 2, "n": 1, "seed": 7, "stop": ["."], "temperature": 0.5},
    CANDIDATES: {"messages": HELLO, "k": 2, "max_tokens": 2, "top_p": 0.9, "seed": 7},
}
REFUSED = frozenset({400, 404, 413, 415, 422, 429, 503})


@pytest.mark.parametrize("path", SENT)
def test_no_damage_to_a_body_is_a_fault_of_the_gateway(gateway: Gateway, path: str) -> None:
    random, answered = Random(SEED), 0
    for number in range(BODIES):
        whole = json.dumps(SENT[path] | ({"thumbwheel": PART | {"interaction_id": f"i-{number}"}})).encode()
        body = damaged(whole, random)
        status, content, _ = send(gateway, path, body)
        assert status == 200 or status in REFUSED, (SEED, number, status, body)
        if status != 200:
            assert {"code", "message", "hint"} <= set(content["error"]), (SEED, number, body)
        answered += status == 200
    assert answered > 10
    assert len(gateway.logged()) <= answered
