"""Damage to request bodies that knows JSON: values exchanged, members taken out or doubled, tokens, bytes, halves."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

from .wire_events import HEADS, NAMES, ODD

MAX_BYTES = 4096
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[-+.0-9eE]+|\w+|\s+|.', re.DOTALL)
_MARK = "the odd value"
_ODD = [odd.encode("utf-8", "surrogatepass") for odd in ODD]
_PIECES = [
    b"\x00",
    b"\xff",
    b"\xc3",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"\\u",
    b"\\ud800",
    *(bytes([one]) for one in b'"\\{}[],:'),
]


def is_json(body: bytes) -> bool:
    """Say whether a body is JSON."""
    try:
        json.loads(body.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError):
        return False
    return True


_SOUND = [odd for odd in _ODD if is_json(odd)]


def _flip(body: bytearray, random: Random) -> None:
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(body))
        body[at] ^= 1 << random.randrange(8)


def _insert(body: bytearray, random: Random) -> None:
    at = random.randint(0, len(body))
    body[at:at] = random.choice(_PIECES)


def _cut(body: bytearray, random: Random) -> None:
    del body[random.randrange(len(body)) :]


def _remove(body: bytearray, random: Random) -> None:
    at = random.randrange(len(body))
    del body[at : at + random.randint(1, 16)]


def _repeat(body: bytearray, random: Random) -> None:
    at = random.randrange(len(body))
    piece = body[at : at + random.randint(1, 64)]
    body[at:at] = piece * random.randint(1, 8)


def _tokens(body: bytearray, random: Random) -> None:
    tokens = _TOKEN.findall(bytes(body))
    at, other = random.randrange(len(tokens)), random.randrange(len(tokens))
    match random.randrange(5):
        case 0:
            tokens[at] = random.choice(_ODD)
        case 1:
            tokens[at], tokens[other] = tokens[other], tokens[at]
        case 2:
            del tokens[at]
        case 3:
            tokens[at:at] = tokens[other : other + random.randint(1, 12)]
        case 4:
            tokens[at] = tokens[other]
    body[:] = b"".join(tokens)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) in a JSON value."""
    for key in list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key
        yield from _places(value[key])


def _tree(body: bytearray, random: Random) -> None:
    """Change what a body says and leave it JSON; one that is none already has a token changed."""
    try:
        value = json.loads(body.decode("utf-8", "surrogatepass"))
        places = list(_places(value))
    except (ValueError, RecursionError):
        places = []
    if not places:
        return _tokens(body, random)
    (one, at), (other, there) = random.choice(places), random.choice(places)
    odd = b""
    match random.randrange(6):
        case 0 | 1:
            one[at], odd = _MARK, random.choice(_SOUND)
        case 2:
            one[at] = json.loads(json.dumps(other[there]))
        case 3:
            del one[at]
        case 4:
            one[at], other[there] = json.loads(json.dumps(other[there])), json.loads(json.dumps(one[at]))
        case 5:
            one.insert(at, one[at]) if isinstance(one, list) else one.update({random.choice(NAMES): one[at]})
    text = json.dumps(value, ensure_ascii=random.random() < 0.5).encode("utf-8", "surrogatepass")
    body[:] = text.replace(json.dumps(_MARK).encode(), odd, 1)


def _head(body: bytearray, random: Random) -> None:
    body[0:1] = b"{" + random.choice(HEADS)


_BREAKING: Sequence[Callable[[bytearray, Random], None]] = (_tokens, _flip, _insert, _cut, _remove, _repeat, _head)


def damaged(body: bytes, random: Random) -> bytes:
    """Return the body with some damage; most of it leaves JSON what it is, since the rest ends at the first parser."""
    changed = bytearray(body[:MAX_BYTES])
    for _ in range(random.randint(1, 3)):
        if not changed:
            break
        (_tree if random.random() < 0.85 else random.choice(_BREAKING))(changed, random)
    return bytes(changed[:MAX_BYTES])


def spliced(one: bytes, other: bytes, random: Random) -> bytes:
    """Return the front of one body and the end of another."""
    return (one[: random.randint(0, len(one))] + other[random.randint(0, len(other)) :])[:MAX_BYTES]
