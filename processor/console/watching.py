"""Who may see how a blind test stands while it runs: managers, and the trainer. Raters must vote without knowing."""

from __future__ import annotations

from flask import g

from processor.queries.reading import Row
from processor.queries.trials import conceal


def may_watch() -> bool:
    """Say whether the caller may see the counts of a test that runs."""
    return bool(g.user.is_service or (g.user.key is None and g.user.may("trial.watch")))


def for_caller(found: dict[str, list[Row]]) -> dict[str, list[Row]]:
    """Return `list_support`'s answer as the caller may see it: a comparison of models under test tells as much."""
    if may_watch():
        return {
            **found, "items": [{**item, "concealed": False} for item in found["items"]],
            "rollbacks": [{**item, "concealed": False} for item in found["rollbacks"]],
        }  # fmt: skip
    # That of a champion asks about the champion; its predecessor may be the base, which much is compared with.
    tested = {item["challenger"] for item in found["items"] if item["state"] == "running"}
    tested |= {item["baseline"] for item in found["rollbacks"] if item["state"] == "running"}
    return {
        "items": [conceal(item) for item in found["items"]],
        "rollbacks": [conceal(item) for item in found["rollbacks"]],
        "comparisons": [one for one in found["comparisons"] if not {one["challenger"], one["baseline"]} & tested],
    }
