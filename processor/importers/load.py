"""Import one file: each row becomes an interaction and one judgement of it, appended to the log.

Rows about the same question and replies are judgements of the same interaction: the tables make one row of them
(`processor.steps.consensus`). A row that names nobody is a judgement of its own where the file contradicts itself, and
a repetition where it does not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contract.errors import EventError, ThumbwheelError
from contract.events import Event
from contract.ids import derived_id, uuid7
from eventlog.log import Log, append_all
from processor.importers.quarantine import Quarantine
from processor.importers.reading import Progress, ReadRow, RowError, read_rows
from processor.importers.shapes import READERS
from processor.importers.standing import Standing, read_standing
from processor.importers.votes import Imported, Vote, feedback, read_vote, retraction, stamped
from processor.steps.votes import ANONYMOUS

FORMATS = tuple(READERS)
CHUNK = 500
MAX_ERRORS = 20
MAX_REASONS = 50
_REPLACE = "Import with --replace where this file corrects what was imported before."


@dataclass
class ImportReport:
    """Counts of rows. `errors` are the first ones, "row N: why"; `kinds` says what the imported rows became.

    `unchanged` rows say what earlier imports said, `repeated` ones what an earlier row of the file said; `replaced` of
    the imported ones took the place of what was imported before. `unread` rows were never read. `reasons` counts the
    quarantined rows by why; a hint says what to do about many of them.
    """

    rows: int = 0
    imported: int = 0
    replaced: int = 0
    unchanged: int = 0
    repeated: int = 0
    quarantined: int = 0
    unread: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    reasons: dict[str, int] = field(default_factory=dict)
    hints: list[str] = field(default_factory=list)
    quarantine: str | None = None
    dry_run: bool = False

    @property
    def whole(self) -> bool:
        """Say whether the file had rows, and all of them were read and taken."""
        return self.rows > 0 and not self.quarantined and not self.unread

    def advise(self, hint: str) -> None:
        """Add a hint, once."""
        if hint and hint not in self.hints:
            self.hints.append(hint)


def import_file(
    path: Path, format: str, project: str, log: Log, *, mapping: Mapping[str, str] | None = None,
    dry_run: bool = False, progress: Progress | None = None, labels: Sequence[str] = (), source: str = "import",
    quarantine: Path | None = None, replace: bool = False,
) -> ImportReport:  # fmt: skip
    """Append what a file's rows change to the log. `mapping` names CSV columns; `dry_run` only counts.

    `replace`: where a row contradicts what an earlier import says for the same annotator (or for nobody), the row wins.
    Raises ThumbwheelError for an unknown format or an unreadable file, LogUnavailable when the log does not
    confirm: import the file again then, nothing doubles.
    """
    if format not in READERS:
        raise ThumbwheelError("unknown_format", f"Unknown format {format!r}.", f"Use one of: {', '.join(FORMATS)}.")
    if not path.is_file():
        raise ThumbwheelError("no_file", f"There is no file {path}.", "Check the path.")
    report = ImportReport(dry_run=dry_run)
    names = dict(mapping or {})
    with Quarantine(path, quarantine, dry_run) as refused:
        loading = _Import(log, project, report, labels=labels, source=source, replace=replace)
        for row in read_rows(path, format, progress, names):
            report.rows += 1
            try:
                if row.value is None:
                    raise RowError(row.error or "unreadable")
                loading.take(read_vote(READERS[format](row.value, names), project))
            except (RowError, EventError) as error:
                _refuse(report, refused, row, str(error))
        loading.finish()
        report.quarantine = refused.name
    if not report.rows:
        report.advise("The file holds no rows.")
    return report


def _refuse(report: ImportReport, refused: Quarantine, row: ReadRow, why: str) -> None:
    report.quarantined += 1
    report.unread += row.unread
    report.advise(row.hint)
    if len(report.errors) < MAX_ERRORS:
        report.errors.append(f"row {row.number}: {why}")
    if why in report.reasons or len(report.reasons) < MAX_REASONS:
        report.reasons[why] = report.reasons.get(why, 0) + 1
    refused.write({"row": row.number, "error": why, "value": row.value if row.value is not None else row.raw})


class _Import:
    """One import under way: what its rows said so far, and what is to be appended."""

    def __init__(
        self, log: Log, project: str, report: ImportReport, *, labels: Sequence[str], source: str, replace: bool
    ) -> None:
        self._log = log
        self._project, self._labels, self._source = project, labels, source
        self._replace = replace
        self._report = report
        self._standing: Standing = read_standing(log, project)
        self._said: set[bytes] = set()
        self._pending: list[Event] = []
        # Rows that name nobody and were said before: by mark, how many more.
        self._again: dict[bytes, tuple[Vote, int]] = {}
        # Judgements that name nobody and may have to give way.
        self._unnamed: dict[bytes, Vote] = {}

    def take(self, imported: Imported) -> None:
        """Take in one row; raise RowError, EventError."""
        vote = imported.vote
        if vote.mark in self._said:
            self._report.repeated += 1
            if not vote.named and vote.opposite:
                self._again[vote.mark] = vote, self._again.get(vote.mark, (vote, 0))[1] + 1
            return
        if vote.named and vote.reversed is not vote and vote.reversed.mark in self._said:
            raise RowError(f"{vote.actor} judges the same replies otherwise in an earlier row")
        if self._standing.has(vote):
            self._said.add(vote.mark)
            self._report.unchanged += 1
            self._give_way(vote)
            return
        replaces, event_id = self._place(imported)
        asked = [] if self._standing.has_interaction(vote.interaction_id) else [imported.interaction()]
        self._append([*asked, imported.judgement(event_id)], vote)
        self._standing.add_interaction(vote.interaction_id)
        self._said.add(vote.mark)
        self._give_way(vote)
        self._count(vote, replaces)

    def _place(self, imported: Imported) -> tuple[bool, str]:
        """Return whether a judgement takes the place of an earlier one, and its event id; raise RowError."""
        vote, event_id = imported.vote, imported.event_id
        contradicts = vote.reversed is not vote and self._standing.has(vote.reversed)
        taken_back = self._standing.was_retracted(event_id)
        if not self._replace:
            if vote.named and contradicts:
                self._report.advise(_REPLACE)
                raise RowError(f"{vote.actor} judges the same replies otherwise in an earlier import")
            if taken_back:
                self._report.advise(_REPLACE)
                raise RowError("an earlier import took this judgement back")
            return False, event_id
        # The id that follows from the content belongs to the judgement before.
        return contradicts, str(uuid7()) if taken_back or (vote.named and contradicts) else event_id

    def _give_way(self, vote: Vote) -> None:
        """Note judgements of the same that name nobody: with `replace` they go, unless the file says them too."""
        if self._replace and vote.opposite:
            for other in (vote.by(ANONYMOUS), vote.reversed.by(ANONYMOUS)):
                if self._standing.has(other):
                    self._unnamed[other.mark] = other

    def finish(self) -> None:
        """Append what only the whole file tells: who else says what is contradicted, and what gives way."""
        for vote, more in self._again.values():
            if vote.reversed.mark in self._said or self._standing.has(vote.reversed):
                for nth in range(2, more + 2):
                    self._one_more(vote.by(vote.actor, nth))
        for mark, vote in self._unnamed.items():
            if mark not in self._said:
                while (target := self._standing.event_of(vote)) is not None:
                    self._append([retraction(vote, target)], vote)
                    vote = vote.by(vote.actor, vote.nth + 1)
        self._flush()

    def _one_more(self, vote: Vote) -> None:
        """Take a repeated row as a judgement of its own."""
        self._report.repeated -= 1
        if self._standing.has(vote):
            self._report.unchanged += 1
            return
        identity = (vote.interaction_id, vote.kind, vote.about, vote.verdict, str(vote.nth))
        self._append([feedback(vote, str(derived_id(*identity)))], vote)
        self._count(vote, False)

    def _count(self, vote: Vote, replaces: bool) -> None:
        self._report.imported += 1
        self._report.replaced += replaces
        self._report.kinds[vote.kind] = self._report.kinds.get(vote.kind, 0) + 1

    def _append(self, bodies: Sequence[dict[str, Any]], vote: Vote) -> None:
        self._pending += [
            stamped(body, vote.interaction_id, self._project, self._labels, self._source) for body in bodies
        ]
        if len(self._pending) >= CHUNK:
            self._flush()

    def _flush(self) -> None:
        if self._pending and not self._report.dry_run:
            append_all(self._log, self._pending)
        self._pending.clear()
