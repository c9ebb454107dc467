"""What each scenario counted: printed as it is told, and listed once more when the suite ends."""

from __future__ import annotations

import os

# In the order of telling: the test ("test_kill.py::test_x[kafka]") and what it counted.
told: list[tuple[str, str]] = []


def tell(text: str) -> None:
    """Print a scenario's counts and keep them for the list at the end (`conftest.py`); works outside of tests too."""
    print(text)
    test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition("/")[2].partition(" ")[0]
    told.append((test, text))
