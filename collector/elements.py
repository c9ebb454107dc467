"""Where the events of a body lie that cannot be decoded as a whole, so that what is wrong costs the event it is in.

A decoder that meets half a surrogate pair, a value nested too deeply or NaN stops there, and says nothing of what
follows. Here only strings, brackets and commas are looked at: what lies between them is judged event by event.
"""

from __future__ import annotations

import re
from itertools import pairwise

from collector.errors import MAX_EVENTS

# Brackets that follow one another are one token: nesting however deep costs no more than any other text. A string that
# does not end is one to the end.
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\Z)|[\[{]+|[\]}]+|[,:]|[^"\[\]{},:\s]+', re.DOTALL)
# What stands outside strings. Other words there come of a missing quote: strings would begin where they end.
_BARE = re.compile(rb"-?[0-9.eE+-]+|true|false|null|-?(?:NaN|Infinity)")
_EVENTS = b'"events"'
# Some 50 ms. A body of 500 events has a quarter of it.
MOST_TOKENS = 200_000


def find_events(body: bytes) -> list[slice] | None:
    """Return where each element of the member `events` lies; None where the body has no whole one."""
    depth, key, commas, found = 0, b"", list[int](), None
    begins: int | None = None
    for number, token in enumerate(_TOKEN.finditer(body)):
        if number > MOST_TOKENS or len(commas) >= MAX_EVENTS:
            return None
        text = token[0]
        match text[:1]:
            case b'"':
                key = text if depth == 1 else key
            case b":" if depth == 1 and key == _EVENTS:
                begins, commas = token.end(), []
            case b"," if depth == 2 and begins is not None:
                commas.append(token.start())
            case b"," if depth == 1:
                key, begins = b"", None
            case b"[" | b"{":
                depth += len(text)
            case b"]" | b"}":
                # The array ends at the bracket that leads back to the members of the body.
                if begins is not None and depth >= 2 > depth - len(text):
                    found = _elements(body, begins, commas, token.start() + depth - 2)
                    begins = None
                depth -= len(text)
            case b"," | b":":
                pass
            case _ if not _BARE.fullmatch(text):
                return None
    return found if depth == 0 else None


def _elements(body: bytes, begins: int, commas: list[int], ends: int) -> list[slice] | None:
    """Return the elements of the array between a colon and its closing bracket; None for no array, or an empty one."""
    opening = body.find(b"[", begins, ends)
    if opening < 0 or body[begins:opening].strip() or body[ends : ends + 1] != b"]":
        return None
    places = [slice(low + 1, high) for low, high in pairwise([opening, *commas, ends])]
    return places if all(body[place].strip() for place in places) else None
