"""Print what the given extras need, one requirement a line, for an image layer that changes only with pyproject.toml.

python deploy/requirements.py collector > requirements.txt
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"


def requirements(extras: list[str]) -> list[str]:
    """Return the requirements of the project with these extras; raises KeyError for an unknown one."""
    project = tomllib.loads(PROJECT.read_text("utf-8"))["project"]
    wanted = list(project["dependencies"])
    for extra in extras:
        wanted += project["optional-dependencies"][extra]
    return list(dict.fromkeys(wanted))


if __name__ == "__main__":
    print("\n".join(requirements(sys.argv[1:])))
