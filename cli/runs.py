"""In: a wish to the trainer. Out: the run that answers it, once it is known or once it has ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from contract.errors import ThumbwheelError
from runtime.data_api import Api

POLL_S = 1.0
# The trainer polls every few seconds; a wish without a run after this long has nobody listening.
START_SECONDS = 120.0
# A restarting console is back within seconds; one that stays away this long was stopped.
AWAY_SECONDS = 120.0


def follow_run(api: Api, request_id: str, progress: Callable[[int, int, dict[str, Any]], None]) -> dict[str, Any]:
    """Wait for the run that answers a wish to end, and return it; progress(step, total, run).

    Raises ThumbwheelError when no run begins, or the console is away for two minutes.
    """
    run = wait_for_run(api, request_id)
    seen = time.monotonic()
    while run["state"] not in ("finished", "failed"):
        progress(run.get("step") or 0, run.get("total_steps") or 0, run)
        time.sleep(POLL_S)
        found = _of_wish(_runs(api, seen), request_id)
        if found is not None:
            run, seen = found, time.monotonic()
    return run


def stage_lines(run: dict[str, Any]) -> list[str]:
    """Return a line per stage of a run that ended: rows used, steps, loss, and the rows left out by reason."""
    lines = []
    for stage in (run.get("metrics") or {}).get("stages") or []:
        name, dropped = str(stage["objective"]).upper(), stage.get("dropped") or {}
        text = f"{name}: {stage['rows']} rows, {stage['steps']} steps"
        if "loss_first" in stage:
            text += f", loss {stage['loss_first']:.3g} to {stage['loss_last']:.3g}"
        if stage.get("shortened"):
            text += f", {stage['shortened']} prompts shortened"
        if dropped:
            text += ", left out: " + ", ".join(f"{n} {reason.replace('_', ' ')}" for reason, n in dropped.items())
        if "prompt_too_long" in dropped:
            text += f" (the setting max_length is {stage['config'].get('max_length')})"
        lines.append(text if "skipped" not in stage else f"{name}: did not train. {stage['skipped']}")
    return lines


def made_by(api: Api, run: dict[str, Any]) -> dict[str, Any] | None:
    """Return {state, reason} of the adapter that a run made, None where it made none.

    What became of it is in the log before the end of the run is.
    """
    found = (item for item in api.items("/api/v1/models") if item["adapter_id"] == run.get("adapter_id"))
    adapter = next(found, None) if run.get("adapter_id") else None
    if adapter is None:
        return None
    history = adapter.get("history") or [{}]
    return {"state": adapter["state"], "reason": history[-1].get("reason")}


def wait_for_run(api: Api, request_id: str) -> dict[str, Any]:
    """Return the run that answers a wish once it is known; raises ThumbwheelError when none begins.

    The trainer runs one job at a time: while another runs, the wish waits.
    """
    seen = time.monotonic()
    while True:
        runs = _runs(api, seen)
        run = _of_wish(runs, request_id)
        if run is not None:
            return run
        if any(other["state"] == "running" for other in runs):
            seen = time.monotonic()
        elif time.monotonic() - seen > START_SECONDS:
            raise ThumbwheelError(
                "no_trainer", f"No run answered the wish within {START_SECONDS:.0f} s.",
                "Is the trainer running? See its log.",
            )  # fmt: skip
        time.sleep(POLL_S)


def _runs(api: Api, seen: float) -> list[dict[str, Any]]:
    """Return the project's runs; none while the console restarts. Raises what it said once it was away too long."""
    try:
        return [dict(run) for run in api.items("/api/v1/runs")]
    except ThumbwheelError as error:
        if error.status != 503 or time.monotonic() - seen > AWAY_SECONDS:
            raise
        return []


def _of_wish(runs: list[dict[str, Any]], request_id: str) -> dict[str, Any] | None:
    return next((run for run in runs if run.get("request_id") == request_id), None)
