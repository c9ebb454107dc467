"""In: votes of one interaction and its description. Out: the rows that train.

Pairs come from picks, choices, edits and what annotators prefer or rank; demonstrations from corrected replies;
unpaired rows from thumbs.

A pick says that one reply beat the others, nothing about the order among the losers. Ties and "none" make nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from typing import Any

from rapidfuzz.distance import Levenshtein

from contract.curation.answers import Annotation
from contract.events import Choice, Edit, Pick, Thumb
from contract.ids import derived_bytes
from processor.rows import DemonstrationRow, PairRow, UnpairedRow, new_row
from processor.steps.batch import Copy
from processor.steps.describe import Candidate, Description
from processor.steps.normalise import blank, same_text

# An edit below this distance (Levenshtein, as a share of the longer text) mends a typo and prefers nothing.
MIN_EDIT_DISTANCE = 0.03
_PICKS = (Choice, Pick)


class Evidence:
    """The rows that follow from the votes of one interaction."""

    __slots__ = ("demonstrations", "pairs", "unpaired")

    def __init__(self) -> None:
        self.pairs: list[PairRow] = []
        self.demonstrations: list[DemonstrationRow] = []
        self.unpaired: list[UnpairedRow] = []

    def read(self, copy: Copy, description: Description, labels: Set[str] = frozenset(), refused: bool = False) -> None:
        """Add what one vote that counts (or is shown, being untrusted) says.

        Of an annotation, what its answers to `labels` say; `refused` where a reviewer sent it back.
        """
        event = copy.event
        if isinstance(event, Annotation):
            self._annotated(copy, event, description, labels, "refused_in_review" if refused else None)
        elif isinstance(event, _PICKS):
            if event.outcome == "chosen":
                self._preferences(copy, event, description)
            if isinstance(event, Pick) and event.edited_text and not blank(event.edited_text):
                self._final_text(copy, event, description)
        elif isinstance(event, Edit):
            self._correction(copy, description.candidates[event.candidate_id], event.text, description)
        elif isinstance(event, Thumb):
            self._thumb(copy, event, description)

    def _preferences(self, copy: Copy, event: Choice | Pick, description: Description) -> None:
        there = description.candidates
        chosen = there[event.chosen]  # type: ignore[index]
        losers = [
            there[shown] for shown in event.shown
            if shown != event.chosen and shown in there and not _equal(chosen, there[shown])
        ]  # fmt: skip
        kind = "import" if event.via == "import" else event.type
        text, kept = chosen.content or "", len(losers)
        why_not = _why_not(copy, description) or _why_not_reply(chosen)
        for loser in losers:
            because = why_not or _why_not_reply(loser)
            self.pairs.append(_pair(copy, description, kind, text, chosen, loser, kept, because))

    def _final_text(self, copy: Copy, event: Pick, description: Description) -> None:
        text = event.edited_text or ""
        if event.outcome == "chosen":
            original = description.candidates[event.chosen]  # type: ignore[index]
            if original.text is None or not same_text(text, original.text):
                self._correction(copy, original, text, description)
        else:
            self._demonstration(copy, "own" if event.outcome == "none" else "edit", text, description)

    def _annotated(
        self, copy: Copy, event: Annotation, description: Description, labels: Set[str], refused: str | None
    ) -> None:
        """Add the pairs of a preference and of a ranking, and a correction; the weights of one answer sum to 1."""
        ordered: dict[str, list[tuple[Candidate, Candidate]]] = {}
        if "@preference" in labels:
            ordered["@preference"] = _preferred(event, description)
        if "@ranking" in labels:
            said = {(one.candidate_id, other.candidate_id) for one, other in ordered.get("@preference", ())}
            pairs = _in_order([description.candidates[one] for one in group] for group in _groups(event.ranking))
            ordered["@ranking"] = [
                (one, other) for one, other in pairs
                if not said & {(one.candidate_id, other.candidate_id), (other.candidate_id, one.candidate_id)}
            ]  # fmt: skip
        why_not = refused or _why_not(copy, description)
        for label, pairs in ordered.items():
            apart = [(one, other) for one, other in pairs if not _equal(one, other)]
            strength = event.preference.strength if label == "@preference" and event.preference else None
            for one, other in apart:
                because = why_not or _why_not_reply(one) or _why_not_reply(other)
                row = _pair(copy, description, "annotation", one.content or "", one, other, len(apart), because)
                self.pairs.append(row._replace(strength=strength))
        if "@correction" in labels and event.correction and not refused:
            self._corrected(copy, event, description, event.correction)

    def _corrected(self, copy: Copy, event: Annotation, description: Description, text: str) -> None:
        there = description.candidates
        unit = event.unit or event.candidate_id or (next(iter(there)) if len(there) == 1 else "")
        if unit in there:
            self._correction(copy, there[unit], text, description)
        else:
            self._demonstration(copy, "own", text, description)

    def _correction(self, copy: Copy, original: Candidate, text: str, description: Description) -> None:
        self._demonstration(copy, "import" if copy.event.via == "import" else "edit", text, description)
        if original.text is None or not rewritten(text, original.text):
            return
        why_not = _why_not(copy, description, text) or _why_not_reply(original)
        self.pairs.append(_pair(copy, description, "edit", text, None, original, 1, why_not))

    def _demonstration(self, copy: Copy, kind: str, text: str, description: Description) -> None:
        event: Any = copy.event
        why_not = _why_not(copy, description, text)
        if why_not is None and any(
            c.truncated and c.text is not None and same_text(c.text, text) for c in description.candidates.values()
        ):
            why_not = "truncated_reply"
        self.demonstrations.append(DemonstrationRow(
            event.project, derived_bytes(event.project, event.interaction_id, event.event_id, "demonstration"),
            copy.interaction_key, event.interaction_id, copy.key, event.event_id, description.hash, text, kind,
            event.actor.id, why_not is None, why_not, copy.occurred, copy.received,
        ))  # fmt: skip

    def _thumb(self, copy: Copy, event: Thumb, description: Description) -> None:
        candidate = description.candidates[event.candidate_id]
        project = str(event.project)
        why_not = _why_not(copy, description) or _why_not_reply(candidate)
        self.unpaired.append(UnpairedRow(
            project, derived_bytes(project, event.interaction_id, event.event_id, "unpaired"),
            copy.interaction_key, event.interaction_id, copy.key, event.event_id, description.hash,
            candidate.candidate_id, candidate.content or "", event.value == "up", candidate.model,
            candidate.truncated, event.actor.id, why_not is None, why_not, copy.occurred, copy.received,
        ))  # fmt: skip


def rewritten(text: str, original: str) -> bool:
    """Say whether a correction says more than that a letter or a space was wrong, so that it is preferred."""
    if same_text(text, original):
        return False
    return Levenshtein.normalized_distance(text, original, score_cutoff=MIN_EDIT_DISTANCE) >= MIN_EDIT_DISTANCE


def _preferred(event: Annotation, description: Description) -> list[tuple[Candidate, Candidate]]:
    """Return the reply that is preferred beside each it was compared with: the unit's two, else those shown."""
    there, preference = description.candidates, event.preference
    if preference is None or preference.chosen is None:
        return []
    compared = [one for one in there if event.unit in (f"{one}|{preference.chosen}", f"{preference.chosen}|{one}")]
    compared = compared or [one for one in event.shown or list(there) if one in there and one != preference.chosen]
    return [(there[preference.chosen], there[one]) for one in compared]


def _groups(ranking: Sequence[str | list[str]]) -> list[list[str]]:
    return [[group] if isinstance(group, str) else group for group in ranking]


def _in_order(groups: Iterable[list[Candidate]]) -> list[tuple[Candidate, Candidate]]:
    """Return every two replies of which one stands before the other; those of one group are equally good."""
    ranks = list(groups)
    return [
        (one, other)
        for at, better in enumerate(ranks)
        for worse in ranks[at + 1 :]
        for one in better
        for other in worse
    ]


def _pair(
    copy: Copy, description: Description, kind: str, chosen_text: str, chosen: Candidate | None, loser: Candidate,
    kept: int, why_not: str | None,
) -> PairRow:  # fmt: skip
    event: Any = copy.event
    chosen_id = chosen.candidate_id if chosen else None
    return new_row(PairRow, (
        event.project,
        derived_bytes(event.project, event.interaction_id, event.event_id, chosen_id or "text", loser.candidate_id),
        copy.interaction_key, event.interaction_id, copy.key, event.event_id, kind, description.hash, chosen_text,
        loser.content or "", chosen_id, loser.candidate_id, chosen.model if chosen else None, loser.model, 1, kept,
        chosen.truncated if chosen else False, loser.truncated, event.actor.id, why_not is None, why_not,
        copy.occurred, copy.received, None,
    ))  # fmt: skip


def _why_not(copy: Copy, description: Description, *written: str) -> str | None:
    """Return why a row of this vote does not train, or None; `written` is what the person wrote."""
    if description.why_not:
        return description.why_not
    if copy.event.actor.kind == "ai":
        return "ai_feedback"
    for text in written:
        if why_not := _why_not_text(text):
            return why_not
    return None


def _why_not_reply(candidate: Candidate) -> str | None:
    return "tools" if candidate.calls_tool else _why_not_text(candidate.text)


def _why_not_text(text: str | None) -> str | None:
    if text is None:
        return "not_text"
    return "empty_reply" if blank(text) else None


def _equal(one: Candidate, other: Candidate) -> bool:
    if one.text is None or other.text is None:
        return one.content == other.content
    return same_text(one.text, other.text)
