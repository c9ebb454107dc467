"""In: what people said of the replies of items. Out: the rows that train, and what is kept for evaluation only.

A ranking says every strictly ordered pair, and the weights of one vote sum to 1. A correction says a demonstration, and
that it is better than what it corrects. A rating beside another of the same person on the same item says a pair where
they are 2 or more apart; a rating alone is a thumb, and only past the thresholds that whoever builds a dataset states.

Of several people on the same two replies one row comes, as `processor.steps.consensus` has it: the judgement received
first of those the most give trains, and `chosen_share` is the share of them among all that prefer one of the two. Each
person has one voice on two replies, the newest. Ties, "none", what nobody could answer and disagreement never train:
they are kept, with the reason, since they are the best questions to evaluate with.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from typing import Literal, TypeVar

from contract.curation.answers import Outcome
from contract.errors import ThumbwheelError
from processor.curation.measures.rankings import Ranking, places

# The reasons of `processor.steps.consensus`, then those of a judgement that says nothing to train on.
WhyNot = Literal[
    "agreeing", "outvoted", "tied", "tie", "none", "skipped", "superseded", "same_reply", "threshold", "empty_reply"
]  # fmt: skip
Kind = Literal["ranking", "pairwise", "rating", "correction"]
LEAST_APART = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """Who said something of which item; `received` (microseconds) and then the event's id order votes."""

    item: str
    person: str
    event_id: str
    received: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RankingVote(Vote):
    """Replies from the best to the worst."""

    ranking: Ranking


@dataclass(frozen=True, slots=True, kw_only=True)
class PairwiseVote(Vote):
    """Which of two replies is better, and how clearly (1 a little, 2 clearly, 3 by far)."""

    unit: tuple[str, str]
    outcome: Outcome
    chosen: str | None = None
    strength: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectionVote(Vote):
    """A better version of a reply: `original` is what stood there, None where it was no text."""

    candidate_id: str
    text: str
    original: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RatingVote(Vote):
    """A number for one reply. All ratings given together are of one label."""

    candidate_id: str
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SkipVote(Vote):
    """Somebody could not answer."""

    reason: str


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From which rating on a reply is good by itself, and up to which it is bad; None: by itself it never is."""

    good_from: float | None = None
    bad_up_to: float | None = None

    def __post_init__(self) -> None:
        """Refuse that a reply is good and bad at once."""
        if self.good_from is not None and self.bad_up_to is not None and self.good_from <= self.bad_up_to:
            raise ThumbwheelError(
                "bad_thresholds", f"A rating of {self.bad_up_to} would be good and bad.", "Set good above bad."
            )

    def thumb(self, value: float) -> bool | None:
        """Return whether such a rating is a thumb up (True), down (False), or none (None)."""
        if self.good_from is not None and value >= self.good_from:
            return True
        return False if self.bad_up_to is not None and value <= self.bad_up_to else None


@dataclass(frozen=True, slots=True)
class PairRow:
    """One pair to train on. `rejected` and `chosen` are candidates, `chosen` None where a person wrote `text`.

    `weight`: the pair's part of the vote that trains. `strength`: the mean of those who say the same and how clearly.
    `chosen_share`: of all that prefer one of the two, how many prefer this one. `ties`: how many find them equal.
    `events` made it; those of `agreeing` say the same, those of `outvoted` the contrary.
    """

    item: str
    chosen: str | None
    rejected: str
    kind: Kind
    weight: Fraction
    strength: Fraction | None
    chosen_share: Fraction
    ties: int
    events: tuple[str, ...]
    agreeing: tuple[str, ...] = ()
    outvoted: tuple[str, ...] = ()
    text: str | None = None


@dataclass(frozen=True, slots=True)
class UnpairedRow:
    """One reply with a thumb; `share`: of those with a thumb for it, how many have this one."""

    item: str
    candidate_id: str
    label: bool
    share: Fraction
    event_id: str


@dataclass(frozen=True, slots=True)
class DemonstrationRow:
    """A reply as a person wrote it."""

    item: str
    text: str
    event_id: str


@dataclass(frozen=True, slots=True)
class Kept:
    """Something said that does not train, of which replies, and why."""

    item: str
    person: str
    events: tuple[str, ...]
    about: tuple[str, ...]
    why_not: WhyNot


@dataclass(frozen=True, slots=True)
class TrainingRows:
    """What votes make, each list by item; nothing said is missing from all of them."""

    pairs: tuple[PairRow, ...]
    unpaired: tuple[UnpairedRow, ...]
    demonstrations: tuple[DemonstrationRow, ...]
    kept: tuple[Kept, ...]

    def counts(self) -> dict[str, int]:
        """Return how much is kept, by reason."""
        return dict(sorted(Counter(one.why_not for one in self.kept).items()))


@dataclass(frozen=True, slots=True)
class _Voice:
    """What one person says of one subject: which of two replies is better, or "up" or "down"; None: they are equal."""

    item: str
    person: str
    about: tuple[str, ...]
    says: str | None
    received: int
    events: tuple[str, ...]
    kind: Kind
    weight: Fraction = Fraction(1)
    strength: int | None = None

    @property
    def order(self) -> tuple[int, tuple[str, ...]]:
        """Order voices by when they came."""
        return self.received, self.events

    def kept(self, why_not: WhyNot) -> Kept:
        """Return the voice as one that does not train."""
        return Kept(self.item, self.person, self.events, self.about, why_not)


@dataclass(frozen=True, slots=True)
class _Settled:
    """The voice that trains, those who say the same, those who say otherwise, and how many find no difference."""

    voice: _Voice
    agreeing: tuple[_Voice, ...]
    outvoted: tuple[_Voice, ...]
    ties: int

    @property
    def share(self) -> Fraction:
        """Return how many of those who prefer something prefer this."""
        same = 1 + len(self.agreeing)
        return Fraction(same, same + len(self.outvoted))


Alike = Callable[[str, str, str], bool]


def training_rows(
    votes: Iterable[Vote],
    *,
    rewritten: Callable[[str, str], bool],
    thresholds: Thresholds = Thresholds(),
    alike: Alike = lambda item, one, other: False,
) -> TrainingRows:
    """Return what these votes make, the same in whatever order they are given.

    `rewritten(text, original)` says whether a correction says more than that a letter was wrong
    (`processor.steps.rows.rewritten`), `alike(item, one, other)` whether two replies are one text: of two that are,
    neither can be better. Raises `bad_vote` for a preference for a reply that was not one of the two.
    """
    ordered = sorted(votes, key=lambda vote: (vote.item, vote.received, vote.event_id))
    voices: list[_Voice] = []
    kept: list[Kept] = []
    for vote in ordered:
        if isinstance(vote, RankingVote):
            _read_ranking(vote, alike, voices, kept)
        elif isinstance(vote, PairwiseVote):
            _read_pairwise(vote, alike, voices, kept)
        elif isinstance(vote, SkipVote):
            kept.append(Kept(vote.item, vote.person, (vote.event_id,), (), "skipped"))
    thumbs = _read_ratings([vote for vote in ordered if isinstance(vote, RatingVote)], thresholds, alike, voices, kept)
    corrections = _newest([vote for vote in ordered if isinstance(vote, CorrectionVote)], kept)
    demonstrations, corrected = _read_corrections(corrections, rewritten, kept)
    pairs = [_pair(settled) for settled in _settle(voices, kept)] + corrected
    unpaired = [
        UnpairedRow(one.voice.item, one.voice.about[0], one.voice.says == "up", one.share, one.voice.events[0])
        for one in _settle(thumbs, kept)
    ]
    return TrainingRows(
        pairs=tuple(sorted(pairs, key=lambda row: (row.item, row.events, row.chosen or "", row.rejected))),
        unpaired=tuple(sorted(unpaired, key=lambda row: (row.item, row.candidate_id))),
        demonstrations=tuple(demonstrations),
        kept=tuple(sorted(kept, key=lambda one: (one.item, one.events, one.about, one.why_not))),
    )


def _read_ranking(vote: RankingVote, alike: Alike, voices: list[_Voice], kept: list[Kept]) -> None:
    """Add a voice for every two replies: of those with an order, the weights sum to 1."""
    place = places(vote.ranking)
    found: list[tuple[tuple[str, str], str | None]] = []
    for one, other in combinations(sorted(place), 2):
        if place[one] == place[other]:
            found.append(((one, other), None))
        elif alike(vote.item, one, other):
            kept.append(Kept(vote.item, vote.person, (vote.event_id,), (one, other), "same_reply"))
        else:
            found.append(((one, other), min(one, other, key=place.__getitem__)))
    strict = sum(says is not None for _, says in found)
    voices += [
        _Voice(vote.item, vote.person, about, says, vote.received, (vote.event_id,), "ranking", _part(strict))
        for about, says in found
    ]


def _read_pairwise(vote: PairwiseVote, alike: Alike, voices: list[_Voice], kept: list[Kept]) -> None:
    one, other = about = (min(vote.unit), max(vote.unit))
    if (vote.outcome == "chosen") != (vote.chosen is not None and vote.chosen in about) or one == other:
        raise ThumbwheelError(
            "bad_vote", f"{vote.event_id} prefers {vote.chosen} of {one} and {other}.", "Choose one of the two."
        )
    if vote.outcome == "none" or (vote.outcome == "chosen" and alike(vote.item, one, other)):
        why: WhyNot = "none" if vote.outcome == "none" else "same_reply"
        kept.append(Kept(vote.item, vote.person, (vote.event_id,), about, why))
        return
    voices.append(
        _Voice(
            vote.item, vote.person, about, vote.chosen, vote.received, (vote.event_id,), "pairwise",
            strength=vote.strength,
        )
    )  # fmt: skip


def _read_ratings(
    votes: Sequence[RatingVote], thresholds: Thresholds, alike: Alike, voices: list[_Voice], kept: list[Kept]
) -> list[_Voice]:
    """Add the pairs that ratings of one person on one item make; return the thumbs that those in no pair make."""
    own: dict[tuple[str, str], list[RatingVote]] = {}
    for vote in _newest(votes, kept):
        own.setdefault((vote.item, vote.person), []).append(vote)
    thumbs: list[_Voice] = []
    for (item, person), ratings in own.items():
        apart = [
            (better, worse) for one, other in combinations(ratings, 2)
            for better, worse in [(one, other) if one.value > other.value else (other, one)]
            if better.value - worse.value >= LEAST_APART and not alike(item, one.candidate_id, other.candidate_id)
        ]  # fmt: skip
        for better, worse in apart:
            about = tuple(sorted((better.candidate_id, worse.candidate_id)))
            received, events = max(better.received, worse.received), tuple(sorted({better.event_id, worse.event_id}))
            voices.append(
                _Voice(item, person, about, better.candidate_id, received, events, "rating", _part(len(apart)))
            )
        paired = {vote.candidate_id for pair in apart for vote in pair}
        for vote in ratings:
            thumb, about, events = thresholds.thumb(vote.value), (vote.candidate_id,), (vote.event_id,)
            if vote.candidate_id in paired:
                continue
            if thumb is None:
                kept.append(Kept(item, person, events, about, "threshold"))
            else:
                thumbs.append(_Voice(item, person, about, "up" if thumb else "down", vote.received, events, "rating"))
    return thumbs


def _read_corrections(
    votes: Sequence[CorrectionVote], rewritten: Callable[[str, str], bool], kept: list[Kept]
) -> tuple[list[DemonstrationRow], list[PairRow]]:
    """Return a demonstration for each correction, and a pair where it says something else than the original."""
    demonstrations: list[DemonstrationRow] = []
    pairs: list[PairRow] = []
    for vote in votes:
        if not vote.text.strip():
            kept.append(Kept(vote.item, vote.person, (vote.event_id,), (vote.candidate_id,), "empty_reply"))
            continue
        demonstrations.append(DemonstrationRow(vote.item, vote.text, vote.event_id))
        if vote.original is not None and rewritten(vote.text, vote.original):
            pairs.append(PairRow(
                vote.item, None, vote.candidate_id, "correction", Fraction(1), None, Fraction(1), 0, (vote.event_id,),
                text=vote.text,
            ))  # fmt: skip
    return demonstrations, pairs


N = TypeVar("N", RatingVote, CorrectionVote)


def _newest(votes: Sequence[N], kept: list[Kept]) -> list[N]:
    """Return what each person said last of each reply, in order; what was said before is kept as superseded."""
    last: dict[tuple[str, str, str], N] = {}
    for vote in votes:
        before = last.pop((vote.item, vote.person, vote.candidate_id), None)
        if before is not None:
            kept.append(Kept(vote.item, vote.person, (before.event_id,), (vote.candidate_id,), "superseded"))
        last[vote.item, vote.person, vote.candidate_id] = vote
    return list(last.values())


def _settle(voices: Sequence[_Voice], kept: list[Kept]) -> list[_Settled]:
    """Return what most say of each subject; all that does not train is added to `kept`."""
    subjects: dict[tuple[str, tuple[str, ...]], dict[str, _Voice]] = {}
    for voice in sorted(voices, key=lambda voice: voice.order):
        people = subjects.setdefault((voice.item, voice.about), {})
        if voice.person in people:
            kept.append(people[voice.person].kept("superseded"))
        people[voice.person] = voice
    found: list[_Settled] = []
    for people in subjects.values():
        ordered = sorted(people.values(), key=lambda voice: voice.order)
        equal = [voice for voice in ordered if voice.says is None]
        kept += [voice.kept("tie") for voice in equal]
        preferring = [voice for voice in ordered if voice.says is not None]
        ranks = Counter(voice.says for voice in preferring).most_common()
        if len(ranks) > 1 and ranks[0][1] == ranks[1][1]:
            kept += [voice.kept("tied") for voice in preferring]
        elif ranks:
            same = [voice for voice in preferring if voice.says == ranks[0][0]]
            others = [voice for voice in preferring if voice.says != ranks[0][0]]
            kept += [voice.kept("agreeing") for voice in same[1:]] + [voice.kept("outvoted") for voice in others]
            found.append(_Settled(same[0], tuple(same[1:]), tuple(others), len(equal)))
    return found


def _pair(settled: _Settled) -> PairRow:
    voice = settled.voice
    (rejected,) = (one for one in voice.about if one != voice.says)
    told = [one.strength for one in (voice, *settled.agreeing) if one.strength is not None]
    return PairRow(
        item=voice.item, chosen=voice.says, rejected=rejected, kind=voice.kind, weight=voice.weight,
        strength=Fraction(sum(told), len(told)) if told else None, chosen_share=settled.share, ties=settled.ties,
        events=voice.events, agreeing=tuple(event for one in settled.agreeing for event in one.events),
        outvoted=tuple(event for one in settled.outvoted for event in one.events),
    )  # fmt: skip


def _part(of: int) -> Fraction:
    return Fraction(1, max(1, of))
