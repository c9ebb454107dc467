"""Sentences that arrive as English text, in the reader's language: errors, reasons of the trainer, limits of guards.

The log and the errors hold one English sentence each, which programs, logs and the command line read too. A page knows
its form and says it in the reader's language; what has no known form, such as a reason that a person wrote, stays.

A form is a message of the catalogues. Its blanks: `said_` holds a sentence, `list_` sentences with "; " between them,
`word_` a code of `words`, `name_` a name of it, `counts_` such codes each with a number, `codes_` names and `states_`
states with ", " between them, `either_` codes with " or " between them; any other stays as it is.
"""

from __future__ import annotations

import re
from functools import cache

from flask_babel import gettext

from processor.console.forms.curation import FORMS as curation
from processor.console.forms.elsewhere import FORMS as elsewhere
from processor.console.training.forms import FORMS as tuning
from processor.console.words import WORDS, name_of, word


def _(form: str) -> str:
    """Mark a form for the catalogues."""
    return form


# Two parts, each a sentence of its own.
_COMPOSED = (
    _("%(said_problem)s  hint: %(said_hint)s"),
    _("%(said_problem)s - at `%(place)s`"),
)

# What refuses an event; the last of them are how msgspec, which reads it, words a wrong field.
_EVENTS = (
    _("The event is nested too deeply."),
    _("The JSON is nested too deeply."),
    _("A text holds a NUL or half a surrogate pair."),
    _("A whole number needs more than 64 bits."),
    _("event_id is not a UUID."),
    _("occurred_at has no time zone."),
    _("occurred_at is outside the years 1 to 9999."),
    _("context is too large."),
    _("target is not an event id."),
    _("Two candidates share an id."),
    _("order does not name the candidates."),
    _("shown names a candidate twice."),
    _("chosen is not among shown."),
    _("chosen is set although nothing was chosen."),
    _("Not a stored event: %(said_why)s"),
    _("The event has %(bytes)s bytes."),
    _("An event is a JSON object."),
    _("Not valid JSON: %(said_why)s"),
    _("Unknown event type %(type)s."),
    _("This actor sends too much."),
    _("This key may not write %(type)s events."),
    _("The record has no %(name)s."),
    _("An SDK gave up 1 event before they could be sent: %(counts_reasons)s."),
    _("An SDK gave up %(number)s events before they could be sent: %(counts_reasons)s."),
    _("Expected %(wanted)s of length <= %(limit)s"),
    _("Expected %(wanted)s of length >= %(limit)s"),
    _("Expected %(wanted)s <= %(limit)s"),
    _("Expected %(wanted)s >= %(limit)s"),
    _("Expected %(wanted)s < %(limit)s"),
    _("Expected %(wanted)s > %(limit)s"),
    _("Expected %(wanted)s matching regex %(pattern)s"),
    _("Expected %(wanted)s, got %(given)s"),
    _("Object missing required field %(name)s"),
    _("Object contains unknown field %(name)s"),
    _("Invalid enum value %(value)s"),
    _("Invalid value %(value)s"),
    _("Invalid UUID"),
    _("Invalid RFC3339 encoded datetime"),
    _("Input data was truncated"),
    _("JSON is malformed: %(said_why)s (byte %(byte)s)"),
    _("invalid character"),
    _("trailing characters"),
    _("object keys must be strings"),
    _("invalid number"),
    _("number out of range"),
    _("invalid escape character in string"),
    _("expected %(quoted)s or %(other)s"),
    _("expected %(quoted)s"),
    _("'utf-8' codec can't decode byte %(byte)s in position %(position)s: %(said_why)s"),
    _("invalid start byte"),
    _("invalid continuation byte"),
    _("unexpected end of data"),
)

# Why two events, or two contents of one, cannot both count.
_CONFLICTS = (
    _("%(word_type)s via %(word_via)s described it too"),
    _("differs in %(fields)s"),
)

# What the console itself refuses, or cannot do, with what to do about it.
_CONSOLE = (
    _("See the list of tasks."),
    _("The task asks people of another tier than %(word_tier)s."),
    _("Ask a manager."),
    _("The task asks nobody of the crowd."),
    _("Give it a stage whose tier is crowd."),
    _("This link is for another task."),
    _("Open the link again."),
    _("This link is not open any more."),
    _("Ask whoever gave it to you for another."),
    _("A link cannot last so long."),
    _("Use 1 to %(most)s days."),
    _("So many links cannot be made."),
    _("Send whole numbers: days, and count from 1 to %(most)s."),
    _("%(given)s is no whole number."),
    _("No interaction %(id)s in project %(project)s."),
    _("No adapter %(id)s."),
    _("No adapter %(id)s in project %(project)s."),
    _("No run %(id)s in project %(project)s."),
    _("No dataset %(id)s."),
    _("Project %(project)s has no campaign %(id)s."),
    _("Project %(project)s has no dataset %(id)s."),
    _("Interaction %(id)s has no vote %(vote)s."),
    _("See its feedback history."),
    _("The vote %(vote)s does not count any more."),
    _("Nothing needs to be taken back."),
    _("Keep it within %(bytes)s bytes."),
    _("See the list of adapters."),
    _("See the list of runs."),
    _("See the list of datasets."),
    _("Feedback reaches the tables about a second after it was accepted."),
    _("See the list."),
    _("List them first."),
    _("Check the address."),
    _("Use another method."),
    _("Send at most %(bytes)s bytes."),
    _("Send Content-Type: application/json."),
    _("There is no such page."),
    _("The page does not take this method."),
    _("What was sent is too large."),
    _("What was sent cannot be understood."),
    _("The console failed to answer."),
    _("See the processor's log."),
    _("The control store cannot be reached."),
    _("Try again in a moment."),
    _("Try again."),
    _("The request came from another site."),
    _("Use the console's own pages."),
    _("The form is out of date."),
    _("Reload the page and send it again."),
    _("%(name)s is %(word_role)s, who may not do this (%(permission)s)."),
    _("It takes the role %(either_roles)s. Ask an admin."),
    _("%(id)s was under no blind test."),
    _("See the list of blind tests."),
    _("Ask an admin for it."),
    _("The cursor is not one of ours."),
    _("The cursor's item is gone."),
    _("Use `next` of the page before."),
    _("Read from the start."),
    _("limit=%(given)s is not possible."),
    _("Use 1 to %(most)s."),
    _("%(given)s is no number."),
    _("%(given)s is no whole number."),
    _("%(given)s is out of range."),
    _("%(given)s is no day."),
    _("For example %(example)s."),
    _("It ends before it starts."),
    _("A campaign has name, surface, and as you like label, scenario, question, rate, quota, cooldown_s, times."),
    _("The filters are wrong: %(said_why)s"),
    _("See the dataset reference."),
    _("No row is left to train on."),
    _("Left out: %(counts_reasons)s."),
    _("Collect picks, thumbs or edits first."),
    _("The tables need more memory: %(why)s"),
    _("Raise THUMBWHEEL_PROCESSOR_MEMORY. No event is lost: the log has them."),
    _("%(file)s is damaged: %(said_why)s"),
    _("%(file)s cannot be opened: %(said_why)s"),
    _("Corrupt database file: computed checksum %(found)s does not match stored checksum %(wanted)s in %(place)s"),
    _("Move it aside: the next start makes it again from the log."),
    _("DuckDB stopped: %(said_why)s"),
    _("DuckDB could not commit: %(said_why)s"),
    _("The process ends and starts again."),
    _("The log cannot be read: %(why)s"),
    _("The log did not confirm the write."),
    _("The last commit failed: %(why)s"),
    _("Check the disk's free space."),
    _("Kafka at %(address)s cannot be reached: %(said_why)s."),
    _("Kafka at %(address)s does not answer: %(why)s"),
    _("The brokers have not answered yet."),
    _("nothing listens there"),
    _("it refused the user or the password"),
    _("its certificate is not trusted"),
    _("Check the address and that the broker runs; a wrong user, password or TLS setting may look the same."),
    _("Check that the brokers run and that the user may read and write the topics."),
    _("Check sasl_plain_username and sasl_plain_password."),
    _("Name the authority that signed it: ssl_cafile=/path/ca.pem."),
    _("The tables are being opened."),
    _("After an upgrade they are made again first, from the log."),
    _("Kafka did not acknowledge the last records."),
    _("The disk of the tables is full: %(said_why)s"),
    _("The disk of the log is full: %(said_why)s"),
    _("No space left on device"),
    _("Free some disk space."),
    _("Free some disk space. No event is lost: the log has them."),
)

# What the trainer writes beside its decisions, and why a run failed.
_TRAINER = (
    _("Stage %(place)s: %(objective)s on %(rows)s rows of the kind %(word_kind)s."),
    _("Each stage continues the adapter of the one before, which is also what it is compared with."),
    _("No kind of feedback has enough rows for a stage of its own, so the largest trains alone."),
    _("No %(objective)s: %(rows)s rows of the kind %(word_kind)s, and it takes %(least)s."),
    _(
        "No %(objective)s: thumbs up and down are so unequal that %(counted)s of %(rows)s rows count, and it takes "
        "%(least)s."
    ),
    _("%(rows)s rows of the kind %(word_kind)s are left out: %(times)s times those of the others are enough."),
    _("%(rows)s rows of the source %(source)s are left out: %(times)s times those of the others are enough."),
    _("%(rows)s rows of no named source are left out: %(times)s times those of the others are enough."),
    _("Won its blind test: %(wins)s of %(n)s decisive picks for it."),
    _("Lost its blind test: %(wins)s of %(n)s decisive picks for it."),
    _("Undecided after %(n)s decisive picks: %(wins)s for it."),
    _("%(wins)s of %(n)s decisive picks for it so far."),
    _("one rater"),
    _("%(number)s raters"),
    _("Won its blind test: %(wins)s of %(n)s decisive picks for it, by %(said_people)s."),
    _("Lost its blind test: %(wins)s of %(n)s decisive picks for it, by %(said_people)s."),
    _("Undecided after as many picks as a test may take: %(wins)s of %(n)s decisive picks for it, by %(said_people)s."),
    _("Undecided after %(days)s days: %(wins)s of %(n)s decisive picks for it, by %(said_people)s."),
    _(
        "Won for one rater only: %(wins)s of %(n)s decisive picks for it, by %(said_people)s; %(others)s of the "
        "others, and a decision needs %(least)s. Who manages models may promote it by name."
    ),
    _(
        "Lost for one rater only: %(wins)s of %(n)s decisive picks for it, by %(said_people)s; %(others)s of the "
        "others, a decision needs %(least)s."
    ),
    _("%(wins)s of %(n)s decisive picks for it, by %(said_people)s so far."),
    _("Held by its guards. %(list_reasons)s"),
    _("%(adapter)s takes its place."),
    _("%(adapter)s was promoted by a person."),
    _("Promoted by a person."),
    _("Withdrawn by a person."),
    _("Rolled back by a person."),
    _("Its baseline was rolled back."),
    _("The next run was asked for before its test was decided."),
    _("%(adapter)s is neither champion nor under test."),
    _("The test of %(adapter)s was decided before the wish arrived."),
    _("%(adapter)s is the champion already."),
    _("The base is the champion."),
    _("%(adapter)s is under test."),
    _("The trainer ended %(times)s times during this run."),
    _("The training process is gone."),
    _("The training process was ended by signal %(signal)s."),
    _("The training process ended with exit code %(code)s."),
    _("The run made the same weights as %(adapter)s, which was registered before."),
    _("The adapter in %(folder)s cannot be continued: %(why)s"),
    _("%(number)s weights of the adapter in %(folder)s do not fit the base model."),
    _("The dataset %(id)s cannot be read: %(why)s"),
    _("The dataset %(id)s has no %(word_rows)s rows to train %(method)s on."),
    _("The dataset %(id)s holds nothing to train on."),
    _("The run %(id)s is marked as done and cannot be read: %(why)s."),
    _("No demonstration is left to train on (%(counts_reasons)s)."),
    _("No pair is left to train on (%(counts_reasons)s)."),
    _("No thumb is left to train on (%(counts_reasons)s)."),
    _("Collect more thumbs."),
    _("This model reads text only."),
    _("Send text parts."),
    _("trial_labels=%(given)s is no list of labels."),
    _("Write %(example)s."),
    _("KTO needs thumbs up and thumbs down; there are %(up)s and %(down)s."),
    _("Training changed no weight."),
    _("The adapter %(adapter)s is the remote model %(model)s: its weights are not here."),
    _("No model in the folder %(folder)s."),
    _("The base model %(model)s cannot be had: %(why)s."),
    _("The demo model is not installed."),
    _("The model in %(folder)s has no chat template."),
    _("The base model has no end token."),
    _("Unknown setting %(name)s."),
    _("%(given)s is no object of settings."),
    _("%(name)s=%(given)s is none of the choices."),
    _("%(name)s=%(given)s is outside %(low)s..%(high)s."),
    _("Unknown method %(name)s."),
    _("Unknown tuning %(name)s."),
    _("epochs=%(given)s is outside 0..3."),
    _("%(name)s=%(given)s is malformed."),
    _("%(name)s=%(given)s must be positive."),
    _("Nothing to do."),
    _("Nothing to take back."),
    _("Roll it back now."),
    _("Hold it first."),
    _("There is nothing to roll back."),
    _("Build it again."),
    _("Train again."),
    _("Collect more feedback before the next run."),
    _("Collect more edits."),
    _("Raise the setting max_length, which is %(now)s."),
    _("Collect more picks."),
    _("Collect both kinds."),
    _("Collect picks, thumbs up and down, or edits."),
    _("Use --method auto, or build a dataset with other kinds."),
    _("Train from the base instead: thumbwheel train --from base."),
    _("It was trained on another base."),
    _("Raise lr, or give it more rows."),
    _("Name an adapter that was trained here, or the base."),
    _("The folder needs config.json and the weights."),
    _("Use an instruct model."),
    _("Run: %(command)s, or set THUMBWHEEL_BASE_MODEL."),
    _("Set THUMBWHEEL_BASE_MODEL to a local folder, a reachable Hugging Face id, or demo."),
    _("Set eos_token_id in its config."),
    _("Known: %(codes_names)s."),
    _("Use %(codes_names)s."),
    _("Use at most 3."),
    _("It looks like %(example)s."),
    _("Serve-able adapters stay within it."),
)

# What a guard lets pass, and one that let nothing pass.
_GUARDS = (
    _("%(name_guard)s: %(value)s against %(base)s of the base (limit: %(said_limit)s)"),
    _("at most %(factor)s x base"),
    _("at least %(factor)s x base"),
    _("%(low)s to %(high)s x base"),
    _("at most base + %(points)s"),
    _("at least base - %(points)s"),
    _("at most %(share)s"),
    _("not clearly below base - %(points)s"),
    _("not clearly below chance, on %(rows)s held-out comparisons"),
    _("a logit moved by at least %(change)s"),
    _("saved copy within %(difference)s of the trained model"),
    _("not measured: it needs the model's weights"),
)

FORMS = (*_COMPOSED, *_EVENTS, *_CONFLICTS, *_CONSOLE, *_TRAINER, *tuning, *_GUARDS, *curation, *elsewhere)
# "code 3, other 4", and a dict of the same.
_COUNT = re.compile(r"(\w+)'?:? (\d+)")
# What a blank of a kind can hold; those of other kinds hold anything.
_HOLDS = {"word": r"\w+", "name": r"\w+", "codes": r"[\w./-]+(?:, [\w./-]+)*", "states": r"\w+(?:, \w+)*"}
_BLANK = re.compile(r"%\((\w+)\)s")


def said(text: object) -> str:
    """Return a sentence in the reader's language; one of no known form as it is."""
    sentence = str(text or "")
    found = _in_a_known_form(sentence)
    if found is None and sentence.endswith("."):
        found = _in_a_known_form(sentence[:-1])
        return sentence if found is None else f"{found}{gettext('.')}"
    return sentence if found is None else found


def _in_a_known_form(sentence: str) -> str | None:
    for form, pattern in _patterns():
        if match := pattern.fullmatch(sentence):
            blanks = {name: _filled(name, value) for name, value in match.groupdict().items()}
            return str(gettext(form, **blanks)) if blanks else str(gettext(form))
    return None


def _kind(blank: str) -> str:
    return blank.partition("_")[0] if "_" in blank else ""


def _filled(name: str, value: str) -> str:
    kind = _kind(name)
    if kind == "said":
        return said(value)
    if kind == "word":
        return word(value)
    if kind == "name":
        return name_of(value)
    if kind == "states":
        return str(gettext(", ")).join(map(_state, value.split(", ")))
    if kind == "either":
        return str(gettext(" or ")).join(word(code) for code in value.split(" or "))
    if kind == "list":
        return str(gettext("; ")).join(said(one) for one in value.split("; "))
    if kind == "counts":
        return str(gettext(", ")).join(f"{word(code)} {number}" for code, number in _COUNT.findall(value))
    return value


def _state(code: str) -> str:
    """Return the state of an item or a task, whatever kind of thing it is a state of."""
    return word(next((name for kind in ("item", "task") if (name := f"{kind}_{code}") in WORDS), code))


@cache
def _patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    """Return (form, what it matches), the composed ones first, then those that say the most."""
    by_length = sorted(FORMS, key=lambda form: (form not in _COMPOSED, -len(_BLANK.sub("", form))))
    return tuple((form, _pattern(form)) for form in by_length)


def _pattern(form: str) -> re.Pattern[str]:
    parts = _BLANK.split(form)
    blanks = {part: _HOLDS.get(_kind(part), ".+?") for part in parts[1::2]}
    found = [re.escape(part) if n % 2 == 0 else f"(?P<{part}>{blanks[part]})" for n, part in enumerate(parts)]
    return re.compile("".join(found), re.DOTALL)
