"""Which interactions a task takes in: the filter of the page of interactions and of datasets, as a task keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from contract.envelope import Label
from contract.errors import ThumbwheelError

FeedbackKind = Literal["thumb", "choice", "pick", "edit"]
Show = Literal["", "feedback", "untrusted", "conflicts"]
Text = Annotated[str, Meta(max_length=1000)]
Labels = Annotated[list[Label], Meta(max_length=100)]


class ItemQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What must hold of an interaction; what is left out holds of all.

    Labels are meant with those below them. `since`, `until`: received from then on, and before. `q`: part of the
    prompt, or a whole id. `show`: as on the page of interactions. `kinds`: it has feedback of one of these kinds.
    `min_candidates`: so many replies were shown.
    """

    include_labels: Labels = []
    exclude_labels: Labels = []
    since: datetime | None = None
    until: datetime | None = None
    surface: Text = ""
    source: Text = ""
    q: Text = ""
    show: Show = ""
    kinds: Annotated[list[FeedbackKind], Meta(max_length=4)] = []
    min_candidates: Annotated[int, Meta(ge=0, le=8)] = 0

    def as_dict(self) -> dict[str, Any]:
        """Return the query as JSON-ready values, without what holds of all."""
        values: dict[str, Any] = msgspec.to_builtins(self)
        return values


def parse_query(given: Mapping[str, Any]) -> ItemQuery:
    """Return the query; raises ThumbwheelError that names what is wrong."""
    try:
        query = msgspec.convert(dict(given), ItemQuery)
    except msgspec.ValidationError as error:
        raise ThumbwheelError(
            "invalid_query", f"The query is wrong: {error}", "See the guide about labelling tasks.", "query"
        ) from error
    times = {name: _in_utc(moment) for name in ("since", "until") if (moment := getattr(query, name)) is not None}
    query = msgspec.structs.replace(query, **times)
    if query.since and query.until and query.since >= query.until:
        raise ThumbwheelError(
            "invalid_query", "The query ends before it begins.", "Send since before until.", "until"
        )  # fmt: skip
    return query


def _in_utc(moment: datetime) -> datetime:
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
