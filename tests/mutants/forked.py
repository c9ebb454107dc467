"""Runs tests for `scratch.py`: jobs as JSON lines in, one answer a line out; a fork for every job.

    python -m tests.mutants.forked LOG        # in the copy of the tree

In: {"tests": [...], "limit_s": 60}. Out: {"code": pytest's exit code, or null past the limit, "seconds", "said": its
last line}. Only libraries are imported here: our own modules are imported in the fork, changed as they are then.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import time
import traceback
from contextlib import suppress
from typing import Any

LIBRARIES = (
    "pytest", "torch", "transformers", "datasets", "peft", "trl", "trl.trainer.dpo_trainer", "trl.trainer.kto_trainer",
    "trl.trainer.sft_trainer", "transformers.models.llama.modeling_llama", "transformers.models.qwen2.modeling_qwen2",
    "transformers.models.glm.modeling_glm", "scipy.stats", "duckdb", "pyarrow.parquet", "flask", "sqlalchemy",
)  # fmt: skip
POLL_S = 0.02
# The libraries that are imported before pytest starts hold plugins of it, whose assertions it cannot rewrite any more.
OPTIONS = ("-x", "-q", "--no-header", "--tb=line", "-p", "no:cacheprovider",
           "-W", "ignore::pytest.PytestAssertRewriteWarning")  # fmt: skip


def answer(job: dict[str, Any], log: str) -> dict[str, Any]:
    """Run one job in a fork."""
    began = time.monotonic()
    child = os.fork()
    if not child:
        os.setsid()
        _run(job["tests"], log)
    code = _wait(child, began + job["limit_s"])
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # What its tests may have left running.
    with open(log, encoding="utf-8", errors="replace") as file:
        lines = file.read().strip().splitlines()
    said = next((line for line in reversed(lines) if line.startswith(("FAILED", "ERROR"))), (lines or [""])[-1])
    return {"code": code, "seconds": round(time.monotonic() - began, 2), "said": said[:300]}


def _wait(child: int, until: float) -> int | None:
    while time.monotonic() < until:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(POLL_S)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def _run(tests: list[str], log: str) -> None:
    """Become a run of pytest, whose words go to the log."""
    code = 3
    try:
        nothing, written = os.open(os.devnull, os.O_RDONLY), os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for place, opened in enumerate((nothing, written, written)):
            os.dup2(opened, place)
        import pytest

        code = int(pytest.main([*OPTIONS, *tests]))
        sys.stdout.flush()
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        sys.stderr.flush()
        os._exit(code)


def main(log: str) -> None:
    """Answer jobs until there are no more."""
    for library in LIBRARIES:
        importlib.import_module(library)
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line), log)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
