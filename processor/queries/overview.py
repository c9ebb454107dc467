"""The state of a project in figures: volume, approval, pairs, readiness to train, and which projects there are."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import duckdb

from processor.datasets.filters import EVALUATION_LABEL
from processor.queries.datasets import Datasets
from processor.queries.facts import list_adapters, list_runs
from processor.queries.pairs import pair_counts
from processor.queries.reading import Row, one, rows
from processor.queries.rejected import rejected_counts
from runtime.settings import Settings
from trials.intervals import wilson

# Widths of a bar of the volume chart, in seconds: the finest that needs at most MAX_BUCKETS bars.
WIDTHS = (60, 300, 900, 1800, 3600, 2 * 3600, 4 * 3600, 12 * 3600, 86_400, 7 * 86_400)
MAX_BUCKETS = 60
APPROVAL_BUCKETS = 12

_TOTALS = """
SELECT (SELECT count(*) FROM interactions WHERE project = $project AND described) AS interactions,
    (SELECT count(*) FROM interactions WHERE project = $project AND NOT described) AS orphans,
    (SELECT count(*) FROM feedback WHERE project = $project) AS feedback,
    (SELECT count(*) FROM demonstrations WHERE project = $project AND trainable) AS demonstrations,
    (SELECT count(*) FROM unpaired WHERE project = $project AND trainable) AS unpaired,
    (SELECT count(*) FROM prompt_duplicates WHERE project = $project) AS duplicate_prompts,
    (SELECT count(*) FROM conflicts WHERE project = $project) AS conflicts
"""
_FEEDBACK = """
SELECT type, state, count(*) AS n FROM feedback WHERE project = $project GROUP BY ALL ORDER BY type, state
"""
_SPAN = "SELECT min(received_at) AS first_at, max(received_at) AS last_at FROM events WHERE project = $project"
_VOLUME = """
SELECT time_bucket(to_seconds($width), received_at) AS at,
    count(*) FILTER (type = 'interaction') AS interactions, count(*) FILTER (type <> 'interaction') AS feedback
FROM events WHERE project = $project GROUP BY 1 ORDER BY 1 DESC LIMIT $take
"""
_APPROVAL = """
SELECT time_bucket(to_seconds($width), received_at) AS at, count(*) FILTER (value = 'up') AS up, count(*) AS n
FROM feedback WHERE project = $project AND type = 'thumb' AND state = 'vote' GROUP BY 1 ORDER BY 1 DESC LIMIT $take
"""
_THUMBS = """
SELECT count(*) FILTER (value = 'up') AS up, count(*) AS n FROM feedback
WHERE project = $project AND type = 'thumb' AND state = 'vote'
"""
# Rows that may train: those of evaluation prompts never do, so they are no reason to.
_FRESH = """
    FROM {table} r JOIN interactions i USING (interaction_key)
    WHERE r.project = $project AND r.trainable AND ($since::TIMESTAMP IS NULL OR r.received_at > $since::TIMESTAMP)
        AND NOT coalesce(len(list_filter(i.labels,
            lambda label: label = '{label}' OR starts_with(label, '{label}/'))) > 0, false)
"""
_IMPORTED = " AND i.via = 'import'"
_NEW = "SELECT " + ", ".join(
    f"(SELECT count(*) {_FRESH.format(table=table, label=EVALUATION_LABEL)}{extra}) AS {name}_{table}"
    for table in ("pairs", "unpaired", "demonstrations")
    for name, extra in (("new", ""), ("imported", _IMPORTED))
)
_BY_SOURCE = f"""
SELECT coalesce(i.source, '') AS source, count(*) AS pairs {_FRESH.format(table="pairs", label=EVALUATION_LABEL)}
GROUP BY 1 ORDER BY pairs DESC, 1
"""
_PROJECTS = """
SELECT project, count(*) AS events FROM events GROUP BY project
UNION ALL SELECT DISTINCT project, 0 FROM facts WHERE project NOT IN (SELECT project FROM events) ORDER BY project
"""


def stored_projects(cursor: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Return the projects that have something stored, with their number of events."""
    return {row["project"]: row["events"] for row in rows(cursor, _PROJECTS)}


def overview(
    cursor: duckdb.DuckDBPyConnection, project: str, datasets: Datasets, trials: Mapping[str, list[Row]]
) -> Row:  # fmt: skip
    """Return everything the overview shows; `trials` is `list_support`'s answer, as the reader may see it."""
    totals = one(cursor, _TOTALS, {"project": project}) or {}
    adapters = list_adapters(cursor, project)
    runs = list_runs(cursor, project)
    feedback = rows(cursor, _FEEDBACK, {"project": project})
    counts = pair_counts(cursor, project)
    volume, width = volume_series(cursor, project)
    rejected = rejected_counts(cursor, project)
    return {
        "project": project, **totals,
        "feedback_by_type": _sum_by(feedback, "type"), "feedback_by_state": _sum_by(feedback, "state"),
        "approval": approval(cursor, project),
        "pairs": {
            "total": sum(row["n"] for row in counts), "trainable": sum(row["n"] for row in counts if row["trainable"]),
            "by_kind": _sum_by([row for row in counts if row["trainable"]], "kind"),
            "not_trainable": _sum_by([row for row in counts if not row["trainable"]], "why_not"),
        },
        "champion": adapters["champion"], "challenger": adapters["challenger"],
        "adapters": len(adapters["items"]), "runs": len(runs), "last_run": runs[0] if runs else None,
        "datasets": len(datasets.folders()), "support": trials["items"][0] if trials["items"] else None,
        "comparisons": trials["comparisons"], "rejected": sum(row["n"] for row in rejected),
        "rejected_by_code": {row["code"]: row["n"] for row in rejected},
        "volume": volume, "volume_width_s": width,
    }  # fmt: skip


def _sum_by(found: list[Row], name: str) -> dict[str, int]:
    sums: dict[str, int] = {}
    for row in found:
        sums[row[name]] = sums.get(row[name], 0) + row["n"]
    return sums


def bucket_width(first: datetime, last: datetime, most: int = MAX_BUCKETS) -> int:
    """Return the width of a bucket in seconds, the finest of WIDTHS that covers the span with at most `most`."""
    span = (last - first).total_seconds()
    return next((width for width in WIDTHS if span / width < most - 1), WIDTHS[-1])


def volume_series(cursor: duckdb.DuckDBPyConnection, project: str) -> tuple[list[Row], int]:
    """Return (received interactions and feedback per bucket, oldest first; the bucket's width in seconds)."""
    span = one(cursor, _SPAN, {"project": project}) or {}
    if not span.get("first_at"):
        return [], WIDTHS[0]
    width = bucket_width(span["first_at"], span["last_at"])
    return rows(cursor, _VOLUME, {"project": project, "width": width, "take": MAX_BUCKETS})[::-1], width


def approval(cursor: duckdb.DuckDBPyConnection, project: str) -> Row:
    """Return thumbs up among all thumbs that count, with Wilson's interval, in all and per bucket."""
    total = one(cursor, _THUMBS, {"project": project}) or {"up": 0, "n": 0}
    span = one(cursor, _SPAN, {"project": project}) or {}
    series: list[Row] = []
    if total["n"]:
        width = bucket_width(span["first_at"], span["last_at"], APPROVAL_BUCKETS)
        series = rows(cursor, _APPROVAL, {"project": project, "width": width, "take": APPROVAL_BUCKETS})[::-1]
    return {**_share(total), "series": [{"at": row["at"], **_share(row)} for row in series]}


def _share(row: Row) -> Row:
    up, n = row["up"], row["n"]
    return {"up": up, "down": n - up, "n": n, "rate": up / n if n else None, "interval": wilson(up, n)}


def readiness(cursor: duckdb.DuckDBPyConnection, project: str, settings: Settings, datasets: Datasets) -> Row:
    """Return what has come since the data of the last finished run, and what the schedule waits for.

    `imported_*` are those of the `new_*` rows whose interaction an import brought.
    """
    runs = list_runs(cursor, project)
    finished = next((run for run in runs if run["state"] == "finished"), None)
    since = _data_until(cursor, project, finished)
    found: dict[str, Any] = one(cursor, _NEW, {"project": project, "since": since}) or {}
    adapters = list_adapters(cursor, project)
    return {
        "project": project, "champion": adapters["champion"], "challenger": adapters["challenger"], **found,
        "since": since, "last_run_at": runs[0]["started_at"] if runs else None,
        "running": next((run["run_id"] for run in runs if run["state"] == "running"), None),
        "by_source": {r["source"]: r["pairs"] for r in rows(cursor, _BY_SOURCE, {"project": project, "since": since})},
        "needed_pairs": settings.train_min_pairs, "train_every_days": settings.train_every_days,
        "train_on_import": settings.train_on_import,
    }  # fmt: skip


_BUILT = """
SELECT min(received_at) AS built_at FROM facts
WHERE project = $project AND type = 'dataset.built' AND subject = $dataset
"""


def _data_until(cursor: duckdb.DuckDBPyConnection, project: str, run: Row | None) -> datetime | None:
    """Return until when a run's data reached: when its dataset was built, else when it started."""
    if run is None:
        return None
    built = one(cursor, _BUILT, {"project": project, "dataset": run["dataset_id"]}) if run["dataset_id"] else None
    moment: datetime | None = (built and built["built_at"]) or run["started_at"]
    return moment.replace(tzinfo=None) if moment else None
