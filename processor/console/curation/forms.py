"""Sentences about annotations and labels that pages say in the reader's language (`processor.console.sentences`)."""

from __future__ import annotations


def _(form: str) -> str:
    """Mark a form for the catalogues."""
    return form


FORMS = (
    # what refuses an annotation, a review, an adjudication or a note
    _("unit holds more than visible ASCII."),
    _("An adjudication without answers settles nothing."),
    _("A fix without answers mends nothing."),
    _("The note is empty."),
    _("It is skipped and answered at once."),
    _("The annotation says nothing."),
    _("ranking is no order of candidates."),
    _("A candidate's id is no id."),
    _("preference and its outcome disagree."),
    _("A tie has no strength."),
    _("preference.chosen is not among shown."),
    _("A span's text is not as long as the span."),
    _("A public key may not answer for a task."),
    _("A public key may not annotate as %(kind)s."),
    # what refuses a definition of a label
    _("No label %(path)s is defined."),
    _("%(path)s was never defined by %(event)s."),
    _("A label has no %(field)s."),
    _("There is a label %(path)s already."),
    _("The label is at version %(number)s by now."),
    _("There are answers of another kind."),
    _("%(choice)s is answered and cannot be removed."),
    _("A label's path is words joined by /."),
    _("There is nothing to choose from."),
    _("A label of this kind has no choices."),
    _("Give each its own."),
    _("Two choices share a key or a shortcut."),
    _("A rating needs a lowest and a highest value."),
    _("One reply cannot be compared with itself."),
    _("There is no other label %(path)s."),
    _("A label would stand below itself."),
    _("The labels would move in a circle."),
    _("No row %(id)s in project %(project)s."),
    _("Give the id of a pair, a demonstration or an unpaired row; the page of pairs names them."),
    # what to do about it
    _("See the list of labels."),
    _("See its history."),
    _("See the data API."),
    _("Choose another path."),
    _("Read it again, and change that."),
    _("Make a new label, and move or deprecate this one."),
    _("Archive the choice: it is no longer offered."),
    _("For example tone/polite; not beginning with @."),
    _("Give one choice or more that is not archived."),
    _("Use kind choice or multi."),
    _("For example min 1, max 5, step 1."),
    _("Use scope interaction or pair."),
    _("Define it first."),
    _("Choose another parent."),
    _("For example 5."),
)
