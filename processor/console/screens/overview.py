"""Overview: the state of the project on one page."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, g, render_template

from processor.console import access, charts
from processor.console.permissions import needs
from processor.console.services import datasets, project, reading, services
from processor.console.watching import for_caller
from processor.queries import overview
from processor.queries.facts import find_run, list_adapters, list_runs
from processor.queries.reading import Row
from processor.queries.rejected import list_refused
from processor.queries.trials import list_support

blueprint = Blueprint("overview", __name__)
SHOWN_TESTS = 4
SHOWN_CHANGES = 8
SHOWN_REFUSED = 3


@blueprint.get("/")
@needs("console.enter")
def show() -> Any:
    """Show the overview, or what to do first where nothing has arrived."""
    if not g.user.may("overview.read"):
        return render_template("waiting.html")
    settings = services().settings
    with reading() as cursor:
        trials = for_caller(list_support(cursor, project(), settings, datasets()))
        found = overview.overview(cursor, project(), datasets(), trials)
        ready = overview.readiness(cursor, project(), settings, datasets())
        adapters = list_adapters(cursor, project())
        runs = list_runs(cursor, project())
        run = find_run(cursor, project(), runs[0]["run_id"]) if runs else None
    if not (found["interactions"] or found["feedback"] or found["orphans"] or adapters["items"]):
        with reading() as cursor:
            refused = list_refused(cursor, project(), unknown=True)
        others = {name: n for name, n in access.known_projects().items() if n and name != project()}
        return render_template(
            "overview_empty.html", found=found, others=others, settings=settings, refused=refused[:SHOWN_REFUSED]
        )
    return render_template(
        "overview.html", found=found, ready=ready, tests=trials["items"][:SHOWN_TESTS],
        comparisons=trials["comparisons"], volume=charts.volume_chart(found["volume"], found["volume_width_s"]),
        approval_points=charts.approval_points(found["approval"]["series"]),
        time_form=charts.bucket_format(found["volume_width_s"]), run=run,
        curve=charts.curve_charts(run["series"])[:1] if run else [],
        kinds=charts.bar_rows(found["pairs"]["by_kind"]), left_out=charts.bar_rows(found["pairs"]["not_trainable"]),
        rejected=charts.bar_rows(found["rejected_by_code"]), changes=timeline(adapters["items"])[:SHOWN_CHANGES],
    )  # fmt: skip


def timeline(items: list[Row]) -> list[Row]:
    """Return what happened to all adapters, newest first."""
    changes = [
        {"adapter_id": item["adapter_id"], **change}
        for item in items
        for change in (*item["history"], *item["refused"])
    ]
    return sorted(changes, key=lambda change: (change["at"], change["alias_version"]), reverse=True)
