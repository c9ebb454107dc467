"""In: a label, or a task. Out: how far people agree on it, who is right how often, and what is worth a look.

Computed from the tables when it is asked for, kept until they change; no part of the digest. What the figures mean, and
when not to believe them: docs/concepts/annotation-numbers.md.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import duckdb

from processor.curation.agreement import MOST_VALUES, Agreement, Metric, agreement
from processor.curation.labels import LabelDef, former_paths
from processor.curation.measures.answers import Answer, AnswerTable, tabulate
from processor.curation.measures.conduct import Flag, conduct
from processor.curation.measures.kappa import PairAgreement, kappa_by_pair
from processor.curation.reliability import Person, one_coin
from processor.curation.tasks import Task
from processor.queries.labels import get_label, list_labels
from processor.queries.reading import Row

# Of one answer of several, yes or no, and numbers there is arithmetic; texts and marks are compared by eye.
MEASURED = frozenset({"bool", "choice", "multi", "rating", "pairwise"})
# So many results are kept.
KEPT = 32
# Of a person's answers on one item the first round counts: later ones were given knowing that it came back.
_SAID = """
SELECT a.interaction_id || chr(31) || a.unit AS item, a.actor_id AS person, a.value, a.label_version AS version,
    CASE WHEN regexp_matches(coalesce(i.prompt_text, ''), '[\u3400-\u9fff]') THEN 'zh' ELSE 'other' END AS language
FROM (
    SELECT *, row_number() OVER (
        PARTITION BY interaction_key, unit, actor_id ORDER BY round, received_at, event_id, label) AS place
    FROM answers
    WHERE project = $project AND label IN (SELECT unnest($paths::TEXT[])) AND state IN ('vote', 'untrusted')
        AND actor_kind NOT IN ('ai', 'system') AND ($task::TEXT IS NULL OR task_id = $task)
) a LEFT JOIN interactions i USING (interaction_key)
WHERE a.place = 1
"""
_MARK = """
SELECT count(*), bit_xor(hash(event_key, label, state)) FROM answers
WHERE project = $project AND label IN (SELECT unnest($paths::TEXT[])) AND ($task::TEXT IS NULL OR task_id = $task)
"""


@dataclass(frozen=True)
class Quality:
    """The figures of one label: over all, by version and language of the prompt; of pairs and of people.

    `unmeasured`: why there are none, or None; `strange`: answers that are none to a label of this kind, left out.
    """

    label: str
    metric: Metric
    whole: Agreement | None = None
    by_version: tuple[tuple[int, Agreement], ...] = ()
    by_language: tuple[tuple[str, Agreement], ...] = ()
    pairs: tuple[PairAgreement, ...] = ()
    people: tuple[Person, ...] = ()
    flags: tuple[Flag, ...] = ()
    unmeasured: str | None = None
    strange: int = 0

    def as_dict(self) -> Row:
        """Return the figures as JSON-ready values."""
        told = asdict(self)
        told["by_version"] = [{"version": version, **asdict(found)} for version, found in self.by_version]
        told["by_language"] = [{"language": language, **asdict(found)} for language, found in self.by_language]
        return told


class Measured:
    """Results that were asked for last, each for one state of the tables. Thread-safe."""

    def __init__(self) -> None:
        self._found: OrderedDict[tuple[Any, ...], Quality] = OrderedDict()
        self._lock = threading.Lock()

    def of(
        self, cursor: duckdb.DuckDBPyConnection, project: str, label: LabelDef, paths: Sequence[str],
        task_id: str | None,
    ) -> Quality:  # fmt: skip
        """Return a label's figures, of one task or of all."""
        given = {"project": project, "paths": list(paths), "task": task_id}
        key = (project, label.path, label.kind, task_id, cursor.execute(_MARK, given).fetchone())
        with self._lock:
            found = self._found.get(key)
        if found is None:
            found = _measured(cursor, label, given)
            with self._lock:
                self._found[key] = found
                while len(self._found) > KEPT:
                    self._found.popitem(last=False)
        return found


def label_quality(cursor: duckdb.DuckDBPyConnection, project: str, path: str, kept: Measured) -> Quality:
    """Return the figures of a label over all tasks; raises NotFound."""
    label = get_label(cursor, project, path)
    return kept.of(cursor, project, label, former_paths(list_labels(cursor, project), label.path), None)


def task_quality(cursor: duckdb.DuckDBPyConnection, project: str, task: Task, kept: Measured) -> list[Quality]:
    """Return the figures of each label that a task asks, in its order."""
    labels = list_labels(cursor, project)
    asked = dict.fromkeys(get_label(cursor, project, path).path for path in task.labels if path in labels)
    return [kept.of(cursor, project, labels[path], former_paths(labels, path), task.task_id) for path in asked]


def _measured(cursor: duckdb.DuckDBPyConnection, label: LabelDef, given: Mapping[str, Any]) -> Quality:
    metric: Metric = "interval" if label.kind == "rating" else "nominal"
    if label.kind not in MEASURED:
        return Quality(label.path, metric, unmeasured="kind")
    said: list[tuple[Answer, int, str]] = []
    strange = 0
    for item, person, text, version, language in cursor.execute(_SAID, given).fetchall():
        if (value := _value(label.kind, json.loads(text))) is None:
            strange += 1
        else:
            said.append((Answer(item, person, value), version, language))
    if not said:
        return Quality(label.path, metric, unmeasured="no_answers", strange=strange)
    table = tabulate(one for one, _, _ in said)
    if metric == "nominal" and len(table.values) > MOST_VALUES:
        return Quality(label.path, metric, unmeasured="too_many_values", strange=strange)
    people, flags = _people(table) if metric == "nominal" else ((), ())
    return Quality(
        label.path, metric, agreement(table, metric),
        _split([(answer, version) for answer, version, _ in said], metric),
        _split([(answer, language) for answer, _, language in said], metric),
        kappa_by_pair(table, "quadratic" if metric == "interval" else "nominal"), people, flags, strange=strange,
    )  # fmt: skip


K = TypeVar("K", int, str)


def _split(said: Iterable[tuple[Answer, K]], metric: Metric) -> tuple[tuple[K, Agreement], ...]:
    """Return the agreement of each part of the answers."""
    parts: dict[K, list[Answer]] = {}
    for answer, part in said:
        parts.setdefault(part, []).append(answer)
    return tuple((part, agreement(tabulate(parts[part]), metric)) for part in sorted(parts))


def _people(table: AnswerTable) -> tuple[tuple[Person, ...], tuple[Flag, ...]]:
    """Return who is right how often; with one value, or one person, nobody can tell."""
    if len(table.values) < 2 or len(table.people) < 2:
        return (), ()
    found = one_coin(table)
    return found.people, conduct(table, found)


def _value(kind: str, value: Any) -> str | float | None:
    """Return an answer as it is compared, or None for one that is none to such a label.

    Who prefers the same reply agrees, however clearly each does.
    """
    if kind == "rating":
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
    if kind == "pairwise":
        return str(value.get("chosen") or value.get("outcome")) if isinstance(value, dict) else None
    if kind == "multi":
        return json.dumps(sorted(map(str, value)), ensure_ascii=False) if isinstance(value, list) else None
    if kind == "bool":
        return json.dumps(value) if isinstance(value, bool) else None
    return value if isinstance(value, str) else None
