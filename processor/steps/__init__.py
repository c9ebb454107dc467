"""In: records of the log, and what the store holds of what they speak of. Out: the changes of every table.

    decode(records) -> Decoded              rejected; copies of events, facts, tombstones
    (load_held: whoever has the store)      Held: what it has of these, and who is forgotten
    forget(Decoded, Held) -> Remaining      forgotten; copies that leave, redacted facts, fewer rejected
    fold_facts(Remaining) -> Changes        facts
    fold(arrived, known, leaving) -> Folded events; every interaction before and after
    derive(interactions) -> Changes         interactions and all that follows from their events (`derive.Derived`);
                                            what several judged alike trains once (`consensus`)

Each takes what it needs and returns what it adds. The same input gives the same output, in the same order, in every
process, and no step reads or writes anything else: no file, no socket, no clock, no chance. Which function fills a
table's columns is said by its class in `processor.rows`.
"""

from __future__ import annotations

from collections.abc import Iterator

from processor.steps.batch import Changes, Decoded, Held, Remaining, Slice
from processor.steps.decode import decode
from processor.steps.derive import derive
from processor.steps.fold import fold, fold_facts
from processor.steps.forget import forget

# Interactions that go through the last steps together: their rows are used while they are in the processor's cache.
SLICE_INTERACTIONS = 300

__all__ = ["decode", "derive", "fold", "fold_facts", "forget", "slices"]


def slices(decoded: Decoded, held: Held, remaining: Remaining) -> Iterator[Slice]:
    """Run the steps after `forget`, some interactions at a time; the first slice has what is of no interaction."""
    whole = Changes({"rejected": remaining.rejected, "forgotten": remaining.newly}, {})
    yield Slice({}, (whole, fold_facts(remaining)))
    keys = list(decoded.arrived)
    for start in range(0, len(keys), SLICE_INTERACTIONS):
        arrived = {key: decoded.arrived[key] for key in keys[start : start + SLICE_INTERACTIONS]}
        folded = fold(arrived, held.known, remaining.leaving)
        yield Slice(folded.interactions, (folded.events, derive(folded.interactions)))
