"""The report of a demo: lines for a terminal, and one HTML file with charts that needs nothing else."""

from __future__ import annotations

import html
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cli.demo.turn import TurnReport

_STYLE = """
:root{color-scheme:light dark;--ink:#1c2733;--soft:#5b6b7a;--line:#d5dde5;--paper:#fff;--accent:#1f6f8b;
--second:#a2542a}
@media(prefers-color-scheme:dark){:root{--ink:#e4ebf1;--soft:#9fb0bf;--line:#364452;--paper:#151c23;--accent:#5db7d6;
--second:#e09a6b}}
body{font:16px/1.55 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:60rem;margin:2rem auto;
padding:0 1rem}h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2.2rem}table{border-collapse:collapse;margin:.6rem 0}
td,th{border-bottom:1px solid var(--line);padding:.25rem .9rem .25rem 0;text-align:left;
font-variant-numeric:tabular-nums}
th{font-weight:600}svg{display:block;max-width:100%;height:auto}
.soft{color:var(--soft)}text{fill:var(--soft);font-size:12px}
"""


def support_line(item: dict[str, Any] | None) -> str:
    """Return a support rate as people read it: share, counts, interval, band."""
    if not item or item.get("rate") is None:
        return "no decisive picks"
    low, high = item["interval"]
    evidence = f", e-value {item['e_value']:.3g}" if item.get("e_value") is not None else ""
    raters = item.get("raters") or 0
    people = f", {raters} raters" if raters > 1 else ""
    return (
        f"{item['rate']:.0%} ({item['wins']} of {item['n']}, ties {item['ties']}, interval {low:.0%} to {high:.0%}"
        f"{evidence}, {item['band']}{people})"
    )


def terminal_lines(turns: Sequence[TurnReport], comparison: dict[str, Any] | None) -> list[str]:
    """Return the report as lines without colour."""
    lines = []
    for turn in turns:
        lines += ["", f"Turn {turn.number}: {turn.decision}" + (f" ({turn.reason})" if turn.reason else "")]
        lines += [f"  {name:<18}{value}" for name, value in _facts(turn)]
    return [*lines, "", _closing(turns, comparison)]


def _closing(turns: Sequence[TurnReport], comparison: dict[str, Any] | None) -> str:
    return f"Support after {len(turns)} turn{'s' if len(turns) != 1 else ''}: {after(turns, comparison)}"


def after(turns: Sequence[TurnReport], comparison: dict[str, Any] | None) -> str:
    """Return what the comparison of champion and base says."""
    if comparison is None:
        return "the base is still the champion; nothing to compare"
    return f"{comparison['challenger']} against the base, {support_line(comparison)}"


def _facts(turn: TurnReport) -> list[tuple[str, str]]:
    picks, found = turn.picks, []
    if picks:
        found.append(("picks", f"{picks['chosen']} decisive, {picks['tie']} ties, {picks['edits']} edited, "
                               f"{picks['thumbs']} thumbs, {picks['retracted']} taken back"))  # fmt: skip
    if turn.dataset:
        counts = turn.dataset.get("counts", {}).get("preference", {})
        found.append(("pairs", ", ".join(f"{split} {count}" for split, count in counts.items())))
    losses = [point["loss"] for point in turn.run.get("series", []) if isinstance(point.get("loss"), int | float)]
    if losses:
        found.append(("loss", f"{losses[0]:.3f} at the first step, {losses[-1]:.3f} at the last"))
    found += [(name, _shown(value)) for name, value in _measures(turn.run.get("metrics") or {})]
    if turn.support:
        found.append(("support rate", support_line(turn.support)))
    seconds = ", ".join(f"{name} {value:.0f} s" for name, value in turn.seconds.items())
    found.append(("time", f"{seconds}; {sum(turn.seconds.values()):.0f} s in all"))
    return found


def _measures(metrics: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Return a run's closing figures, nested ones with their path."""
    found: list[tuple[str, Any]] = []
    for name, value in metrics.items():
        if isinstance(value, dict):
            found += _measures(value, f"{prefix}{name}.")
        elif isinstance(value, int | float | bool | str):
            found.append((f"{prefix}{name}", value))
    return found


def _shown(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def write_html(path: Path, title: str, turns: Sequence[TurnReport], comparison: dict[str, Any] | None) -> Path:
    """Write the report as one HTML file and return its path; all text is escaped."""
    parts = [
        f"<h1>{html.escape(title)}</h1>",
        f"<p>{html.escape(_closing(turns, comparison))}</p>",
    ]
    items = [(f"Turn {turn.number}", turn.support) for turn in turns if turn.support]
    items += [("Champion against base", comparison)] if comparison else []
    if items:
        parts += ["<h2>Support rate</h2>", interval_chart(items)]
    for turn in turns:
        reason = f" ({turn.reason})" if turn.reason else ""
        parts.append(f"<h2>Turn {turn.number}: {html.escape(turn.decision + reason)}</h2>")
        rows = "".join(f"<tr><th>{html.escape(n)}</th><td>{html.escape(v)}</td></tr>" for n, v in _facts(turn))
        parts.append(f"<table>{rows}</table>")
        points = [(p["step"], p["loss"]) for p in turn.run.get("series", []) if isinstance(p.get("loss"), int | float)]
        if len(points) > 1:
            parts.append(line_chart(points, "Loss by step"))
    body = "\n".join(parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{_STYLE}</style><body>{body}"
        f"<p class=soft>Written {time.strftime('%Y-%m-%d %H:%M')}</p></body></html>\n",
        "utf-8",
    )
    return path


def interval_chart(items: Sequence[tuple[str, dict[str, Any] | None]]) -> str:
    """Return an SVG with each rate as a dot and its interval as a bar, from 0 to 100 %, chance marked."""
    width, left, row = 720, 190, 34
    height = row * len(items) + 34

    def x(share: float) -> float:
        return left + share * (width - left - 20)

    marks = [
        f'<line x1="{x(share):.0f}" x2="{x(share):.0f}" y1="6" y2="{height - 24}" stroke="var(--line)"/>'
        f'<text x="{x(share):.0f}" y="{height - 6}" text-anchor="middle">{share:.0%}</text>'
        for share in (0, 0.25, 0.5, 0.75, 1)
    ]
    bars = []
    for index, (name, item) in enumerate(items):
        y = row * index + 24
        bars.append(f'<text x="0" y="{y + 4}">{html.escape(name)}</text>')
        if not item or item.get("rate") is None:
            continue
        low, high = item["interval"]
        bars.append(
            f'<line x1="{x(low):.1f}" x2="{x(high):.1f}" y1="{y}" y2="{y}" stroke="var(--accent)" stroke-width="4"/>'
        )
        bars.append(f'<circle cx="{x(item["rate"]):.1f}" cy="{y}" r="6" fill="var(--accent)"/>')
    inner = "".join(marks + bars)
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="Support rates with intervals">{inner}</svg>'


def line_chart(points: Sequence[tuple[float, float]], title: str) -> str:
    """Return an SVG line of (x, y) points with its extremes labelled."""
    width, height, left = 720, 180, 56
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    low, high = min(ys), max(ys) if max(ys) > min(ys) else min(ys) + 1

    def place(point: tuple[float, float]) -> str:
        across = left + (point[0] - xs[0]) / max(xs[-1] - xs[0], 1e-9) * (width - left - 10)
        return f"{across:.1f},{12 + (high - point[1]) / (high - low) * (height - 40):.1f}"

    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{html.escape(title)}">'
        f'<text x="0" y="16">{high:.3f}</text><text x="0" y="{height - 26}">{low:.3f}</text>'
        f'<text x="{left}" y="{height - 6}">{html.escape(title)}, {xs[0]:g} to {xs[-1]:g}</text>'
        f'<polyline fill="none" stroke="var(--second)" stroke-width="2" points="{" ".join(map(place, points))}"/></svg>'
    )
