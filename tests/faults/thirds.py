"""Which third of the long fault scenarios a run takes: FAULTS_THIRD and the commit in, the scenarios left out out."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

THIRDS = 3
ROOT = Path(__file__).resolve().parents[2]


def commit(folder: Path = ROOT) -> str | None:
    """Return the hash of the folder's commit; None where git does not know it, as in an unpacked archive."""
    line = ["git", "rev-parse", "--verify", "HEAD"]
    try:
        done = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def third_of(setting: str, known: str | None) -> int | None:
    """Return the third a setting stands for, or None for all.

    `setting` is "" or "all", the number of a third, or "commit": the third that the hash `known` falls on, all
    without one. Anything else raises ValueError.
    """
    if setting in ("", "all"):
        return None
    if setting == "commit":
        return None if known is None else int(known, 16) % THIRDS
    if setting in map(str, range(THIRDS)):
        return int(setting)
    raise ValueError(f"FAULTS_THIRD={setting!r} is none of all, commit, 0, 1, 2")


def left_out(scenarios: Sequence[str], third: int | None) -> set[str]:
    """Return the scenarios that this third leaves out.

    They are dealt in turn, so that the thirds are of one size and neighbours, mostly one scenario on either kind of
    log, go to different ones.
    """
    if third is None:
        return set()
    return {scenario for place, scenario in enumerate(scenarios) if place % THIRDS != third}
