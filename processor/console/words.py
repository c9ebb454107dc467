"""Codes of the tables in the reader's language, and the one-line reading of each chart."""

from __future__ import annotations

from typing import Any

from flask_babel import LazyString, format_percent, gettext, lazy_gettext, ngettext

_ = lazy_gettext

WORDS: dict[str, LazyString] = {
    # feedback types
    "interaction": _("interaction"), "thumb": _("thumb"), "choice": _("choice"), "pick": _("pick"),
    "edit": _("edit"), "retract": _("undo"), "annotation": _("annotation"), "judgement": _("AI judgement"),
    "own": _("own reply"), "import": _("import"),
    # values and outcomes
    "up": _("thumb up"), "down": _("thumb down"), "chosen": _("chosen"), "tie": _("tie"), "none": _("none is good"),
    # states of feedback
    "vote": _("counts"), "superseded": _("replaced by a later vote"), "retracted": _("taken back"),
    "unmatched": _("names nothing shown"), "untrusted": _("not trusted"), "applied": _("undo in force"),
    "over_limit": _("over the limit"),
    # surfaces, actors, ways in
    "chat": _("chat"), "workbench": _("workbench"), "user": _("user"), "agent": _("agent"), "expert": _("expert"),
    "ai": _("AI"), "system": _("system"), "public": _("public key"), "secret": _("secret key"),
    "gateway": _("gateway"), "console": _("console"), "trainer": _("trainer"), "cli": _("command line"),
    # why a row does not train
    "truncated_prompt": _("prompt was shortened"), "tools": _("uses tools"), "not_text": _("more than text"),
    "no_prompt": _("no prompt"), "truncated": _("cut before its end"), "ai_feedback": _("an AI’s feedback"),
    "empty_reply": _("empty reply"), "truncated_reply": _("repeats a cut reply"), "kind": _("another kind of row"),
    "outvoted": _("others judged otherwise"), "agreeing": _("others judged the same, and one row trains"),
    "tied": _("as many judged otherwise"),
    "label_not_included": _("label not asked for"), "label_excluded": _("label left out"),
    "test_running": _("its blind test is undecided"), "before_since": _("received too early"),
    "evaluation_prompt": _("prompt kept for evaluation"), "over_max_rows": _("over the number of rows asked for"),
    "over_replay_share": _("over the share of replay"), "near_train": _("close to a row that trains"),
    "near_validation": _("close to a row that validates"),
    # why a run leaves a row out
    "refused_by_template": _("refused by the model’s chat template"), "prompt_too_long": _("prompt too long"),
    "same_reply": _("both replies are the same"), "no_weight": _("weighs nothing"),
    # bands and decisions of a blind test
    "not_enough_data": _("not enough data"), "no_progress": _("no progress"), "harmful": _("harmful"),
    "weak": _("weak"), "success": _("success"), "large_gain": _("large gain"), "running": _("running"),
    "promote": _("promote"), "reject": _("reject"), "before_registration": _("before the test began"),
    "after_end": _("after the test ended"), "not_counted": _("not a counted trial"), "unverified": _("not verified"),
    "unbalanced": _("unequal numbers of replies"), "unknown_training_set": _("training set unknown"),
    "trained_prompt": _("prompt was trained on"), "other_settings": _("other sampling settings"),
    "other_labels": _("not of the labels tested"), "repeated_prompt": _("a prompt this rater had already"),
    "unnamed": _("issued for nobody, once named raters count"), "frozen": _("changed where the counts are seen"),
    # adapters and runs
    "base": _("base model"), "registered": _("registered"), "challenger": _("challenger"), "held": _("held"),
    "rejected": _("rejected"), "promoted": _("promoted"), "rolled_back": _("rolled back"),
    "champion": _("champion"), "replaced": _("replaced"),
    "refused": _("wish refused"), "finished": _("finished"), "failed": _("failed"),
    # why a request was refused
    "origin_not_allowed": _("origin not among those of the key"), "invalid_key": _("key missing, unknown or revoked"),
    "invalid_body": _("body not as it should be"), "too_large": _("too large"),
    "unsupported_type": _("neither JSON nor text"), "rate_limited": _("too many at a time"),
    # campaigns
    "campaign_open": _("open"), "campaign_paused": _("paused"), "campaign_waiting": _("not begun"),
    "campaign_ended": _("ended"), "campaign_full": _("enough answers"),
    # datasets
    "preference": _("preference pairs"), "unpaired": _("single replies with a thumb"),
    "demonstration": _("demonstrations"), "train": _("train"), "validation": _("validation"), "test": _("test"),
    "description": _("another description"), "event": _("another content"),
}  # fmt: skip


def word(code: object) -> str:
    """Return a code in the reader's language, unknown codes as they are."""
    text = str(code or "")
    return str(WORDS[text]) if text in WORDS else text.replace("_", " ")


def reading_of(chart: str, figures: Any) -> str:
    """Return the one sentence that says what a chart shows."""
    return str(_READINGS[chart](figures))


def _volume(found: dict[str, Any]) -> Any:
    series = found["volume"]
    if not series:
        return gettext("Nothing has arrived yet.")
    busiest = max(series, key=lambda row: row["interactions"] + row["feedback"])
    return gettext(
        "%(interactions)s interactions and %(feedback)s feedback events so far; at most %(most)s in one bar.",
        interactions=found["interactions"], feedback=found["feedback"],
        most=busiest["interactions"] + busiest["feedback"],
    )  # fmt: skip


def _approval(found: dict[str, Any]) -> Any:
    if not found["n"]:
        return gettext("No thumbs yet.")
    low, high = found["interval"]
    return gettext(
        "%(rate)s of %(n)s thumbs are up; the true share lies between %(low)s and %(high)s (95%%).",
        rate=percent(found["rate"]), n=found["n"], low=percent(low), high=percent(high),
    )  # fmt: skip


def _pairs(found: dict[str, Any]) -> Any:
    return ngettext(
        "%(num)s pair can be trained on, of %(total)s derived.",
        "%(num)s pairs can be trained on, of %(total)s derived.",
        found["trainable"], total=found["total"],
    )  # fmt: skip


def _support(found: dict[str, Any] | None) -> Any:
    if found is None:
        return gettext("No adapter has been tested against its baseline yet.")
    if not found["n"]:
        return gettext(
            "The test of %(adapter)s has no decisive pick yet; it needs about %(picks)s of them.",
            adapter=found["challenger"], picks=found["needed"]["picks"],
        )  # fmt: skip
    if found["concealed"]:
        return gettext(
            "The test of %(adapter)s runs: %(n)s decisive picks so far. How it stands is shown once it is decided.",
            adapter=found["challenger"], n=found["n"],
        )  # fmt: skip
    low, high = found["interval"]
    return gettext(
        "%(adapter)s wins %(wins)s of %(n)s decisive picks (%(low)s to %(high)s at any moment): %(band)s.",
        adapter=found["challenger"], wins=found["wins"], n=found["n"], low=percent(low), high=percent(high),
        band=word(found["band"]),
    )  # fmt: skip


def _rejected(found: dict[str, int]) -> Any:
    total = sum(found.values())
    if not total:
        return gettext("No event was rejected.")
    code, most = max(found.items(), key=lambda item: item[1])
    return gettext(
        "%(total)s rejected; the most frequent reason is %(code)s (%(most)s).", total=total, code=code, most=most
    )


def _curve(run: dict[str, Any]) -> Any:
    losses = [row["loss"] for row in run["series"] if "loss" in row]
    if not losses:
        return gettext("No metrics have been reported yet.")
    return gettext(
        "Loss went from %(first)s to %(last)s over %(steps)s steps.",
        first=f"{losses[0]:.4g}", last=f"{losses[-1]:.4g}", steps=run["series"][-1]["step"],
    )  # fmt: skip


def percent(value: float) -> str:
    """Return 0.831 as "83%"."""
    return str(format_percent(value, "#,##0%"))


_READINGS = {
    "volume": _volume, "approval": _approval, "pairs": _pairs, "support": _support, "rejected": _rejected,
    "curve": _curve,
}  # fmt: skip
