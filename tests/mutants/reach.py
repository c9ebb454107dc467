"""Which tests reach which line, and how long each takes: one run of the tests under coverage.

    python -m tests.mutants.reach REPORT FILE... -- TEST...        # in the copy of the tree

Out: REPORT, {"seconds": {test: s}, "lines": {file: {line: [test]}}}. A line that is run at import belongs to no test.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# So long may the tests of one mutant take together, the fastest first: what only slower ones would notice survives.
LIMIT_S = 30.0


@dataclass(frozen=True)
class Reach:
    """What was measured."""

    seconds: dict[str, float]
    lines: dict[str, dict[str, list[str]]]

    @classmethod
    def read(cls, report: Path) -> Reach:
        """Read a report."""
        return cls(**json.loads(report.read_text("utf-8")))

    def joined(self, other: Reach) -> Reach:
        """Return both."""
        return Reach(self.seconds | other.seconds, self.lines | other.lines)

    def tests_of(self, file: str, line: int) -> list[str]:
        """Return the tests that reach a line, the fastest first, within `LIMIT_S`; [] where none does.

        A line inside a longer statement counts as the line before it, one run at import as all of the file.
        """
        lines = self.lines.get(file, {})
        at = next((str(n) for n in range(line, 0, -1) if str(n) in lines), "")
        found = lines.get(at) or sorted({test for tests in lines.values() for test in tests})
        chosen, total = [], 0.0
        for test in sorted(found, key=lambda test: self.seconds[test]):
            total += self.seconds[test]
            if chosen and total > LIMIT_S:
                break
            chosen.append(test)
        return chosen


class _Contexts:
    """A pytest plugin that tells coverage which test runs, and takes its time."""

    def __init__(self, coverage: Any) -> None:
        self.seconds: dict[str, float] = {}
        self._coverage = coverage

    def pytest_runtest_protocol(self, item: Any) -> None:
        self._coverage.switch_context(item.nodeid)

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration


def _by_line(data: Any, files: Sequence[str], known: set[str]) -> Iterator[tuple[str, dict[str, list[str]]]]:
    for file in files:
        contexts = data.contexts_by_lineno(str(Path(file).resolve()))
        yield file, {str(line): sorted(set(tests) & known) for line, tests in contexts.items()}


def main(report: str, files: Sequence[str], tests: Sequence[str]) -> int:
    """Run the tests and write the report; return pytest's exit code."""
    import coverage
    import pytest

    measured = coverage.Coverage(
        data_file=None, config_file=False, include=[str(Path(file).resolve()) for file in files]
    )
    plugin = _Contexts(measured)
    began = time.monotonic()
    measured.start()
    code = pytest.main(["-q", "--no-header", "-p", "no:cacheprovider", *tests], plugins=[plugin])
    measured.stop()
    found = {
        "seconds": {test: round(seconds, 3) for test, seconds in plugin.seconds.items()},
        "lines": dict(_by_line(measured.get_data(), files, set(plugin.seconds))),
    }
    Path(report).write_text(json.dumps(found), "utf-8")
    print(f"{len(plugin.seconds)} tests in {time.monotonic() - began:.0f} s")
    return int(code)


if __name__ == "__main__":
    split = sys.argv.index("--")
    sys.exit(main(sys.argv[1], sys.argv[2:split], sys.argv[split + 1 :]))
