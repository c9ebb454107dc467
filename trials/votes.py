"""In: ballots (picks and retractions of one blind test, in any order). Out: a Tally: counts, by rater, the decision.

Pure. One outcome per interaction: what most of its raters say, a split is a tie.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from trials.formulas import log_e_value
from trials.rule import Rule, Tally, decide

Side = Literal["win", "loss", "tie", "none"]


@dataclass(frozen=True)
class Ballot:
    """One pick as it arrived, or (with `retracts`) the undo of one.

    `arrived` and `moment` are microseconds; votes are counted by `moment` (the latest of an actor wins) in the order
    in which they arrived.
    """

    interaction_id: str
    actor_id: str
    event_id: str
    arrived: int
    moment: tuple[int, int, str]
    side: Side = "none"
    retracts: str | None = None


def side_of(
    outcome: str, chosen: str | None, models: Mapping[str, str], texts: Mapping[str, str], challenger: str
) -> Side:
    """Return what one pick says. `models` and `texts` (normalised) are by candidate id.

    A chosen text that both models wrote is a tie.
    """
    if outcome == "tie":
        return "tie"
    if outcome != "chosen" or chosen is None or chosen not in models:
        return "none"
    writers = {models[other] for other, text in texts.items() if text == texts[chosen]}
    if len(writers) > 1:
        return "tie"
    return "win" if models[chosen] == challenger else "loss"


def balanced(shown: Sequence[str], models: Mapping[str, str], challenger: str, baseline: str) -> bool:
    """Say whether both sides showed the same number of replies, and nobody else any."""
    sides = Counter(models.get(candidate) for candidate in shown)
    return set(sides) == {challenger, baseline} and sides[challenger] == sides[baseline]


def outcome_of(votes: Iterable[Side]) -> Side | None:
    """Return the one outcome of an interaction: what most of its raters say, else a tie; None without a vote."""
    return _majority(Counter(votes))


def _majority(counts: Counter[Side]) -> Side | None:
    total = counts.total()
    if not total:
        return None
    side, most = counts.most_common(1)[0]
    return side if most * 2 > total else "tie"


def count(ballots: Iterable[Ballot], rule: Rule | None = None) -> Tally:
    """Replay the ballots in the order they arrived and stop at the first decision (never, without a rule).

    A vote given or changed after the decision does not count.
    """
    votes = _Votes()
    for ballot in sorted(ballots, key=lambda b: (b.arrived, b.event_id)):
        votes.take(ballot)
        if rule is None or not votes.may_decide(rule):
            continue
        tally = votes.tally()
        tally.state = decide(tally, rule)
        if tally.state != "running":
            tally.decided_at = ballot.arrived
            return tally
    return votes.tally()


class _Votes:
    """The votes in force: by interaction, by actor; the latest moment wins, a retracted latest leaves none."""

    def __init__(self) -> None:
        self._latest: dict[tuple[str, str], Ballot] = {}
        self._retracted: set[str] = set()
        # Who voted with which event, by interaction; one issued pick may come under any number of names.
        self._actors: dict[tuple[str, str], str] = {}
        self._sides: dict[str, dict[str, Side]] = defaultdict(dict)
        self._by_side: dict[str, Counter[Side]] = defaultdict(Counter)
        self._outcomes: dict[str, Side] = {}
        self._counts: Counter[str] = Counter()

    def take(self, ballot: Ballot) -> None:
        if ballot.retracts is not None:
            self._retracted.add(ballot.retracts)
        else:
            self._actors[ballot.interaction_id, ballot.event_id] = ballot.actor_id
            held = self._latest.get((ballot.interaction_id, ballot.actor_id))
            if held is None or ballot.moment > held.moment:
                self._latest[ballot.interaction_id, ballot.actor_id] = ballot
        if (vote := self._vote_of(ballot)) is not None:
            self._place(vote)

    def _vote_of(self, ballot: Ballot) -> Ballot | None:
        """Return the vote in force that the ballot may change: its actor's, or the one it takes back."""
        if ballot.retracts is None:
            return self._latest[ballot.interaction_id, ballot.actor_id]
        actor = self._actors.get((ballot.interaction_id, ballot.retracts))
        vote = None if actor is None else self._latest[ballot.interaction_id, actor]
        return vote if vote is not None and vote.event_id == ballot.retracts else None

    def _place(self, vote: Ballot) -> None:
        sides, by_side = self._sides[vote.interaction_id], self._by_side[vote.interaction_id]
        if (was := sides.pop(vote.actor_id, None)) is not None:
            by_side[was] -= 1
        if vote.event_id not in self._retracted:
            sides[vote.actor_id] = vote.side
            by_side[vote.side] += 1
        before = self._outcomes.pop(vote.interaction_id, None)
        if before:
            self._counts[before] -= 1
        after = _majority(by_side)
        if after:
            self._outcomes[vote.interaction_id] = after
            self._counts[after] += 1

    def may_decide(self, rule: Rule) -> bool:
        """Say whether the counts alone leave a decision open; without it no look at the raters is needed."""
        wins, losses = self._counts["win"], self._counts["loss"]
        return wins + losses >= rule.max_picks or log_e_value(wins, losses) >= math.log(rule.needed_e)

    def tally(self) -> Tally:
        raters: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        for sides in self._sides.values():
            for actor, side in sides.items():
                if side in ("win", "loss"):
                    raters[actor][side == "loss"] += 1
        counts = self._counts
        return Tally(
            counts["win"], counts["loss"], counts["tie"], counts["none"],
            {actor: (wins, losses) for actor, (wins, losses) in sorted(raters.items())},
        )  # fmt: skip
