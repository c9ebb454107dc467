"""Print what the given extras need, each package as it is locked, by version and hashes, for an image layer.

python deploy/requirements.py collector > requirements.txt && pip install --require-hashes -r requirements.txt
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

LOCK = Path(__file__).resolve().parents[1] / "requirements.lock"
BASE = "base"
# A package under the extras that need it: `# of base collector`, then the requirement with its hashes.
_ENTRY = re.compile(r"^# of (.+)\n((?:.+\\\n)*.+)$", re.MULTILINE)


def requirements(extras: list[str]) -> list[str]:
    """Return the lock's entries of what every service and these extras need; raises KeyError for an unknown one."""
    entries = [(set(found[1].split()), found[2]) for found in _ENTRY.finditer(LOCK.read_text("utf-8"))]
    known = set().union(*(of for of, _ in entries))
    if unknown := set(extras) - known:
        raise KeyError(*unknown)
    return [entry for of, entry in entries if of & {BASE, *extras}]


if __name__ == "__main__":
    print("\n".join(requirements(sys.argv[1:])))
