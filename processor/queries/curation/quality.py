"""In: a label, or a task. Out: how far people agree on it, who is right how often, and what is worth a look.

Computed from the tables when it is asked for, kept until they change; no part of the digest. What the figures mean, and
when not to believe them: docs/concepts/annotation-numbers.md.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

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
LANGUAGES = ("zh", "other")
# So many results are kept.
KEPT = 32
_STATE = 'SELECT topic, "partition", next_offset FROM offsets ORDER BY ALL'
# Of a person's answers on one item the first round counts: later ones were given knowing that it came back.
_SAID = """
SELECT a.interaction_id || chr(31) || a.unit || chr(31) || coalesce(a.task_id, '') AS item, a.actor_id AS person,
    a.value, a.label_version AS version, a.shown_place AS place,
    CASE WHEN regexp_matches(coalesce(i.prompt_text, ''), '[\u3400-\u9fff]') THEN 'zh' ELSE 'other' END AS language
FROM (
    SELECT *, NULL AS shown_place,
        row_number() OVER (PARTITION BY interaction_key, unit, task_id, actor_id ORDER BY round, received_at, event_id) AS n
    FROM answers
    WHERE project = $project AND label IN (SELECT unnest($paths::TEXT[])) AND state IN ('vote', 'untrusted')
        AND actor_kind NOT IN ('ai', 'system') AND ($task::TEXT IS NULL OR task_id = $task)
) a LEFT JOIN interactions i USING (interaction_key)
WHERE a.n = 1
"""


@dataclass(frozen=True)
class Quality:
    """The figures of one label: over all, by version and language of the prompt; of pairs and of people.

    `unmeasured`: why there are none, or None.
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
        state = tuple(cursor.execute(_STATE).fetchall())
        key = (project, label.path, label.version, tuple(paths), task_id, state)
        with self._lock:
            found = self._found.get(key)
        if found is None:
            found = _measured(cursor, project, label, paths, task_id)
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


def _measured(
    cursor: duckdb.DuckDBPyConnection, project: str, label: LabelDef, paths: Sequence[str], task_id: str | None
) -> Quality:
    metric: Metric = "interval" if label.kind == "rating" else "nominal"
    if label.kind not in MEASURED:
        return Quality(label.path, metric, unmeasured="kind")
    found = cursor.execute(_SAID, {"project": project, "paths": list(paths), "task": task_id}).fetchall()
    said = [(Answer(item, person, _value(label.kind, value)), version, language)
            for item, person, value, version, _, language in found]  # fmt: skip
    if not said:
        return Quality(label.path, metric, unmeasured="no_answers")
    table = tabulate(one for one, _, _ in said)
    if metric == "nominal" and len(table.values) > MOST_VALUES:
        return Quality(label.path, metric, unmeasured="too_many_values")
    versions, languages = sorted({version for _, version, _ in said}), [one for one in LANGUAGES]
    people, flags = _people(table)
    return Quality(
        label.path, metric, agreement(table, metric),
        tuple((v, agreement(tabulate(a for a, version, _ in said if version == v), metric)) for v in versions),
        tuple((tongue, agreement(tabulate(some), metric)) for tongue in languages
              if (some := [a for a, _, language in said if language == tongue])),
        kappa_by_pair(table, "quadratic" if metric == "interval" else "nominal"), people, flags,
    )  # fmt: skip


def _people(table: AnswerTable) -> tuple[tuple[Person, ...], tuple[Flag, ...]]:
    """Return who is right how often, which needs two values and two people; with one of either nobody can tell."""
    if len(table.values) < 2 or len(table.people) < 2 or len(table.values) > MOST_VALUES:
        return (), ()
    found = one_coin(table)
    return found.people, conduct(table, found)


def _value(kind: str, text: str) -> str | float:
    """Return an answer as it is compared: a number, or its JSON; who prefers the same reply agrees, however strongly."""
    value = json.loads(text)
    if kind == "rating":
        return float(value)
    if kind == "pairwise" and isinstance(value, dict):
        return str(value.get("chosen") or value.get("outcome"))
    if kind == "multi" and isinstance(value, list):
        return json.dumps(sorted(map(str, value)), ensure_ascii=False)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
