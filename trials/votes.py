"""In: ballots (picks and retractions of one blind test). Out: a Tally: which picks count, for which rater, and why not.

Pure, and a function of the ballots alone: their order in a list changes nothing, `arrived` does.

1. A vote is what an actor says of an interaction: the latest by `moment`; a retracted latest leaves none. A `frozen`
   ballot (after a reveal, or of somebody who could see the counts) does not change a vote that was given before.
2. A rater is an actor for whom the candidates were issued (`named`). All others are one rater, `UNNAMED`, whose pick of
   an interaction is what most of its names say, else a tie; it does not count once a named rater does.
3. Of a rater's picks in one prompt group only the first counts. First, here and in a rater's first ten, is the order in
   which the interactions were first picked on, so a changed vote keeps its place.
4. An interaction has one outcome, what most of its raters say, else a tie, and it is one pick of one rater. Candidates
   are issued for one actor, so it has one rater; where a caller lets in several, the outcome is credited to the one
   whose hash with the interaction's id is smallest: that depends on no side and no order, and favours nobody's name.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Literal

from trials.evidence import FIRST, Counts
from trials.rule import UNNAMED, Tally

Side = Literal["win", "loss", "tie", "none"]
# When an interaction was first picked on by a rater: (arrived, event id).
Place = tuple[int, str]
# Reasons decided here; the caller's (unsigned, other_settings, trained_on, ...) come with the ballots.
REPEATED, NOT_NAMED, FROZEN = "repeated_prompt", "unnamed", "frozen"


@dataclass(frozen=True)
class Ballot:
    """One pick as it arrived, or (with `retracts`, an event id) the undo of one, which the caller found permitted.

    `arrived` and `moment` are microseconds. `named`: the candidates were issued for this actor. `prompt_group` is None
    where the prompt is unknown: it then repeats none. `excluded` is the caller's reason why it does not count.
    `frozen`: this actor's vote on this interaction may no longer change.
    """

    interaction_id: str
    actor_id: str
    event_id: str
    arrived: int
    moment: tuple[int, int, str]
    side: Side = "none"
    retracts: str | None = None
    named: bool = True
    prompt_group: str | None = None
    excluded: str | None = None
    frozen: bool = False

    @property
    def rater(self) -> str:
        """Return whose pick it is."""
        return self.actor_id if self.named else UNNAMED


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
    return next((side for side, number in counts.items() if number * 2 > total), "tie")


def in_order(ballots: Iterable[Ballot]) -> list[Ballot]:
    """Return the ballots in the order in which they arrived."""
    return sorted(ballots, key=lambda ballot: (ballot.arrived, ballot.event_id))


def count(ballots: Iterable[Ballot]) -> Tally:
    """Return the tally of all of these ballots, without any decision."""
    votes = Votes()
    for ballot in in_order(ballots):
        votes.take(ballot)
    return votes.tally()


@dataclass
class _Pick:
    """What one rater says of one interaction; only `UNNAMED` has several names."""

    rater: str
    interaction_id: str
    place: Place
    group: str | None
    names: Counter[Side] = field(default_factory=Counter)
    side: Side | None = None


@dataclass
class _Interaction:
    """The raters of an interaction whose pick counts, smallest hash first, and to whom its outcome was credited."""

    sides: Counter[Side] = field(default_factory=Counter)
    raters: list[tuple[bytes, str]] = field(default_factory=list)
    said: dict[str, Side] = field(default_factory=dict)
    credited: tuple[str, Place, Side] | None = None


class _Rater:
    """The outcomes credited to one rater; the decisive ones in the order of their places."""

    def __init__(self) -> None:
        self.counts = Counts()
        self._decisive: list[tuple[Place, bool]] = []

    def add(self, place: Place, side: Side) -> None:
        if side in ("win", "loss"):
            insort(self._decisive, (place, side == "win"))
        self._change(side, 1)

    def remove(self, place: Place, side: Side) -> None:
        if side in ("win", "loss"):
            del self._decisive[bisect_left(self._decisive, (place, side == "win"))]
        self._change(side, -1)

    def _change(self, side: Side, by: int) -> None:
        counts = self.counts
        if side == "tie":
            counts.ties += by
        elif side == "none":
            counts.none += by
        elif side == "win":
            counts.wins += by
        else:
            counts.losses += by
        first = self._decisive[:FIRST]
        counts.first_wins = sum(won for _, won in first)
        counts.first_losses = len(first) - counts.first_wins
        counts.latest = self._decisive[-1][0][0] if self._decisive else None


class Votes:
    """The ballots so far, and which of them count; each ballot costs what it changes, however many came before."""

    def __init__(self) -> None:
        self._latest: dict[tuple[str, str], Ballot] = {}
        self._retracted: set[str] = set()
        # Who voted with which event, by interaction; one issued pick may come under any number of names.
        self._actors: dict[tuple[str, str], str] = {}
        self._refused: dict[tuple[str, str], Ballot] = {}
        self._picks: dict[tuple[str, str], _Pick] = {}
        self._groups: dict[tuple[str, str], list[tuple[Place, str]]] = defaultdict(list)
        self._interactions: dict[str, _Interaction] = defaultdict(_Interaction)
        self._raters: dict[str, _Rater] = defaultdict(_Rater)
        self._reasons: Counter[str] = Counter()
        self._frozen: list[str] = []
        self._repeated = 0
        # How often what counts has changed.
        self.changes = 0

    def take(self, ballot: Ballot) -> None:
        """Take the next ballot, in the order of `in_order`."""
        key = (ballot.interaction_id, ballot.actor_id)
        if ballot.excluded is not None:
            self._refuse(key, ballot)
        elif ballot.frozen and (ballot.retracts is not None or key in self._latest):
            self._reasons[FROZEN] += 1
            self._frozen.append(ballot.event_id)
        elif ballot.retracts is not None:
            self._retract(ballot.interaction_id, ballot.retracts)
        else:
            self._actors[ballot.interaction_id, ballot.event_id] = ballot.actor_id
            held = self._latest.get(key)
            if held is None or ballot.moment > held.moment:
                self._latest[key] = ballot
                self._replace(held, ballot)

    def _refuse(self, key: tuple[str, str], ballot: Ballot) -> None:
        """Note why a pick does not count: one reason for each actor and interaction, that of the latest pick."""
        if ballot.retracts is not None:
            return
        held = self._refused.get(key)
        if held is not None and held.moment >= ballot.moment:
            return
        if held is not None and held.event_id not in self._retracted:
            self._reasons[held.excluded or ""] -= 1
        self._refused[key] = ballot
        self._actors.setdefault((ballot.interaction_id, ballot.event_id), ballot.actor_id)
        if ballot.event_id not in self._retracted:
            self._reasons[ballot.excluded or ""] += 1

    def _retract(self, interaction_id: str, event_id: str) -> None:
        if event_id in self._retracted:
            return
        self._retracted.add(event_id)
        key = (interaction_id, self._actors.get((interaction_id, event_id), ""))
        refused, held = self._refused.get(key), self._latest.get(key)
        if refused is not None and refused.event_id == event_id:
            self._reasons[refused.excluded or ""] -= 1
        if held is not None and held.event_id == event_id:
            self._set(self._picks[interaction_id, held.rater], held.side, None)

    def _replace(self, held: Ballot | None, ballot: Ballot) -> None:
        """Put an actor's new vote in the place of the one held so far."""
        key = (ballot.interaction_id, ballot.rater)
        if key not in self._picks:
            place = (ballot.arrived, ballot.event_id)
            self._picks[key] = _Pick(ballot.rater, ballot.interaction_id, place, ballot.prompt_group)
        was = None if held is None or held.event_id in self._retracted else held.side
        if held is not None and held.rater != ballot.rater:
            self._set(self._picks[held.interaction_id, held.rater], was, None)
            was = None
        self._set(self._picks[key], was, None if ballot.event_id in self._retracted else ballot.side)

    def _set(self, pick: _Pick, was: Side | None, now: Side | None) -> None:
        """Change what one name says of an interaction."""
        if was is not None:
            pick.names[was] -= 1
        if now is not None:
            pick.names[now] += 1
        before, pick.side = pick.side, _majority(pick.names)
        if before == pick.side:
            return
        if pick.group is None or (before is not None and pick.side is not None):
            self._settle(pick)
            return
        group = self._groups[pick.rater, pick.group]
        entry = (pick.place, pick.interaction_id)
        first = group[0] if group else None
        if pick.side is not None:
            self._repeated += first is not None
            insort(group, entry)
        else:
            group.remove(entry)
            self._repeated -= bool(group)
        # Whose turn it is in the group may have passed to, or from, another interaction.
        for _, other in dict.fromkeys((entry, first or entry, group[0] if group else entry)):
            self._settle(self._picks[other, pick.rater])

    def _counts(self, pick: _Pick) -> bool:
        if pick.side is None:
            return False
        return pick.group is None or self._groups[pick.rater, pick.group][0][1] == pick.interaction_id

    def _settle(self, pick: _Pick) -> None:
        """Bring an interaction's outcome, and the rater it is credited to, up to what this rater now says of it."""
        found = self._interactions[pick.interaction_id]
        hashed = (_rank(pick), pick.rater)
        if (was := found.said.pop(pick.rater, None)) is not None:
            found.sides[was] -= 1
            del found.raters[bisect_left(found.raters, hashed)]
        if self._counts(pick) and pick.side is not None:
            found.said[pick.rater] = pick.side
            found.sides[pick.side] += 1
            insort(found.raters, hashed)
        sides = found.sides
        if len(found.said) > 1 and UNNAMED in found.said:
            sides = sides - Counter([found.said[UNNAMED]])
        outcome = _majority(sides)
        credited = None
        if outcome is not None:
            rater = found.raters[0][1]
            credited = (rater, self._picks[pick.interaction_id, rater].place, outcome)
        if credited != found.credited:
            self.changes += 1
            if found.credited is not None:
                self._raters[found.credited[0]].remove(*found.credited[1:])
            if credited is not None:
                self._raters[credited[0]].add(*credited[1:])
            found.credited = credited

    def tally(self) -> Tally:
        """Return the picks that count now; the counts in it go on changing with the next ballot."""
        raters = {name: rater.counts for name, rater in self._raters.items() if rater.counts.picks}
        excluded = Counter(self._reasons)
        excluded[REPEATED] += self._repeated
        if len(raters) > 1 and UNNAMED in raters:
            excluded[NOT_NAMED] += raters.pop(UNNAMED).picks
        return Tally(raters, +excluded)

    def why_not(self) -> dict[str, str]:
        """Return the event ids of picks that do not count now (and of frozen undos), each with its reason."""
        found = dict.fromkeys(self._frozen, FROZEN)
        for refused in self._refused.values():
            found[refused.event_id] = refused.excluded or ""
        named = any(rater.counts.picks for name, rater in self._raters.items() if name != UNNAMED)
        for ballot in self._latest.values():
            if not self._counts(self._picks[ballot.interaction_id, ballot.rater]):
                found[ballot.event_id] = REPEATED
            elif named and ballot.rater == UNNAMED:
                found[ballot.event_id] = NOT_NAMED
        return {event_id: reason for event_id, reason in sorted(found.items()) if event_id not in self._retracted}


def _rank(pick: _Pick) -> bytes:
    """Return where a rater stands among those of an interaction; names come before `UNNAMED`."""
    if pick.rater == UNNAMED:
        return b"\xff" * 9
    return blake2b(f"{pick.interaction_id} {pick.rater}".encode(), digest_size=8).digest()
