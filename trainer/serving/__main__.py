"""In: `python -m trainer.serving`, the gateway's former name. Out: the gateway, with a warning; for one release."""

from __future__ import annotations

import runpy
import sys

if __name__ == "__main__":
    print("warning: `python -m trainer.serving` is `python -m gateway` now.", file=sys.stderr, flush=True)
    runpy.run_module("gateway", run_name="__main__", alter_sys=True)
