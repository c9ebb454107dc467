"""trial: blind tests, how far they are, and a decision counted anew."""

from __future__ import annotations

from typing import Any

import click

from cli.api import data_api
from cli.context import Context, pass_context, shared_options
from contract.errors import ThumbwheelError

COUNTED = ("wins", "losses", "ties", "none", "rate", "e_plus", "e_minus", "counted")


@click.group()
def trial() -> None:
    """Blind tests: what decides whether an adapter answers users."""


@trial.command("list")
@shared_options
@pass_context
def list_trials(context: Context) -> None:
    """List blind tests, newest first."""
    rows = [
        {**item, "needed": item["needed"]["picks"], "rate": _share(item["rate"])}
        for item in data_api(context.settings, context.project).get("/api/v1/support")["items"]
    ]
    context.table(
        rows, ("challenger", "baseline", "state", "n", "raters", "rate", "needed"),
        "No blind test yet: the trainer starts one for each adapter that passes its guards.",
    )  # fmt: skip


@trial.command("show")
@click.argument("adapter_id")
@click.option("--recount", is_flag=True, help="Count the decision anew; exit code 1 if it differs.")
@shared_options
@pass_context
def show_trial(context: Context, adapter_id: str, recount: bool) -> None:
    """Show an adapter's newest blind test, and what its decision was made on."""
    found = data_api(context.settings, context.project).get(f"/api/v1/trials/{adapter_id}")
    item = found["item"]
    lines = [
        f"{item['challenger']} against {item['baseline']}: {item['state']}",
        f"picks           {item['n']} decisive of {item['raters']} raters; a decision takes about "
        f"{item['needed']['picks']}",
    ]
    if not item.get("concealed"):
        low, high = item["interval"]
        lines += [
            f"support rate    {_share(item['rate'])} weighted by people, {low:.0%} to {high:.0%} at any moment",
            f"evidence        {item['e_plus']:.4g} for it, {item['e_minus']:.4g} against, of {item['needed']['e']:g}",
            f"reason          {item['reason']['key'].replace('_', ' ')}",
        ]
        lines += [f"not counted     {n} {why.replace('_', ' ')}" for why, n in (item["excluded"] or {}).items()]
    if recount:
        lines += _recounted(found)
    context.result(found, "\n".join(lines))
    if recount and found["decided"] and found["gone"] == 0 and _differing(found):
        raise ThumbwheelError(
            "recount_differs", f"The decision and the recount differ in {', '.join(_differing(found))}.",
            "The tables are made of the log: run `thumbwheel replay --verify`.",
        )  # fmt: skip


def _recounted(found: dict[str, Any]) -> list[str]:
    decided, counted = found["decided"], found["recount"]
    if decided is None:
        return ["recount         there is no decision by the rule to compare with"]
    if counted is None:
        return ["recount         the counts are hidden while the test runs"]
    lines = [f"decided on      {_counts(decided)}", f"recount         {_counts(counted)}"]
    if found["gone"]:
        lines.append(f"                {found['gone']} picks have been forgotten since; the decision stands")
    return lines


def _differing(found: dict[str, Any]) -> list[str]:
    decided, counted = found["decided"], found["recount"] or {}
    return [name for name in COUNTED if name in decided and name in counted and decided[name] != counted[name]]


def _counts(figures: dict[str, Any]) -> str:
    return ", ".join(
        f"{figures[name]:.4g} {name}" if isinstance(figures[name], float) else f"{figures[name]} {name}"
        for name in COUNTED
        if figures.get(name) is not None
    )


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


COMMANDS = (trial,)
