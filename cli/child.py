"""Run a module as its own program that ends when its parent does: python -m cli.child PARENT_PID collector"""

from __future__ import annotations

import runpy
import sys

from runtime.serve import die_with_parent

if __name__ == "__main__":
    die_with_parent(int(sys.argv.pop(1)))
    module = sys.argv.pop(1)
    runpy.run_module(module, run_name="__main__", alter_sys=True)
