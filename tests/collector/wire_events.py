"""Hypothesis strategies for events on the wire, read off the Structs, so that a new field is tried the day it is added.

`events()` gives valid ones, `damaged()` valid ones with something wrong or odd about them, `bodies()` whole requests.
"""

from __future__ import annotations

import json
from datetime import UTC
from functools import cache
from typing import Any

from hypothesis import strategies as st
from msgspec import inspect

from contract.events import STAMPED_FIELDS, STRUCTS
from contract.topics import SECRET_TYPES

Json = st.SearchStrategy[Any]
# What JSON can say and the store can hold; the fractions are those that every JSON library reads back alike.
TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=12)
ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)  # fmt: skip
WIRE_ID = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=12)
MOMENT = st.datetimes(timezones=st.just(UTC)).map(lambda moment: moment.isoformat().replace("+00:00", "Z"))
UUID = st.uuids().map(str)


def of_type(kind: inspect.Type) -> Json:
    """Values of one of msgspec's types, as JSON."""
    match kind:
        case inspect.StructType():
            return fields_of(kind)
        case inspect.Metadata():
            return of_type(kind.type)
        case inspect.UnionType():
            return st.one_of([of_type(one) for one in kind.types])
        case inspect.ListType():
            most = min(kind.max_length or 3, 3)
            return st.lists(of_type(kind.item_type), min_size=kind.min_length or 0, max_size=most)
        case inspect.DictType():
            return st.dictionaries(of_type(kind.key_type), of_type(kind.value_type), max_size=3)
        case inspect.LiteralType():
            return st.sampled_from(kind.values)
        case inspect.StrType():
            short = kind.max_length or 4000
            return WIRE_ID if kind.pattern else TEXT.filter(lambda text: (kind.min_length or 0) <= len(text) <= short)
        case inspect.IntType():
            return st.integers(kind.ge if kind.ge is not None else -(2**53), kind.le or 2**53)
        case inspect.FloatType():
            return st.floats(-1e6 if kind.ge is None else kind.ge, 1e6 if kind.le is None else kind.le, allow_nan=False)
        case inspect.BoolType():
            return st.booleans()
        case inspect.NoneType():
            return st.none()
        case inspect.DateTimeType():
            return MOMENT
    assert isinstance(kind, inspect.AnyType), kind
    return ANY


def fields_of(kind: inspect.StructType) -> Json:
    """A Struct's required fields, and any of the others."""
    given = {f.encode_name: of_type(f.type) for f in kind.fields if f.encode_name not in STAMPED_FIELDS}
    required = {f.encode_name for f in kind.fields if f.required}
    return st.fixed_dictionaries(
        {name: values for name, values in given.items() if name in required},
        optional={name: values for name, values in given.items() if name not in required},
    )


def lawful(event: dict[str, Any]) -> dict[str, Any]:
    """Keep what no type says: ids are told apart, the chosen one was shown, the order names what was offered."""
    if event["type"] == "annotation":
        return lawful_annotation(event)
    if "shown" in event:
        event["shown"] = [f"{number}{name}"[:128] for number, name in enumerate(event["shown"])]
        event["chosen"] = event["shown"][0] if event["outcome"] == "chosen" else None
    for number, candidate in enumerate(event.get("candidates") or []):
        candidate["candidate_id"] = f"{number}{candidate['candidate_id']}"
    if event.get("order"):
        event["order"] = [one["candidate_id"] for one in reversed(event["candidates"])]
    if len(json.dumps(event.get("context", {}))) > 2000:
        event["context"] = {}
    return event


def lawful_annotation(event: dict[str, Any]) -> dict[str, Any]:
    """Keep what no type says: it answers or is skipped, ranks each reply once, and marks what stands there."""
    told = [f"{number}c" for number, _ in enumerate(event.get("ranking") or [])]
    event["ranking"] = told if len(told) > 1 else []
    if preference := event.get("preference"):
        preference.pop("strength", None)
        preference["chosen"] = "c" if preference["outcome"] == "chosen" else None
    event["shown"], event["unit"] = [], "c" if event.get("unit") else ""
    for span in event.get("spans") or []:
        span["text"] = span["text"] or "x"
        span["start"] = min(span["start"], 1000)
        span["end"] = span["start"] + len(span["text"])
    if event.get("suggestion_id"):
        event["suggestion_id"] = event["event_id"]
    event.pop("skipped", None)
    # What a page may write, too.
    event.pop("task_id", None)
    event["actor"]["kind"] = "user"
    event["correction"] = event.get("correction") or "better"
    if len(json.dumps(event.get("context", {}))) > 2000:
        event["context"] = {}
    for number, candidate in enumerate(event.get("candidates") or []):
        candidate["candidate_id"] = f"{number}{candidate['candidate_id']}"
    return event


@cache
def events(kinds: frozenset[str] = SECRET_TYPES) -> Json:
    """Valid events of these types."""

    def of_kind(name: str) -> Json:
        own = {"type": st.just(name), "event_id": UUID} | ({"target": UUID} if name == "retract" else {})
        info = inspect.type_info(STRUCTS[name])
        return st.builds(lambda given, ids: lawful(given | ids), of_type(info), st.fixed_dictionaries(own))

    return st.one_of([of_kind(name) for name in sorted(kinds)])


NAMES = sorted({name for cls in STRUCTS.values() for name in cls.__struct_fields__} | {"type", "mood"})
# Odd values by the text that stands for them: `json.dumps` would not write them.
ODD = [
    "NaN", "Infinity", "-Infinity", "1e999", "-0", "1E400", "0x10", "01", "18446744073709551615",
    "18446744073709551616", "-9223372036854775808", "-9223372036854775809", "9" * 400, "1." + "0" * 400, "1e-999",
    "99999999999999999999.5", r'"\ud83d"', r'"\ude00\ud83d"', r'"\ud83d\ude00"', r'"\u0000"', r'"a\u0000"', '"\x00"',
    '"\x1f"', r'"\x41"', '"\ud83d"', "'a'", "[" * 70 + "]" * 70, '{"a":' * 63 + "1" + "}" * 63, '{"a":1,"a":2}',
    '{"":{}}', "[1,]", "{,}", "//", "tru", "", '"2026-01-31T12:00:00Z"', '"2026-01-31T12:00:60Z"',
    '"0001-01-01T00:00:00+23:59"', '"9999-12-31T23:59:59-23:59"', '"2026-01-31 12:00:00Z"', '"2026-01-31T12:00:00"',
    '"2026-01-31"', "1738324800", '"é"', '"x\\n"', '"' + "a" * 300 + '"', '"thumb"', '"interaction"',
    '"run.started"', '["thumb"]', '{"id":"u","x":99999999999999999999}', '{"id":"u","id":7}',
]  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A valid event's bytes with a field taken out, given twice, replaced or added."""
    event = draw(events())
    name = draw(st.sampled_from(NAMES) | st.sampled_from(sorted(event)))
    odd = draw(st.sampled_from(ODD) | ANY.map(json.dumps))
    others = {key: value for key, value in event.items() if key != name}
    if draw(st.booleans()):
        others = event
    members = [f"{json.dumps(key)}:{json.dumps(value)}" for key, value in others.items()]
    members.insert(draw(st.integers(0, len(members))), f"{json.dumps(name)}:{odd}")
    return ("{" + ",".join(members) + "}").encode("utf-8", "surrogatepass")


def encoded(values: Json) -> Json:
    """The bytes of values: escaped to ASCII, not escaped, or with white space."""
    ways = st.sampled_from(
        [{"ensure_ascii": True}, {"ensure_ascii": False}, {"indent": 1, "separators": (" , ", " : ")}]
    )
    return st.builds(lambda value, way: json.dumps(value, **way).encode("utf-8", "surrogatepass"), values, ways)


def batch_of(raws: list[bytes], head: bytes = b"") -> bytes:
    """A request's body of these events."""
    return b"{" + head + b'"events":[' + b",".join(raws) + b"]}"


HEADS = [
    b"", b'"sent_at":"2026-01-31T12:00:00Z",', b'"sent_at":null,', b'"unknown":{"deep":[[1]]},', b'"key":null,',
    b'"dropped":{"event_id":"0190a1b2-0000-7000-8000-000000000001","counts":{"queue_full":3}},', b'"dropped":7,',
    b'"sent_at":7,', b'"sent_at":"0001-01-01T00:00:00+23:59",', b'"sent_at":"2026-01-31T12:00:00","key":"",',
    b'"events":[],', b'"dropped":"\\ud83d",', b'"x":"\\u0000",', b'"dropped":"\xff",',
]  # fmt: skip


def bodies() -> Json:
    """Whole requests of valid and damaged events, mixed."""
    return st.builds(batch_of, st.lists(encoded(events()) | damaged(), min_size=1, max_size=5), st.sampled_from(HEADS))
