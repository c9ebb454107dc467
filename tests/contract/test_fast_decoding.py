"""Twins decode what the Structs with patterns decode, and refuse what those refuse."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.envelope import Actor
from contract.errors import EventError
from contract.events import Event, Interaction, Pick, decode_stored
from contract.fast_decoding import ids_in, twin, well_spelled

BASE = {"event_id": "e", "occurred_at": "2026-01-31T12:00:00Z", "actor": {"id": "a"}, "conversation_id": "c"}
REPLIES = [{"candidate_id": "x", "content": "yes"}, {"candidate_id": "y", "content": None}]
SHOWN = {"interaction_id": "i", "messages": [{"role": "user", "content": "q"}], "candidates": REPLIES}
SAID = SHOWN | {"campaign": "n"}
VOTE = {"shown": ["x", "y"], "outcome": "chosen", "chosen": "x"}
BODIES: list[dict[str, Any]] = [
    {**BASE, **SHOWN, "type": "interaction", "order": ["y", "x"]},
    {**BASE, **SAID, "type": "thumb", "candidate_id": "x", "value": "up"},
    {**BASE, **SAID, **VOTE, "type": "choice"},
    {**BASE, **SAID, **VOTE, "type": "pick"},
    {**BASE, **SAID, "type": "edit", "candidate_id": "x", "text": "no"},
    {**BASE, **SAID, "type": "retract", "target": "t"},
    {**BASE, **SAID, "type": "annotation", "candidate_id": "x", "ranking": ["x", "y"], "task_id": "k"},
    {**BASE, **SAID, **VOTE, "type": "judgement", "judge": "j"},
    {**BASE, "type": "run.progress", "run_id": "r", "step": 1, "total_steps": 2},
]  # fmt: skip
IDS = {"conversation_id", "interaction_id", "campaign", "candidate_id", "chosen", "task_id"}
by_patterns = msgspec.json.Decoder(Event)


def places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield where a body has ids."""
    if isinstance(value, dict):
        for name, item in value.items():
            if name in IDS or (name == "id" and path == ("actor",)):
                yield (*path, name)
            yield from places(item, (*path, name))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            if isinstance(item, str) and path[-1] in ("shown", "order", "ranking"):
                yield (*path, number)
            yield from places(item, (*path, number))


def outcome(decode: Any, raw: bytes) -> Any:
    try:
        return msgspec.to_builtins(decode(raw))
    except msgspec.ValidationError as error:
        return f"Not a stored event: {error}"
    except EventError as error:
        return error.message


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body["type"])
@given(text=st.text(max_size=3) | st.text("a \n\x00\x7f\u00e9~!", min_size=1, max_size=130) | st.just("a" * 129))
def test_a_stored_event_is_refused_for_an_id_where_its_pattern_refuses_it(body: dict[str, Any], text: str) -> None:
    found = list(places(body))
    assert len(found) >= 2
    for *path, last in found:
        changed = copy.deepcopy(body)
        inner: Any = changed
        for step in path:
            inner = inner[step]
        inner[last] = text
        raw = json.dumps(changed).encode()
        assert outcome(decode_stored, raw) == outcome(by_patterns.decode, raw)


def test_a_twin_is_its_struct_with_the_rest_of_its_bounds() -> None:
    made = twin(Pick, tag="pick")
    event = msgspec.convert({**BASE, **SAID, **VOTE, "type": "pick"}, made)
    assert isinstance(event, Pick) and event.type == "pick" and well_spelled(ids_in(event))
    with pytest.raises(msgspec.ValidationError, match="length >= 2"):
        msgspec.convert({**BASE, **VOTE, "type": "pick", "interaction_id": "i", "shown": ["x"]}, made)
    event = msgspec.convert({**BASE, **VOTE, "type": "pick", "interaction_id": "i i"}, made)
    assert not well_spelled(ids_in(event))


def test_a_strict_twin_refuses_unknown_fields_however_deep() -> None:
    made = twin(Interaction, strict=True, tag="interaction")
    for where in (BODIES[0], BODIES[0]["actor"], BODIES[0]["messages"][0], BODIES[0]["candidates"][0]):
        where["mood"] = "calm"
        with pytest.raises(msgspec.ValidationError, match="unknown field `mood`"):
            msgspec.convert(BODIES[0], made)
        del where["mood"]
    assert isinstance(msgspec.convert(BODIES[0], made), Interaction)


def test_ids_that_would_not_be_found_are_refused_where_the_twin_is_made() -> None:
    class Loose(msgspec.Struct, frozen=True, kw_only=True):
        actor: Actor | None = None

    with pytest.raises(TypeError, match=r"Loose\.actor has ids and may be absent"):
        twin(Loose)
