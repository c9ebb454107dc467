"""What a dataset is asked to hold."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from contract.errors import ThumbwheelError

Kind = Literal[
    "preference", "unpaired", "demonstration", "pick", "choice", "edit", "own", "thumb", "annotation", "import"
]
Share = Annotated[float, Meta(ge=0.0, le=1.0)]
# Interactions with this label (or one below it) measure adapters: their prompts never train, in any dataset.
EVALUATION_LABEL = "evaluation"


class Filters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Filters of `build_dataset`; every field has a default.

    `kinds`: configurations or kinds of feedback to take. `since`: rows received from then on. `policy`: the
    adapter (or "base") a run starts from: pairs whose rejected reply another model wrote, or older than `since`,
    are replay, at most `replay_share` of the rows. `max_rows`: of preference rows, over all splits; losers of a
    pick go before picks. `split`: shares of train, validation, test.
    """

    kinds: list[Kind] = []
    since: datetime | None = None
    include_labels: list[str] = []
    exclude_labels: list[str] = []
    policy: str | None = None
    max_rows: Annotated[int, Meta(ge=1)] | None = None
    replay_share: Annotated[float, Meta(ge=0.0, lt=1.0)] = 0.2
    split: Annotated[list[Share], Meta(min_length=3, max_length=3)] = msgspec.field(
        default_factory=lambda: [0.85, 0.15, 0.0]
    )
    salt: str = "thumbwheel"
    parent: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the filters as JSON-ready values, in one spelling."""
        values: dict[str, Any] = msgspec.to_builtins(self)
        return values


def parse_filters(given: Mapping[str, Any] | Filters) -> Filters:
    """Return the filters; raise ThumbwheelError that names a wrong one."""
    if isinstance(given, Filters):
        return given
    try:
        filters = msgspec.convert(dict(given), Filters)
    except msgspec.ValidationError as error:
        raise ThumbwheelError(
            "invalid_filters", f"The filters are wrong: {error}", "See the dataset reference.", "filters"
        ) from error
    if abs(sum(filters.split) - 1.0) > 1e-9 or filters.split[0] <= 0:
        raise ThumbwheelError(
            "invalid_filters", f"split {filters.split} is not three shares of 1 with a train part.",
            "Use for example [0.85, 0.15, 0.0].", "split",
        )  # fmt: skip
    if filters.since is not None:
        since = filters.since if filters.since.tzinfo else filters.since.replace(tzinfo=UTC)
        filters = msgspec.structs.replace(filters, since=since.astimezone(UTC))
    return filters


def has_label(labels: list[str] | None, wanted: list[str]) -> bool:
    """Say whether one of the label paths is one of the wanted ones, or lies below it."""
    return any(label == path or label.startswith(path + "/") for label in labels or () for path in wanted)
