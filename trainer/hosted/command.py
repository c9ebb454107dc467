"""What the local backend starts for a hosted run: a work in; the program that uploads, waits and measures, out."""

from __future__ import annotations

import json
import os
import sys

from contract.errors import ThumbwheelError
from trainer.backends.run_folder import Work


def hosted_command(work: Work) -> list[str]:
    """Return the command; the key is not in it. Raises ThumbwheelError where the run is to continue files from here."""
    if work.start is not None:
        raise ThumbwheelError(
            "local_start", f"A hosted job cannot continue {work.start.name}: its weights are here.",
            "Start from the base: thumbwheel train --from base", "start",
        )  # fmt: skip
    parts = [
        sys.executable, "-m", "trainer.hosted.program", "--project", work.project,
        "--dataset", str(work.dataset), "--out", str(work.folder), "--method", work.method,
        "--config", json.dumps(dict(work.params)), "--parent", str(os.getpid()),
    ]  # fmt: skip
    parts += ["--model", work.start_remote] if work.start_remote else []
    return [*parts, "--resume"] if work.resume else parts
