"""Campaigns: which feedback to ask for, of whom, how often. Kept in the control store.

The console edits them, collectors hand the open ones to the SDKs (`GET /v1/campaigns`), and both SDKs evaluate the same
rule (`sdk/conformance/campaigns.json`). Answers are counted from the stored votes by the processor, so that an event
that arrives twice counts once; the count closes a campaign when its quota is reached.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
import sqlalchemy as sa
from msgspec import Meta, Struct

from contract.errors import ThumbwheelError
from control_store.migrating import up_to_date

_metadata = sa.MetaData()
_campaigns = sa.Table(
    "campaigns", _metadata,
    sa.Column("campaign_id", sa.String(32), primary_key=True),
    sa.Column("project", sa.String(128), nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("created_at", sa.DateTime, nullable=False),
    sa.Column("changed_at", sa.DateTime, nullable=False),
    sa.Column("changed_by", sa.String(200), nullable=False),
)  # fmt: skip
# One row for each processor that counts, so that none overwrites another's part.
_answers = sa.Table(
    "campaign_answers", _metadata,
    sa.Column("campaign_id", sa.String(32), primary_key=True),
    sa.Column("counted_by", sa.String(128), primary_key=True),
    sa.Column("answers", sa.BigInteger, nullable=False),
)  # fmt: skip
_SELECT = (
    sa.select(_campaigns, sa.func.coalesce(sa.func.sum(_answers.c.answers), 0).label("answers"))
    .join(_answers, _answers.c.campaign_id == _campaigns.c.campaign_id, isouter=True)
    .group_by(*_campaigns.c)
    .order_by(_campaigns.c.created_at, _campaigns.c.campaign_id)
)

Text = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"\S")]


class Rule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a person sets. Without `label` and `scenario` every interaction of the surface may be asked about.

    `rate` is the share of interactions that are asked about, `quota` the answers after which the campaign closes,
    `cooldown_s` the seconds during which nobody is asked again. Times are UTC.
    """

    name: Text
    surface: Literal["chat", "choice", "workbench"]
    label: Text | None = None
    scenario: Text | None = None
    question: Annotated[str, Meta(max_length=500)] | None = None
    rate: Annotated[float, Meta(ge=0, le=1)] = 1.0
    quota: Annotated[int, Meta(ge=1, le=10**9)] | None = None
    cooldown_s: Annotated[int, Meta(ge=0, le=366 * 86_400)] = 0
    starts_at: Annotated[datetime, Meta(tz=True)] | None = None
    ends_at: Annotated[datetime, Meta(tz=True)] | None = None
    active: bool = True


class Campaign(Struct, frozen=True, kw_only=True):
    """A stored campaign, and how many answers it has."""

    campaign_id: str
    project: str
    rule: Rule
    answers: int
    created_at: datetime
    changed_at: datetime
    changed_by: str

    def state(self, now: datetime) -> str:
        """Return open, paused, waiting (for its start), ended or full."""
        rule = self.rule
        if not rule.active:
            return "paused"
        if rule.ends_at is not None and now >= rule.ends_at:
            return "ended"
        if rule.quota is not None and self.answers >= rule.quota:
            return "full"
        return "waiting" if rule.starts_at is not None and now < rule.starts_at else "open"

    def public_view(self) -> dict[str, Any]:
        """Return what an SDK needs to decide: nothing about quota, answers or names."""
        rule = self.rule
        told = {
            "campaign_id": self.campaign_id, "surface": rule.surface, "rate": rule.rate, "cooldown_s": rule.cooldown_s,
            "label": rule.label, "scenario": rule.scenario, "question": rule.question,
        }  # fmt: skip
        return {name: value for name, value in told.items() if value is not None}

    def as_dict(self, now: datetime) -> dict[str, Any]:
        """Return everything, for the data API."""
        own = {name: getattr(self.rule, name) for name in Rule.__struct_fields__}
        return {
            "campaign_id": self.campaign_id, **own, "state": self.state(now), "answers": self.answers,
            "created_at": self.created_at, "changed_at": self.changed_at, "changed_by": self.changed_by,
        }  # fmt: skip


def read_rule(body: object) -> Rule:
    """Return the rule of a JSON object; raises ThumbwheelError that names the field."""
    try:
        rule = msgspec.convert(body, Rule, strict=True)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at `")
        raise _wrong(text, path.rstrip("`").removeprefix("$.") or None) from error
    if rule.starts_at and rule.ends_at and rule.starts_at >= rule.ends_at:
        raise _wrong("It ends before it starts", "ends_at")
    return rule


def _wrong(text: str, field: str | None) -> ThumbwheelError:
    hint = "A campaign has name, surface, and as you like label, scenario, question, rate, quota, cooldown_s, times."
    return ThumbwheelError("invalid_campaign", f"{text}.", hint, field)


class Campaigns:
    """The campaigns in a control store. Thread-safe; every call raises sqlalchemy's errors while the store is away."""

    def __init__(self, engine: sa.Engine) -> None:
        """Use a control store's engine (`Control.engine`); the tables are made at first use."""
        self._engine = engine

    def listed(self, project: str) -> list[Campaign]:
        """Return the campaigns of a project, oldest first."""
        with up_to_date(self._engine).connect() as connection:
            return [_campaign(row) for row in connection.execute(_SELECT.where(_campaigns.c.project == project))]

    def find(self, project: str, campaign_id: str) -> Campaign:
        """Return one campaign; raises ThumbwheelError (404) when the project has none of that id."""
        wanted = _SELECT.where(_campaigns.c.project == project, _campaigns.c.campaign_id == campaign_id)
        with up_to_date(self._engine).connect() as connection:
            row = connection.execute(wanted).first()
        if row is None:
            raise ThumbwheelError(
                "unknown_campaign", f"Project {project!r} has no campaign {campaign_id!r}.", "See the list.", None, 404
            )
        return _campaign(row)

    def create(self, project: str, rule: Rule, by: str) -> str:
        """Store a campaign and return its id."""
        campaign_id, now = "ca-" + secrets.token_hex(6), _now()
        row = {"campaign_id": campaign_id, "project": project, "body": _text(rule), "created_at": now}
        with up_to_date(self._engine).connect() as connection:
            connection.execute(_campaigns.insert().values(**row, changed_at=now, changed_by=by))
            connection.commit()
        return campaign_id

    def change(self, project: str, campaign_id: str, rule: Rule, by: str) -> None:
        """Replace a campaign's rule; its answers stay. Raises ThumbwheelError (404)."""
        self.find(project, campaign_id)
        with up_to_date(self._engine).connect() as connection:
            connection.execute(
                _campaigns.update()
                .where(_campaigns.c.campaign_id == campaign_id)
                .values(body=_text(rule), changed_at=_now(), changed_by=by)
            )
            connection.commit()

    def put_answers(self, counted_by: str, answers: Mapping[str, int]) -> None:
        """Store how many answers this processor sees, by campaign id; a campaign it no longer names has none there."""
        rows = [{"campaign_id": name, "counted_by": counted_by, "answers": n} for name, n in answers.items()]
        with up_to_date(self._engine).connect() as connection:
            connection.execute(_answers.delete().where(_answers.c.counted_by == counted_by))
            if rows:
                connection.execute(_answers.insert(), rows)
            connection.commit()

    def known(self) -> frozenset[str]:
        """Return the ids of all campaigns of all projects."""
        with up_to_date(self._engine).connect() as connection:
            return frozenset(connection.execute(sa.select(_campaigns.c.campaign_id)).scalars())


def _text(rule: Rule) -> str:
    return msgspec.json.encode(rule).decode()


def _campaign(row: Any) -> Campaign:
    return Campaign(
        campaign_id=row.campaign_id, project=row.project, rule=msgspec.json.decode(row.body, type=Rule),
        answers=int(row.answers), created_at=row.created_at.replace(tzinfo=UTC),
        changed_at=row.changed_at.replace(tzinfo=UTC), changed_by=row.changed_by,
    )  # fmt: skip


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
