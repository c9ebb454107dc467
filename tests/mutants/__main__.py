"""Change the code a little, many times, and list the changes that no test notices.

    make mutants                                        # the table by hand, and a tenth of the generated ones
    python -m tests.mutants --share 1 --workers 2       # all generated ones: hours
    python -m tests.mutants --only kto                  # by hand: names that hold a pattern; generated: files

In: the table `by_hand.py`, and mutants that mutmut makes of the files named in pyproject.toml. Each is made in a copy
of the tree, where its tests run: those named in the table, or those that reach the changed line. Out: the list of
survivors (`--out`, default build/mutants/survivors.md). Exit code 1 where a mutation by hand survived or no longer
applies: generated ones may be equivalent to what they came from, so they are listed only.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from typing import TypeVar

from tests.mutants.by_hand import MUTATIONS
from tests.mutants.generated import Mutant, mutants, source_files
from tests.mutants.mutation import Mutation, StaleMutation
from tests.mutants.reach import Reach
from tests.mutants.scratch import ROOT, Outcome, Scratch, environment

# The tests that are asked about generated mutants of a room, of these those that reach the changed line. Tests that
# wait for processes of their own, and simulations of thousands of tests, would say no more and take most of the time.
MARKS = ("-m", "not slow and not browser and not kafka and not faults")
RUNS = ("tests/trainer/test_first_batches.py", "tests/trainer/test_held_run.py", "tests/trainer/test_run.py",
        "tests/trainer/test_refused_rows.py")  # fmt: skip
BLIND = ("tests/console/test_trials.py", "tests/console/test_issued_picks.py", "tests/console/test_raters.py")
ASKED = {
    "trainer/objectives/": (
        *RUNS, "tests/invariant", "tests/trainer/test_dpo.py", "tests/trainer/test_kto.py",
        "tests/trainer/test_figures.py",
    ),
    "trainer/guarding/": (
        *RUNS, "tests/trainer/test_guards.py", "tests/trainer/test_reply_guards.py", "tests/trainer/test_figures.py",
        "tests/trainer/test_evaluate.py", "tests/trainer/test_measure.py",
    ),
    "trainer/rows.py": (*RUNS, "tests/trainer/test_rows_and_tokens.py", "tests/trainer/test_kto.py"),
    "processor/datasets/": ("tests/processor/datasets", "tests/processor/exporters"),
    "trials/": ("tests/trials", "--ignore", "tests/trials/test_error_rates.py", *BLIND),
}  # fmt: skip
# Longer than any of these tests takes on a busy machine: a mutant that takes longer does not end.
LIMIT_S = 300.0
WORDS: Mapping[bool | None, str] = {True: "noticed", False: "SURVIVED", None: "NOT ASKED"}
ON_THE_CODE_AS_IT_IS = {True: "FAILS", False: "passes", None: "NOT ASKED"}
T = TypeVar("T")


def each(
    work: Sequence[T], workers: Sequence[Scratch], do: Callable[[Scratch, T], Outcome],
    words: Mapping[bool | None, str] = WORDS,
) -> list[tuple[T, Outcome]]:  # fmt: skip
    """Do the work in the copies, one thing at a time in each; return it with what came out, in order."""
    free: SimpleQueue[Scratch] = SimpleQueue()
    for worker in workers:
        free.put(worker)
    done = 0

    def one(job: T) -> tuple[T, Outcome]:
        nonlocal done
        scratch = free.get()
        try:
            outcome = do(scratch, job)
        finally:
            free.put(scratch)
        done += 1
        print(f"{done}/{len(work)} {outcome.seconds:.0f} s {words[outcome.noticed]}: {title(job)}", flush=True)
        return job, outcome

    with ThreadPoolExecutor(len(workers)) as pool:
        return list(pool.map(one, work))


def title(job: object) -> str:
    """Return a mutant in a line."""
    if isinstance(job, Mutation):
        return f"{job.name} ({job.file})"
    assert isinstance(job, Mutant)
    return f"{job.file}:{job.line}: {job.before}  ->  {job.after}"


def try_by_hand(found: Sequence[Mutation], workers: Sequence[Scratch]) -> list[tuple[Mutation, Outcome]]:
    """Try the table's mutations; raises StaleMutation before any where one does not apply.

    Raises RuntimeError where their tests fail on the code as it is: they would notice everything.
    """
    texts = {mutation.name: mutation.applied(ROOT) for mutation in found}
    asked = [
        replace(mutation, name=" ".join(mutation.tests)) for mutation in {one.tests: one for one in found}.values()
    ]
    before = each(asked, workers, lambda scratch, m: scratch.unchanged(m.file, m.tests, LIMIT_S), ON_THE_CODE_AS_IT_IS)
    for mutation, outcome in before:
        if outcome.noticed is not False:
            raise RuntimeError(f"{mutation.name} fails on the code as it is: {outcome.why}")
    return each(found, workers, lambda scratch, m: scratch.try_out(m.file, texts[m.name], m.tests, LIMIT_S))


def try_generated(found: Sequence[Mutant], workers: Sequence[Scratch], reach: Reach) -> list[tuple[Mutant, Outcome]]:
    """Try generated mutants, each on the tests that reach its line."""

    def one(scratch: Scratch, mutant: Mutant) -> Outcome:
        tests = reach.tests_of(mutant.file, mutant.line)
        return scratch.try_out(mutant.file, mutant.text, tests, LIMIT_S) if tests else Outcome(False, 0.0, "no test")

    return each(found, workers, one)


def measure_reach(tree: Path, made: Sequence[Mutant]) -> Reach:
    """Run all tests that are asked, once, unchanged; raises RuntimeError where they fail."""
    found = Reach({}, {})
    for room, tests in ASKED.items():
        if files := sorted({mutant.file for mutant in made if mutant.file.startswith(room)}):
            report = tree.parent / "reach.json"
            command = [sys.executable, "-m", "tests.mutants.reach", str(report), *files, "--", *tests, *MARKS]
            done = subprocess.run(command, cwd=tree, env=environment(tree), text=True, capture_output=True, check=False)
            print("\n".join(done.stdout.strip().splitlines()[-2:]), flush=True)
            if done.returncode:
                raise RuntimeError(f"{room}: the tests fail on the code as it is:\n{done.stdout[-2000:]}{done.stderr}")
            found = found.joined(Reach.read(report))
    return found


def render(hand: Iterable[tuple[Mutation, Outcome]], made: Iterable[tuple[Mutant, Outcome]], share: float) -> str:
    """Return the list as Markdown."""
    hand, made = list(hand), list(made)
    alive = [mutation for mutation, outcome in hand if outcome.noticed is False]
    lines = ["# Mutants that no test notices", "", "Made by `python -m tests.mutants` (see there).", ""]
    lines += [f"By hand (`tests/mutants/by_hand.py`): {len(alive)} of {len(hand)} survived.", ""]
    lines += [f"- {title(mutation)}" for mutation in alive] + [""] * bool(alive)
    tried, left = Counter(m.file for m, _ in made), [m for m, outcome in made if outcome.noticed is False]
    survived = Counter(m.file for m in left)
    lines += [f"Generated (mutmut's operators, {share:.0%} of them): {len(left)} of {len(made)} survived.", ""]
    lines += ["| file | tried | survived |", "|---|---|---|"]
    lines += [f"| {file} | {n} | {survived[file]} |" for file, n in sorted(tried.items())] + [""]
    for file in sorted(survived):
        lines += [f"## {file}", ""]
        lines += [f"- {m.line}: `{m.before}` became `{m.after}`" for m in left if m.file == file] + [""]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description="List changes that no test notices.")
    parser.add_argument("--share", type=float, default=0.1, help="of the generated mutants, 0 to 1")
    parser.add_argument("--only", default="", help="a pattern that names by hand, and files, must hold")
    parser.add_argument("--workers", type=int, default=2, help="copies of the tree, each with a process")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "mutants" / "survivors.md")
    given = parser.parse_args(arguments)
    began = time.monotonic()
    by_hand = [mutation for mutation in MUTATIONS if re.search(given.only, mutation.name)]
    files = [file for file in source_files(ROOT) if re.search(given.only, file)] if given.share else []
    made = [mutant for file in files for mutant in mutants(ROOT, file, given.share)]
    print(f"{len(by_hand)} mutations by hand, {len(made)} generated", flush=True)
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        workers = [Scratch(Path(folder) / str(n)) for n in range(given.workers)]
        try:
            hand = try_by_hand(by_hand, workers)
            reach = measure_reach(workers[0].tree, made)
            generated = try_generated(made, workers, reach)
        except StaleMutation as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        finally:
            for worker in workers:
                worker.close()
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(render(hand, generated, given.share), "utf-8")
    unasked = [(m, o) for m, o in (*hand, *generated) if o.noticed is None]
    for mutant, outcome in unasked:
        print(f"error: the tests of {title(mutant)} could not be asked: {outcome.why}", file=sys.stderr)
    survivors = sum(outcome.noticed is False for _, outcome in (*hand, *generated))
    print(f"{survivors} of {len(hand) + len(generated)} survived in {time.monotonic() - began:.0f} s: {given.out}")
    return int(bool(unasked) or any(outcome.noticed is False for _, outcome in hand))


if __name__ == "__main__":
    sys.exit(main())
