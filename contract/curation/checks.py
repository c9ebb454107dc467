"""What no type says about an annotation, a review, an adjudication or a note from outside."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from contract.errors import EventError
from contract.ids import is_wire_id

ANNOTATING = frozenset({"annotation", "review", "adjudication", "note"})
# Who a page may say that its user is: tiers are given by the console, never claimed.
_PAGE_KINDS = ("user",)
_UNIT = re.compile(r"[\x21-\x7e]*\Z")


def check_annotating(event: Any) -> None:
    """Raise EventError that names the field."""
    if not _UNIT.match(event.unit):
        raise _invalid("unit holds more than visible ASCII.", "Name a candidate, or two joined by |.", "unit")
    if event.type == "annotation":
        _check_annotation(event)
    elif event.type == "adjudication" and not event.answers:
        raise _invalid("An adjudication without answers settles nothing.", "Send what is right, by label.", "answers")
    elif event.type == "review" and event.verdict == "fix" and not event.answers:
        raise _invalid(
            "A fix without answers mends nothing.", "Send the mended answers, or verdict 'reject'.", "answers"
        )
    elif event.type == "note" and not event.text.strip() and not event.resolved:
        raise _invalid("The note is empty.", "Write something, or send resolved.", "text")


def check_page(event: Any) -> None:
    """Raise EventError where an annotation under a public key claims more than its reader's own word.

    Answers of a task, and of people with a tier, are taken from the console or under a secret key only.
    """
    if event.type != "annotation":
        return
    if event.task_id is not None:
        raise EventError(
            "not_allowed", "A public key may not answer for a task.", "Leave task_id out, or send it from your server.",
            "task_id",
        )  # fmt: skip
    if event.actor.kind not in _PAGE_KINDS:
        raise EventError(
            "not_allowed", f"A public key may not annotate as {event.actor.kind!r}.", "Send actor.kind 'user'.",
            "actor.kind",
        )  # fmt: skip


def _check_annotation(event: Any) -> None:
    said = event.answers or event.ranking or event.preference or event.spans or event.correction is not None
    said = said or event.rating is not None
    if event.skipped is not None and said:
        raise _invalid("It is skipped and answered at once.", "Send one of the two.", "skipped")
    if not said and event.skipped is None and not event.comment:
        raise _invalid("The annotation says nothing.", "Send answers, or why it is skipped.", "answers")
    preferred = event.preference.chosen if event.preference else None
    ranked = ranked_of(event.ranking) or []
    if len(set(ranked)) != len(ranked) or (event.ranking and len(ranked) < 2):
        raise _invalid("ranking is no order of candidates.", "Name two or more, each once; ties as a list.", "ranking")
    if not all(is_wire_id(one) for one in (*ranked, *([] if preferred is None else [preferred]))):
        raise _invalid("A candidate's id is no id.", "Send 1 to 128 visible ASCII characters.", "ranking")
    if preference := event.preference:
        if not is_whole(preference):
            raise _invalid(
                "preference and its outcome disagree.", "Name `chosen` for outcome 'chosen' only.", "preference"
            )
        if preference.strength is not None and preference.outcome != "chosen":
            raise _invalid("A tie has no strength.", "Leave strength out.", "preference")
        if event.shown and preference.chosen is not None and preference.chosen not in event.shown:
            raise _invalid("preference.chosen is not among shown.", "Send one of the ids in shown.", "preference")
    if not check_spans(event.spans):
        raise _invalid(
            "A span's text is not as long as the span.", "Count code points; `end` is the first one after it.", "spans"
        )  # fmt: skip


def is_whole(preference: Any) -> bool:
    """Say whether a preference names the reply that was chosen, and one only where one was."""
    return bool((preference.outcome == "chosen") == (preference.chosen is not None))


def ranked_of(ranking: Any) -> list[str] | None:
    """Return the candidates of a ranking, ties among them; None where a group is empty or no id at all."""
    ranked: list[str] = []
    for group in ranking:
        if group == [] or not isinstance(group, str | list):
            return None
        ranked += [group] if isinstance(group, str) else group
    return ranked if all(isinstance(one, str) for one in ranked) else None


def check_spans(spans: Iterable[Any]) -> bool:
    """Say whether every span's text is as long as the span."""
    return all(span.end > span.start and len(span.text) == span.end - span.start for span in spans)


def _invalid(message: str, hint: str, field: str) -> EventError:
    return EventError("invalid_event", message, hint, field)
