"""What every event carries: the envelope, who acted, and the texts of a chat."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

# Python's `$` also matches before a last line feed; the lookahead refuses that one, and reads the same elsewhere.
WireId = Annotated[str, Meta(pattern=r"^[\x21-\x7e]{1,128}$(?!\n)", description="1 to 128 visible ASCII characters")]
Label = Annotated[str, Meta(min_length=1, max_length=200)]


class Actor(Struct, frozen=True, forbid_unknown_fields=False):
    """Who gave the feedback; `id` is pseudonymous."""

    id: WireId
    kind: Literal["user", "agent", "expert", "ai", "system", "crowd"] = "user"


class Sdk(Struct, frozen=True):
    """The client library that sent the event."""

    name: Annotated[str, Meta(max_length=64)]
    version: Annotated[str, Meta(max_length=64)] = ""


class Message(Struct, frozen=True, omit_defaults=True):
    """One chat message; `content` is text, null, or a list of OpenAI parts."""

    role: Annotated[str, Meta(min_length=1, max_length=32)]
    content: str | list[dict[str, Any]] | None = None
    name: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None


class CandidateText(Struct, frozen=True, omit_defaults=True):
    """One reply that was shown. `sampling` records how it was drawn.

    A `finish_reason` of null says that the reply ended without one: a broken stream. Left out, nothing is said.
    """

    candidate_id: WireId
    content: str | list[dict[str, Any]] | None = None
    model: Annotated[str, Meta(max_length=200)] | None = None
    finish_reason: Annotated[str, Meta(max_length=64)] | UnsetType | None = UNSET
    sampling: dict[str, Any] | None = None


class Envelope(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type"):
    """What every event carries. The last six fields are set once by whoever appends (`stamp`).

    Three clocks are kept as they were read: `occurred_at` and `sent_at` are the sender's, `received_at` is ours.
    """

    event_id: str
    occurred_at: datetime
    actor: Actor
    conversation_id: WireId | None = None
    source: Annotated[str, Meta(max_length=200)] | None = None
    labels: Annotated[list[Label], Meta(max_length=50)] = []
    context: dict[str, Any] = {}
    sdk: Sdk | None = None
    extra: dict[str, Any] = {}
    received_at: datetime | UnsetType = UNSET
    project: str | UnsetType = UNSET
    key_id: str | UnsetType = UNSET
    via: str | UnsetType = UNSET
    verified: bool = False
    sent_at: datetime | UnsetType = UNSET

    @property
    def type(self) -> str:
        """Return the event's type as spelled on the wire."""
        return str(self.__struct_config__.tag)


def text_of(content: str | list[dict[str, Any]] | None) -> str | None:
    """Return a content as plain text, parts joined by line feeds; None where it is absent or holds more than text."""
    if content is None or isinstance(content, str):
        return content
    texts = [part.get("text") for part in content if part.get("type") == "text"]
    if len(texts) != len(content) or not all(isinstance(text, str) for text in texts):
        return None
    return "\n".join(str(text) for text in texts)
