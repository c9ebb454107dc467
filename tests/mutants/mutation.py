"""One small change of the code that tests have to notice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


class StaleMutation(Exception):
    """The fragment that a mutation replaces is no longer in its file, or there more than once."""


@dataclass(frozen=True)
class Mutation:
    """`before` in `file` becomes `after`; one of `tests` (pytest's arguments) must fail then.

    `before` must be found exactly once: code that moves takes its mutations along, or `make mutants` and
    `test_table.py` fail.
    """

    name: str
    file: str
    before: str
    after: str
    tests: tuple[str, ...]

    def applied(self, root: Path) -> str:
        """Return the file's text with the change made; raises StaleMutation."""
        path = root / self.file
        text = path.read_text("utf-8") if path.exists() else ""
        if (found := text.count(self.before)) != 1:
            raise StaleMutation(
                f"{self.name}: the fragment is {found} times in {self.file}, not once. "
                f"hint: bring its entry in tests/mutants/ up to the code.  fragment: {self.before!r}"
            )
        return text.replace(self.before, self.after)
