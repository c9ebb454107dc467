"""In: the tables of a project. Out: what was shown in blind tests and the votes on it, and the ballots a test counts.

Which picks count is decided here and in `trials.votes`: here what depends on who was shown what, there what depends on
the other picks.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import duckdb

from contract.signing import is_issued_for_actor
from processor.queries.datasets import Datasets
from processor.queries.facts import ancestors
from processor.queries.reading import Row, parse_json, rows
from processor.steps.normalise import normalise
from trials import votes as voting
from trials.votes import Ballot

_VOTES = """
SELECT f.interaction_key, f.interaction_id, f.event_id, f.type, f.actor_id, f.actor_kind, f.outcome, f.chosen, f.shown,
    f.state, f.target, f.verified, f.via, epoch_us(f.received_at) AS arrived, epoch_us(f.occurred_at) AS occurred,
    i.trial, i.prompt_hash, i.conversation_id, i.labels
FROM feedback f JOIN interactions i USING (interaction_key)
WHERE f.project = $project AND i.trial IS NOT NULL AND f.type IN ('pick', 'choice', 'retract')
    AND f.state IN ('vote', 'superseded', 'retracted', 'applied') AND f.actor_kind <> 'ai'
ORDER BY f.received_at, f.event_id
"""
_REPLIES = """
SELECT c.interaction_key, c.candidate_id, c.model, c.content
FROM candidates c JOIN interactions i USING (interaction_key) WHERE i.project = $project AND i.trial IS NOT NULL
"""
# Only marks that a recount finds again: which neighbours an approximate index finds depends on when it was asked.
_NEAR = """
SELECT d.interaction_key, c.prompt_hash, true AS canonical FROM duplicates d
JOIN interactions c ON c.interaction_key = d.canonical_key WHERE d.project = $project AND d.method <> 'embedding'
UNION SELECT d.canonical_key, c.prompt_hash, false FROM duplicates d
JOIN interactions c ON c.interaction_key = d.interaction_key WHERE d.project = $project AND d.method <> 'embedding'
"""


@dataclass
class Shown:
    """One interaction of a blind test: who wrote what, and which prompt groups it belongs to.

    `groups` are compared with those of training sets; `prompt_group` is the one by which a rater's picks repeat.
    """

    interaction_id: str
    trial: Row
    groups: frozenset[str]
    prompt_group: str | None
    labels: tuple[str, ...] = ()
    models: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)

    @property
    def sampling(self) -> str:
        """Return the sampling settings as one text; a seed draws other replies from the same settings."""
        settings = {name: value for name, value in self.trial.get("sampling", {}).items() if name != "seed"}
        return json.dumps(settings, sort_keys=True)


def read_votes(cursor: duckdb.DuckDBPyConnection, project: str) -> tuple[dict[Any, Shown], list[Row]]:
    """Return what was shown, by interaction key, and every vote on it in the order in which they arrived."""
    near: dict[Any, set[str]] = defaultdict(set)
    canonical: dict[Any, Any] = {}
    for row in rows(cursor, _NEAR, {"project": project}):
        if row["prompt_hash"] is not None:
            near[row["interaction_key"]].add(row["prompt_hash"].hex)
        if row["canonical"]:
            canonical[row["interaction_key"]] = row["prompt_hash"]
    shown: dict[Any, Shown] = {}
    votes = rows(cursor, _VOTES, {"project": project})
    for vote in votes:
        key = vote["interaction_key"]
        if key not in shown:
            groups = near.get(key, set()) | ({vote["prompt_hash"].hex} if vote["prompt_hash"] else set())
            if vote["conversation_id"]:
                groups.add(f"conversation:{vote['conversation_id']}")
            group = canonical.get(key) or vote["prompt_hash"]
            shown[key] = Shown(
                vote["interaction_id"], parse_json(vote["trial"]), frozenset(groups), group.hex if group else None,
                tuple(vote["labels"] or ()),
            )  # fmt: skip
    for row in rows(cursor, _REPLIES, {"project": project}):
        if interaction := shown.get(row["interaction_key"]):
            interaction.models[row["candidate_id"]] = row["model"] or ""
            interaction.texts[row["candidate_id"]] = normalise(row["content"] or "")
    return shown, votes


class TrainedGroups:
    """The prompt groups an adapter or one of its ancestors was trained on; None when a training set is gone."""

    def __init__(self, datasets: Datasets, adapters: list[Row]) -> None:
        self._datasets = datasets
        self._adapters = adapters
        self._by_id = {adapter["adapter_id"]: adapter for adapter in adapters}
        self._known: dict[str, frozenset[str] | None] = {}

    def of(self, adapter_id: str) -> frozenset[str] | None:
        """Return the groups of one adapter."""
        if adapter_id not in self._known:
            self._known[adapter_id] = self._read(adapter_id)
        return self._known[adapter_id]

    def _read(self, adapter_id: str) -> frozenset[str] | None:
        found: set[str] = set()
        for ancestor in ancestors(self._adapters, adapter_id):
            dataset_id = self._by_id.get(ancestor, {}).get("dataset_id")
            if dataset_id:
                groups = self._datasets.prompt_groups(dataset_id)
                if groups is None:
                    return None
                found |= groups
        return frozenset(found)


def unfit(vote: Row, shown: Shown, challenger: str, baseline: str, trained: TrainedGroups) -> str | None:
    """Return why a pick says nothing of these two models, whatever is tested, or None."""
    if not vote["verified"]:
        return "unverified"
    if not voting.balanced(vote["shown"] or (), shown.models, challenger, baseline):
        return "unbalanced"
    groups = trained.of(challenger)
    if groups is None:
        return "unknown_training_set"
    return "trained_prompt" if groups & shown.groups else None


def to_ballots(
    votes: Iterable[Row], shown: Mapping[Any, Shown], kind: str, refuse: Callable[[Row, Shown], str | None]
) -> list[Ballot]:
    """Return the ballots of one kind of vote; those that `refuse` names a reason for carry it.

    A ballot of the console is frozen: whoever uses it could look at the counts.
    """
    ballots: list[Ballot] = []
    for vote in votes:
        interaction = shown[vote["interaction_key"]]
        if vote["type"] not in (kind, "retract"):
            continue
        ids = (interaction.interaction_id, vote["actor_id"], vote["event_id"])
        moment = (min(vote["occurred"], vote["arrived"]), vote["occurred"], vote["event_id"])
        frozen = vote["via"] == "console"
        if vote["type"] == "retract":
            ballots.append(Ballot(*ids, vote["arrived"], moment, retracts=vote["target"], frozen=frozen))
            continue
        challenger = interaction.trial["challenger"]
        side = voting.side_of(vote["outcome"], vote["chosen"], interaction.models, interaction.texts, challenger)
        issued = vote["shown"] or ()
        ballots.append(Ballot(
            *ids, vote["arrived"], moment, side, named=bool(issued) and all(map(is_issued_for_actor, issued)),
            prompt_group=interaction.prompt_group, excluded=refuse(vote, interaction), frozen=frozen,
        ))  # fmt: skip
    return ballots
