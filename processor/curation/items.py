"""In: a task, an item of it, and all that people said about it. Out: where the item stands, and why.

A pure function of a set of rows: their order changes nothing, and what is retracted or forgotten is as if it had never
been. Nothing of it is stored. An item goes through rounds; a rejection, of a reviewer or of a spot check, ends one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import combinations
from typing import Any

from contract.curation.definitions import Stage
from processor.curation.standing import (
    FREE,
    NOBODY,
    SKIPPED,
    ItemAnswer,
    ItemBatch,
    ItemReview,
    ItemState,
    Standing,
    Why,
)
from processor.curation.tasks import Task, reaches


@dataclass(slots=True)
class _Draft:
    """An `ItemState` in the making: of very many items, each step writes into one object."""

    state: Standing
    stage: int
    round: int
    counted: int
    wanted: int
    people: tuple[str, ...]
    skipped: tuple[str, ...]
    only: frozenset[str]
    agreement: float | None
    why: Why
    voters: frozenset[str] = NOBODY
    deciders: frozenset[str] = NOBODY
    others: bool = False
    missing: tuple[str, ...] = ()
    values: Mapping[str, str | None] = field(default_factory=dict)

    def whole(self) -> ItemState:
        """Return what is not changed any more."""
        return ItemState(
            state=self.state, stage=self.stage, round=self.round, counted=self.counted, wanted=self.wanted,
            people=self.people, skipped=self.skipped, voters=self.voters, deciders=self.deciders, only=self.only,
            others=self.others, missing=self.missing, agreement=self.agreement, values=self.values, why=self.why,
        )  # fmt: skip


def _with(draft: _Draft, **changed: Any) -> _Draft:
    for name, value in changed.items():
        setattr(draft, name, value)
    return draft


@dataclass(frozen=True)
class _Evidence:
    """What counts of an item: answers by (stage, round), decisions, spot checks in the order they were drawn."""

    task: Task
    answers: Sequence[ItemAnswer]
    reviews: Sequence[ItemReview]
    batches: Sequence[ItemBatch]
    voters: frozenset[str]


@dataclass(frozen=True)
class _Round:
    """The round that an item is in, what ended the one before, and the spot check it is in, if any."""

    number: int
    back: ItemReview | None
    rejected: bool
    batch: ItemBatch | None


_FIRST = _Round(0, None, False, None)


def item_state(
    task: Task,
    item: tuple[str, str],
    answers: Iterable[ItemAnswer] = (),
    reviews: Iterable[ItemReview] = (),
    batches: Iterable[ItemBatch] = (),
    free: frozenset[str] = FREE,
) -> ItemState:
    """Return where an item, (interaction id, unit), stands; `free` are labels answered in people's own words.

    Answers and decisions are those in force: superseded, retracted and forgotten ones are left out by the caller.
    """
    own = sorted((one for one in answers if reaches(one.actor_kind, "user")), key=lambda one: one.at)
    spoke = {one.actor_id for one in own if one.label != SKIPPED and not one.live}
    decided = sorted((one for one in reviews if reaches(one.actor_kind, "crowd")), key=lambda one: one.at)
    found = _Evidence(task, own, decided, sorted(batches, key=lambda one: one.at), frozenset(spoke))
    current = _round_of(found)
    state = _answering(found, current, free)
    if state.state == "settled":
        state = _deciding(found, current, item, state)
    state.voters = found.voters
    state.deciders = frozenset(one.actor_id for one in decided) - spoke if decided else NOBODY
    return state.whole()


def _verdicts(found: _Evidence, number: int, kind: str = "review") -> list[ItemReview]:
    """Return the decisions of a round that count: those of people who did not answer the item."""
    return [
        one for one in found.reviews
        if one.kind == kind and one.round == number and one.actor_id not in found.voters
        and 0 <= one.stage < len(found.task.stages) and reaches(one.actor_kind, found.task.stages[one.stage].tier)
    ]  # fmt: skip


def _round_of(found: _Evidence) -> _Round:
    """Follow the rejections: each, of a review in its round or of a spot check, begins a round.

    A rejection stands by itself: that answers of its round were forgotten since does not bring the round back.
    """
    if not found.reviews and not found.batches:
        return _FIRST
    number, back, waiting = 0, None, list(found.batches)
    rejected = False
    while True:
        by_review = _rejection(found, number)
        if by_review is None:
            spent = next((at for at, batch in enumerate(waiting) if batch.returns), None)
            if spent is None:
                batch = next((one for one in waiting if one.verdict != "reject"), None)
                return _Round(number, back, rejected, batch)
            del waiting[: spent + 1]
        else:
            waiting = [batch for batch in waiting if batch.at > by_review.at]
        number, back, rejected = number + 1, by_review, True


def _rejection(found: _Evidence, number: int) -> ItemReview | None:
    at_review = [one for one in _verdicts(found, number) if found.task.stages[one.stage].kind == "review"]
    whole = [one for one in at_review if one.target is None]
    if whole:
        return whole[0] if whole[0].verdict == "reject" else None
    return next((one for one in at_review if one.verdict == "reject"), None)


def _answering(found: _Evidence, current: _Round, free: frozenset[str]) -> _Draft:
    """Return the state at the stages that people answer at; "settled" where these are done with."""
    stage = _beginning(found, current.number)
    while True:
        state = _at_stage(found, current, stage, free)
        limit = found.task.stages[stage].skip_limit
        if state.state not in ("open", "returned") or len(state.skipped) < limit:
            return state
        beyond = found.task.next_of("answer", stage)
        if beyond is None:
            return _with(state, state="unanswerable", why="skipped", wanted=state.counted)
        stage = beyond


def _beginning(found: _Evidence, number: int) -> int:
    """Return the stage at which a round begins: where the rounds before it were answered in the end."""
    before = [one.stage for one in found.answers if one.round < number and _is_answering(found.task, one)]
    return max(before, default=found.task.first)


def _is_answering(task: Task, one: ItemAnswer) -> bool:
    return (
        not one.live and one.label != SKIPPED and 0 <= one.stage < len(task.stages)
        and task.stages[one.stage].kind == "answer"
    )  # fmt: skip


def _at_stage(found: _Evidence, current: _Round, stage: int, free: frozenset[str]) -> _Draft:
    plan = found.task.stages[stage]
    here = [one for one in found.answers if _counts_at(found.task, one, stage, current.number)]
    said = [one for one in here if one.label != SKIPPED]
    people = tuple(dict.fromkeys(one.actor_id for one in said))
    skipped = tuple(dict.fromkeys(one.actor_id for one in here if one.label == SKIPPED and one.actor_id not in people))
    only, out = _returned_to(found, current)
    state = _Draft(
        state="returned" if current.rejected and not people else "open", stage=stage, round=current.number,
        people=people, skipped=skipped, only=only, agreement=agreement_of(said, free), wanted=plan.k,
        counted=min(len(people), plan.k), why="rejected" if current.rejected and not people else "waits",
    )  # fmt: skip
    if current.back is not None and current.back.return_to == "other":
        state = _with(state, others=True)
    if out:
        return _with(state, state="returned", why="dropped", wanted=state.counted)
    if only and len(only) < plan.k:
        state = _with(state, wanted=len(only), counted=min(len(people), len(only)))
    if (decision := _adjudication(found, current.number, stage)) is not None:
        values = consensus(said) | dict(decision.answers)
        return _with(state, state="settled", why="adjudicated", values=values, wanted=state.counted)
    return _measured(found, plan, _with(state, values=consensus(said)), _asked(said, state, plan, free))


def _counts_at(task: Task, one: ItemAnswer, stage: int, number: int) -> bool:
    """Say whether an answer was given here, by somebody of the stage's tier.

    What users said of the product's own replies counts where users are asked, in the first round.
    """
    tier = task.stages[stage].tier
    if one.live:
        return tier == "user" and number == 0
    return one.stage == stage and one.round == number and reaches(one.actor_kind, tier)


def _returned_to(found: _Evidence, current: _Round) -> tuple[frozenset[str], bool]:
    """Return the people that a rejected item goes back to (nobody in particular: empty), and whether it is dropped."""
    if current.back is None:
        return frozenset(), False
    where = current.back.return_to or "same"
    before = {one.actor_id for one in found.answers if one.round == current.number - 1 and one.label != SKIPPED}
    return (frozenset(before) if where == "same" else frozenset()), where == "none"


def _asked(said: Sequence[ItemAnswer], state: _Draft, plan: Stage, free: frozenset[str]) -> int:
    """Return how many people were asked: one more each time while those so far agreed too little."""
    for asked in range(state.wanted, min(len(state.people), state.wanted + plan.extra)):
        first = set(state.people[:asked])
        if _agree(plan, agreement_of([one for one in said if one.actor_id in first], free)):
            return asked
    return max(state.wanted, min(len(state.people), state.wanted + plan.extra))


def _agree(plan: Stage, agreement: float | None) -> bool:
    return plan.agree <= 0 or agreement is None or agreement >= plan.agree


def _measured(found: _Evidence, plan: Stage, state: _Draft, asked: int) -> _Draft:
    """Return an item's state by how many answered and how far they agree: those who came late are seen, too."""
    answered, most = len(state.people), state.wanted + plan.extra
    if answered >= state.wanted and _agree(plan, state.agreement):
        return _with(state, state="settled", why="settled", counted=asked, wanted=asked)
    if answered >= most:
        return _with(state, state="disputed", why="below_agreement", counted=most, wanted=most)
    if answered >= state.wanted:
        state = _with(state, why="below_agreement", counted=answered, wanted=answered + 1)
    return _who_is_left(found, plan, state)


def _who_is_left(found: _Evidence, plan: Stage, state: _Draft) -> _Draft:
    """Say who could still answer, where people are named; with nobody left the answers there are decide."""
    named = state.only or frozenset(plan.people if plan.assignment != "pull" else ())
    if not named:
        return state
    gone = {*state.people, *state.skipped, *(one.actor_id for one in found.reviews)}
    left = tuple(sorted(named - gone - (found.voters if state.others else frozenset())))
    if left or not state.people:
        return _with(state, missing=left, why=state.why if left else "nobody_left")
    return _with(state, state="disputed", why="nobody_left", wanted=state.counted)


def _adjudication(found: _Evidence, number: int, stage: int) -> ItemReview | None:
    decisions = _verdicts(found, number, "adjudication")
    if not decisions:
        return None
    tier = found.task.adjudicates(stage)
    return next((one for one in decisions if one.stage == stage and reaches(one.actor_kind, tier)), None)


def _deciding(found: _Evidence, current: _Round, item: tuple[str, str], state: _Draft) -> _Draft:
    """Take an item that is answered through the reviews and spot checks that follow."""
    at: int | None = state.stage
    while at is not None:
        at = next((n for n in range(at + 1, len(found.task.stages)) if found.task.stages[n].kind != "answer"), None)
        if at is None:
            break
        if found.task.stages[at].kind == "batch":
            if current.batch is None or current.batch.verdict != "accept":
                return _with(state, state="in_batch", stage=at, why="batch")
        elif _is_reviewed(found, at, item, current.number) and state.why != "adjudicated":
            accepted = _accepted(found, at, current.number, state)
            if accepted is None:
                return _waits_for_review(found, at, state)
            state = accepted
        state = _with(state, values={**state.values, **_fixes(found, at, current.number)})
    return state


def _is_reviewed(found: _Evidence, stage: int, item: tuple[str, str], number: int) -> bool:
    """Say whether an item is among the share that is reviewed: drawn by its name, so everywhere the same."""
    rate = found.task.stages[stage].rate
    name = "\x1f".join((found.task.task_id, *item, str(stage), str(number)))
    return rate >= 1 or int.from_bytes(blake2b(name.encode(), digest_size=4).digest(), "big") < rate * 2**32


def _accepted(found: _Evidence, stage: int, number: int, state: _Draft) -> _Draft | None:
    verdicts = [one for one in _verdicts(found, number) if one.stage == stage and one.verdict != "reject"]
    if any(one.target is None for one in verdicts):
        return state
    # A verdict each: then all answers in force are accepted.
    targets = {one.target for one in verdicts}
    given = {one.event_id for one in found.answers if one.round == number and one.stage == state.stage and not one.live}
    return state if given and given <= targets else None


def _fixes(found: _Evidence, stage: int, number: int) -> dict[str, str]:
    fixes = [one for one in _verdicts(found, number) if one.stage == stage and one.verdict == "fix"]
    return {label: value for one in reversed(fixes) for label, value in one.answers.items()}


def _waits_for_review(found: _Evidence, stage: int, state: _Draft) -> _Draft:
    named = found.task.stages[stage].people
    left = tuple(sorted(set(named) - found.voters))
    why: Why = "no_reviewer" if named and not left else "review"
    return _with(state, state="in_review", stage=stage, missing=left, why=why)


def agreement_of(said: Sequence[ItemAnswer], free: frozenset[str] = FREE) -> float | None:
    """Return the share of pairs of people who say the same, over all labels that two answered; None with no pair."""
    by_label: dict[str, list[str]] = {}
    for one in said:
        if one.label not in free and one.label != SKIPPED:
            by_label.setdefault(one.label, []).append(one.value)
    same = pairs = 0
    for values in by_label.values():
        pairs += len(values) * (len(values) - 1) // 2
        same += sum([first == other for first, other in combinations(values, 2)])
    return same / pairs if pairs else None


def consensus(said: Sequence[ItemAnswer]) -> dict[str, str | None]:
    """Return by label what most people say, as JSON; None where as many say something else."""
    by_label: dict[str, dict[str, int]] = {}
    for one in said:
        counts = by_label.setdefault(one.label, {})
        counts[one.value] = counts.get(one.value, 0) + 1
    found: dict[str, str | None] = {}
    for label, counts in sorted(by_label.items()):
        most = max(counts.values())
        first = [value for value, count in counts.items() if count == most]
        found[label] = first[0] if len(first) == 1 else None
    return found
