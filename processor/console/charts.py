"""Geometry of the charts: shares as percent strings for SVG, and the series uPlot draws."""

from __future__ import annotations

from collections.abc import Sequence

from flask_babel import gettext

from processor.console.words import name_of
from processor.queries.reading import Row, micros

# Metrics worth a curve of their own, in this order; others are shown in the table.
CURVES = (
    "loss", "eval_loss", "rewards/accuracies", "eval_rewards/accuracies", "rewards/margins", "eval_rewards/margins",
    "learning_rate", "grad_norm",
)  # fmt: skip
MAX_TABLE_ROWS = 200
MAX_POINTS = 500


def percent(value: float, low: float = 0.0, high: float = 1.0) -> str:
    """Return where a value lies between low and high, as an SVG percentage."""
    place = (value - low) / (high - low) if high > low else 0.0
    return f"{100 * min(1.0, max(0.0, place)):.2f}%"


def volume_chart(series: Sequence[Row], width_s: int) -> Row:
    """Return what static/charts.js draws: interactions and feedback per bucket (Unix seconds), empty ones as 0."""
    found = {micros(row["at"]) // 1_000_000: row for row in series}
    times = list(range(min(found), max(found) + width_s, width_s))[-MAX_POINTS:] if found else []
    nothing = {"interactions": 0, "feedback": 0}
    return {
        "kind": "bars", "time": True, "width": width_s,
        "names": [gettext("Interactions"), gettext("Feedback")],
        "data": [
            times,
            [found.get(at, nothing)["interactions"] for at in times],
            [found.get(at, nothing)["feedback"] for at in times],
        ],
    }  # fmt: skip


def curve_charts(series: Sequence[Row]) -> list[tuple[str, Row]]:
    """Return (metric, chart) for every metric of a run worth a curve, lines over steps."""
    found = []
    for name in CURVES:
        points = [(row["step"], row[name]) for row in series if name in row]
        if points:
            data = [[step for step, _ in points], [value for _, value in points]]
            label = name_of(name)
            found.append((label, {"kind": "line", "time": False, "x": gettext("Step"), "names": [label], "data": data}))
    return found


def curve_table(series: Sequence[Row]) -> tuple[list[str], list[Row]]:
    """Return (columns, rows) of the table twin; a long run is thinned evenly, its last step always kept."""
    names = {name for row in series for name in row} - {"step", "at"}
    columns = [name for name in CURVES if name in names] + sorted(names - set(CURVES))
    if len(series) <= MAX_TABLE_ROWS:
        return columns, list(series)
    every = -(-len(series) // MAX_TABLE_ROWS)
    return columns, [*series[:-1:every], series[-1]]


def approval_points(series: Sequence[Row]) -> list[Row]:
    """Return the buckets with their place on the time axis (0..1)."""
    found: list[Row] = []
    for index, row in enumerate(series):
        low, high = row["interval"]
        found.append({**row, "x": (index + 0.5) / len(series), "low": low, "high": high})
    return found


def bucket_format(width_s: int) -> str:
    """Return how the times of a chart are written: hours within a day, days otherwise."""
    return "MM-dd HH:mm" if width_s < 86_400 else "yyyy-MM-dd"


def bar_rows(counts: dict[str, int]) -> list[Row]:
    """Return counts as bars, the longest first and full."""
    most = max(counts.values(), default=0)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [{"code": code, "n": n, "share": n / most if most else 0.0} for code, n in ordered]
