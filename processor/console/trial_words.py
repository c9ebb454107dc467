"""How a blind test stands, and why, in the reader's language: an item of `list_support` in, sentences out."""

from __future__ import annotations

from typing import Any

from flask_babel import gettext, ngettext

from processor.console.words import percent


def standing(item: dict[str, Any]) -> str:
    """Return one sentence that says how far a test is: picks, people, what is missing; never who is ahead."""
    picks = ngettext("%(num)s decisive pick", "%(num)s decisive picks", item["n"])
    people = ngettext("%(num)s rater", "%(num)s raters", item["raters"])
    so_far = str(gettext("%(picks)s of %(people)s so far.", picks=picks, people=people))
    if item["state"] != "running":
        return str(gettext("%(picks)s of %(people)s were counted.", picks=picks, people=people))
    more = item["needed"]["more"]
    if more is None:
        return so_far + " " + str(gettext("A usual test would have ended by now: the two may be about equally good."))
    raters = ngettext("%(num)s person", "%(num)s people", max(1, item["raters"]))
    return so_far + " " + str(gettext("Needs about %(more)s more picks of %(raters)s.", more=more, raters=raters))


def why(item: dict[str, Any]) -> str:
    """Return the sentence for the rule's reason; empty where the reader may not know it."""
    reason = item.get("reason")
    if not reason:
        return ""
    made = _SENTENCES[reason["key"]](reason)
    return str(made)


def _won(r: dict[str, Any]) -> Any:
    return gettext(
        "The challenger won: weighted by people, it is preferred in %(rate)s of decisive picks.", rate=_rate(r)
    )


def _lost(r: dict[str, Any]) -> Any:
    return gettext(
        "The challenger lost: weighted by people, it is preferred in %(rate)s of decisive picks.", rate=_rate(r)
    )


def _too_few(r: dict[str, Any]) -> Any:
    return gettext("No decision before %(n)s decisive picks.", n=int(r["min_picks"]))


def _undecided(r: dict[str, Any]) -> Any:
    return gettext("The picks so far are explained by chance, or by one of the raters.")


def _small(r: dict[str, Any]) -> Any:
    return gettext(
        "The challenger is ahead, but its rate of %(rate)s is below the %(least)s that promote.",
        rate=_rate(r), least=percent(r["min_rate"]),
    )  # fmt: skip


def _waiting(r: dict[str, Any]) -> Any:
    return gettext(
        "One side is ahead, but the others than the busiest rater gave %(others)s decisive picks, and a decision needs "
        "%(needed)s: nobody decides alone. Without them the test is held after %(days)s days.",
        others=int(r["others"]), needed=int(r["min_others"]), days=f"{r['rater_wait_days']:g}",
    )  # fmt: skip


def _one_won(r: dict[str, Any]) -> Any:
    return gettext(
        "Won for one rater only: the others gave %(others)s decisive picks, and a decision needs %(needed)s. "
        "Who may decide about models can promote it by name.",
        others=int(r["others"]), needed=int(r["min_others"]),
    )  # fmt: skip


def _one_lost(r: dict[str, Any]) -> Any:
    return gettext(
        "Lost for one rater only: the others gave %(others)s decisive picks, and a decision needs %(needed)s.",
        others=int(r["others"]), needed=int(r["min_others"]),
    )  # fmt: skip


def _picks(r: dict[str, Any]) -> Any:
    return gettext("Held: undecided after %(n)s decisive picks, as many as a test may take.", n=int(r["max_picks"]))


def _time(r: dict[str, Any]) -> Any:
    return gettext("Held: undecided after %(days)s days.", days=f"{r['trial_days']:g}")


def _rate(r: dict[str, Any]) -> str:
    return percent(r["rate"]) if "rate" in r else "–"


_SENTENCES = {
    "won": _won, "lost": _lost, "too_few_picks": _too_few, "undecided": _undecided, "gain_too_small": _small,
    "waiting_for_others": _waiting, "won_for_one_rater": _one_won, "lost_for_one_rater": _one_lost,
    "picks_used_up": _picks, "time_used_up": _time,
}  # fmt: skip
