"""Which rows train and which measure: a salted stable hash of the conversation or prompt, and no leak between them.

A row never moves as data grows: its split hashes its conversation, or its prompt where it has none. A validation
or test row whose group (conversation, prompt hash, near-duplicate marks, close wording) also trains is left out
and counted.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from rensa import RMinHash, RMinHashLSH

from contract.errors import ThumbwheelError
from processor.datasets.rows import DataRow
from processor.similarity.verifier import disagreement
from processor.steps.normalise import normalise

PERMUTATIONS = 128
BANDS = 32
MIN_JACCARD = 0.8


def split_rows(
    rows: Sequence[DataRow], shares: Sequence[float], salt: str, near: Iterable[tuple[str, str]], dropped: Counter[str]
) -> list[DataRow]:
    """Return the rows with their split set, without those that would leak ("near_train", "near_validation")."""
    groups = Groups(rows, near)
    for row in rows:
        row.split = _split_of(row, shares, salt)
    kept = [row for row in rows if row.split == "train"]
    close = Wording(kept)
    taken = {groups.of(row) for row in kept}
    for split, earlier in (("validation", "near_train"), ("test", "near_validation")):
        entering = []
        for row in rows:
            if row.split != split:
                continue
            if groups.of(row) in taken or close.has(row):
                dropped[earlier if split == "validation" or groups.of(row) not in taken else "near_train"] += 1
            else:
                entering.append(row)
        close.add(entering)
        taken |= {groups.of(row) for row in entering}
        kept.extend(entering)
    return sorted(kept, key=lambda row: row.order)


def check_leaks(rows: Sequence[DataRow], near: Iterable[tuple[str, str]]) -> None:
    """Refuse a dataset in which a prompt, a conversation or a marked near-duplicate lies in two splits."""
    places: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        places[f"prompt {row.prompt_hash}"].add(row.split)
        if row.conversation_id is not None:
            places[f"conversation {row.conversation_id}"].add(row.split)
    leaks = [name for name, splits in places.items() if len(splits) > 1]
    for one, other in near:
        if len(places.get(f"prompt {one}", set()) | places.get(f"prompt {other}", set())) > 1:
            leaks.append(f"near duplicates {one} and {other}")
    if leaks:
        raise ThumbwheelError(
            "dataset_leaks", f"{len(leaks)} groups lie in two splits, first: {sorted(leaks)[0]}.",
            "This is a fault of the builder; the dataset was not written.", status=500,
        )  # fmt: skip


def _split_of(row: DataRow, shares: Sequence[float], salt: str) -> str:
    alone = row.conversation_id is None
    root = f"prompt\x1f{row.prompt_hash}" if alone else f"conversation\x1f{row.conversation_id}"
    digest = hashlib.blake2b(f"{salt}\x1f{root}".encode(), digest_size=8).digest()
    place = int.from_bytes(digest, "big") / 2**64
    if place < shares[0]:
        return "train"
    return "validation" if place < shares[0] + shares[1] else "test"


class Groups:
    """Prompts and conversations joined into groups (union-find); never used to merge rows, only to keep them apart."""

    def __init__(self, rows: Iterable[DataRow], near: Iterable[tuple[str, str]]) -> None:
        self._parent: dict[str, str] = {}
        for row in rows:
            if row.conversation_id is not None:
                self._join(f"p{row.prompt_hash}", f"c{row.conversation_id}")
        for one, other in near:
            self._join(f"p{one}", f"p{other}")

    def of(self, row: DataRow) -> str:
        """Return the name of the row's group."""
        return self._root(f"p{row.prompt_hash}")

    def _root(self, name: str) -> str:
        path = []
        while (parent := self._parent.get(name, name)) != name:
            path.append(name)
            name = parent
        for step in path:
            self._parent[step] = name
        return name

    def _join(self, one: str, other: str) -> None:
        first, second = sorted((self._root(one), self._root(other)))
        self._parent[second] = first


class Wording:
    """Prompts close in wording to ones already taken: MinHash over character n-grams, 3 for Chinese, 5 otherwise."""

    def __init__(self, rows: Iterable[DataRow]) -> None:
        self._index = RMinHashLSH(MIN_JACCARD, PERMUTATIONS, BANDS)
        self._taken: list[tuple[RMinHash, str]] = []
        self._known: dict[str, tuple[RMinHash, str]] = {}
        self.add(rows)

    def add(self, rows: Iterable[DataRow]) -> None:
        """Take the prompts of these rows."""
        for row in {row.prompt_hash: row for row in rows}.values():
            sketch, text = self._sketch(row)
            self._index.insert(len(self._taken), sketch)
            self._taken.append((sketch, text))

    def has(self, row: DataRow) -> bool:
        """Say whether a taken prompt is close in wording and the verifier finds nothing that tells them apart."""
        sketch, text = self._sketch(row)
        for position in self._index.query(sketch):
            other, other_text = self._taken[position]
            if sketch.jaccard(other) >= MIN_JACCARD and disagreement(text, other_text) is None:
                return True
        return False

    def _sketch(self, row: DataRow) -> tuple[RMinHash, str]:
        if row.prompt_hash not in self._known:
            text = "\n".join(turn["content"] for turn in row.prompt() if turn["role"] not in ("system", "developer"))
            sketch = RMinHash(PERMUTATIONS, 42)
            sketch.update(_ngrams(normalise(text)))
            self._known[row.prompt_hash] = sketch, text
        return self._known[row.prompt_hash]


def _ngrams(text: str) -> list[str]:
    cjk = sum("\u3040" <= c <= "\u9fff" for c in text)
    size = 3 if cjk * 3 > len(text) else 5
    return [text[i : i + size] for i in range(max(1, len(text) - size + 1))]
