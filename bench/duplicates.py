"""How well the verifier tells whether two prompts ask the same: precision and recall per language, and its speed.

    python -m bench.duplicates

In: the pairs in tests/processor/similarity/verifier_pairs: prompts that look alike and ask otherwise, and paraphrases.
The files named held-out were written after the verifier was first done, which merged none of those that ask otherwise;
their paraphrases have tuned it since. Out: of the pairs taken for one question the share that is one
(precision), of the paraphrases the share taken for one (recall), and pairs a second. Exits with 1 below a precision of
0.98; recall is shown only. Takes seconds.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path

from processor.similarity.verifier import disagreement
from processor.similarity.wording import _remembered

PAIRS = Path(__file__).parents[1] / "tests" / "processor" / "similarity" / "verifier_pairs"
LANGUAGES = {"en": "English", "zh": "Chinese"}
MIN_PRECISION = 0.98


@dataclass
class Score:
    """What became of the pairs of one language."""

    same: int = 0
    taken: int = 0
    different: int = 0
    merged: int = 0

    @property
    def precision(self) -> float:
        """Return the share of the pairs taken for one question that are one."""
        return self.taken / (self.taken + self.merged) if self.taken + self.merged else 1.0

    @property
    def recall(self) -> float:
        """Return the share of the paraphrases that were taken for one question."""
        return self.taken / self.same


def pairs_of(file: Path) -> list[tuple[str, str]]:
    """Return the pairs of prompts in a file."""
    return [(one, other) for one, _, other in (line.partition("\t") for line in file.read_text("utf-8").splitlines())]


def score(language: str, held_out: bool) -> Score:
    """Run the verifier over the pairs of a language: all of them, or the held-out ones."""
    found = Score()
    for file in sorted(PAIRS.glob(f"{language}-*{'held-out' if held_out else ''}.tsv")):
        pairs = pairs_of(file)
        as_one = sum(disagreement(one, other) is None for one, other in pairs)
        if "-same" in file.name:
            found.same, found.taken = found.same + len(pairs), found.taken + as_one
        else:
            found.different, found.merged = found.different + len(pairs), found.merged + as_one
    return found


def speed(seconds: float = 1.0) -> float:
    """Return pairs compared a second, every prompt read anew."""
    pairs = [pair for file in sorted(PAIRS.glob("*.tsv")) for pair in pairs_of(file)]
    started, compared = time.perf_counter(), 0
    while (took := time.perf_counter() - started) < seconds:
        _remembered.cache_clear()
        for one, other in pairs:
            disagreement(one, other)
        compared += len(pairs)
    return compared / took


def main() -> int:
    """Print the figures; return 1 when a precision is too low."""
    worst = 1.0
    print("language  pairs     precision  recall  merged though different")
    for language, name in LANGUAGES.items():
        for held_out in (False, True):
            found = score(language, held_out)
            worst = min(worst, found.precision)
            print(
                f"{name:9} {'held-out' if held_out else 'all':9} {found.precision:8.3f} {found.recall:7.2f}"
                f"  {found.merged} of {found.different}; {found.taken} of {found.same} paraphrases found"
            )
    print(f"{speed():,.0f} pairs/s on one core")
    return 0 if worst >= MIN_PRECISION else 1


if __name__ == "__main__":
    sys.exit(main())
