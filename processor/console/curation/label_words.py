"""What the script of the annotator's page says, in the reader's language; {n} and such are filled in there."""

from __future__ import annotations

from flask_babel import lazy_gettext as _

WORDS = {
    "user": _("user"),
    "assistant": _("assistant"),
    "system": _("system"),
    "tool": _("tool"),
    "no_text": _("(no text)"),
    "reply": _("Reply {n}"),
    "required": _("needed"),
    "tie": _("Tie"),
    "none_good": _("None is good"),
    "yes": _("Yes"),
    "no": _("No"),
    "strength": _("How clearly"),
    "strength_1": _("a little"),
    "strength_2": _("clearly"),
    "strength_3": _("by far"),
    "tied": _("tied with the one above"),
    "move_up": _("Move up"),
    "move_down": _("Move down"),
    "tie_above": _("Tie with above"),
    "mark": _("Mark what is selected"),
    "unmark": _("Remove {text}"),
    "nothing_marked": _("Nothing is marked yet."),
    "nothing_selected": _("Select some text first."),
    "span_hint": _("Select with Shift and the arrows, then Enter."),
    "your_text": _("Your text"),
    "position": _("Question {n} of {all}"),
    "submitted": _("Submitted"),
    "skipped": _("Skipped"),
    "postponed": _("Put off; it comes again at the end."),
    "late": _("Kept, but not needed: your time had run out and somebody else was given the item."),
    "undo": _("Undo"),
    "draft_saved": _("Draft saved"),
    "draft_failed": _("The draft is not saved yet; trying again."),
    "restored": _("Your draft was kept."),
    "taken_back": _("Taken back; here it is again."),
    "sending": _("{n} not sent yet; trying again. Leave this page open."),
    "answer_missing": _("Answer “{title}”, or skip the item."),
    "invalid_answer": _("This answer does not fit: {title}"),
    "refused": _("It was not taken in."),
    "closed_session": _("You are logged out. Log in again; your draft is kept."),
    "nothing_to_undo": _("There is nothing to take back."),
    "no_question": _("No question of the task fits this item. Skip it."),
    "done": _("All done: nothing waits for you in this task."),
    "others": _("What is left is with others just now. Look again in a minute."),
    "paused": _("The task is paused."),
    "closed": _("The task is closed. Thank you."),
    "mine": _("{n} answered by you"),
    "again": _("Look again"),
    "no_guideline": _("There is no guideline yet."),
}


def said() -> dict[str, str]:
    """Return the words of this request's language."""
    return {name: str(text) for name, text in WORDS.items()}
