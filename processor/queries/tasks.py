"""In: a project, a task, a person. Out: tasks, their items with where these stand, and what a person may answer next.

with services().store.read() as cursor:
    task = get_task(cursor, "default", "tone")
    next_items = work_for(cursor, "default", task, "ann", "agent", exclude, services().books)
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

import duckdb

from contract.errors import ThumbwheelError
from contract.events import decode_stored
from processor.curation.standing import STANDINGS, ItemState
from processor.curation.tasks import Task, defined_tasks, may_take
from processor.queries.curation.book import Books, Counts, TaskBook
from processor.queries.curation.evidence import Item
from processor.queries.reading import NotFound, Page, Row, decode_key, encode_key, rows

_FACTS = """
SELECT type, body FROM facts WHERE project = $project AND type IN ('definition.task', 'task.state')
    AND ($task::TEXT IS NULL OR subject = $task)
"""
_THERE = """
SELECT interaction_id FROM interactions WHERE project = $project AND described AND list_contains($ids, interaction_id)
"""
# Asked at once whether they are in the tables: a few, since most are.
_AT_ONCE = 16


@dataclass(frozen=True)
class TaskItem:
    """An item of a task with its place in it and where it stands."""

    interaction_id: str
    unit: str
    position: int
    state: ItemState

    def as_dict(self) -> Row:
        """Return the item as JSON-ready values."""
        state = asdict(self.state)
        for name in ("voters", "deciders", "only"):
            state[name] = sorted(state[name])
        state["extra"] = list(self.state.extra)
        return {"interaction_id": self.interaction_id, "unit": self.unit, "position": self.position, **state}


def list_tasks(cursor: duckdb.DuckDBPyConnection, project: str) -> list[Task]:
    """Return the tasks, the newest first."""
    return list(_tasks(cursor, project).values())[::-1]


def get_task(cursor: duckdb.DuckDBPyConnection, project: str, task_id: str) -> Task:
    """Return one task; raises NotFound."""
    found = _tasks(cursor, project, task_id).get(task_id)
    if found is None:
        raise NotFound("unknown_task", f"No task {task_id!r} in project {project!r}.", "See the list of tasks.")
    return found


def _tasks(cursor: duckdb.DuckDBPyConnection, project: str, task_id: str | None = None) -> dict[str, Task]:
    definitions: list[Any] = []
    states: list[Any] = []
    for row in rows(cursor, _FACTS, {"project": project, "task": task_id}):
        fact: Any = decode_stored(row["body"].encode())
        (definitions if row["type"] == "definition.task" else states).append(fact)
    return defined_tasks(definitions, states)


def _book(cursor: duckdb.DuckDBPyConnection, project: str, task: Task, books: Books | None) -> TaskBook:
    return (books or Books()).of(cursor, project, task)


def work_for(
    cursor: duckdb.DuckDBPyConnection, project: str, task: Task, person: str, tier: str,
    exclude: Collection[Item] = (), books: Books | None = None, limit: int = 2,
) -> list[TaskItem]:  # fmt: skip
    """Return what a person may answer next, in the task's order; nothing of a task that is not open.

    Left out: what the person answered, skipped or decided about, what a stage gives to others or to a higher tier,
    what has answers enough, what is in `exclude` (leased to others, postponed), and what is not in the tables (yet).
    """
    if task.state != "open":
        return []
    book = _book(cursor, project, task, books)
    with book.lock:
        waiting = _answerable(book, task, person, tier, frozenset(exclude))
        found: list[TaskItem] = []
        while len(found) < limit and (some := list(islice(waiting, _AT_ONCE))):
            there = _there(cursor, project, some)
            found += [item for item in some if item.interaction_id in there]
    return found[:limit]


def _answerable(book: TaskBook, task: Task, person: str, tier: str, exclude: frozenset[Item]) -> Iterator[TaskItem]:
    for position in book.answerable():
        item = book.items[position]
        state = book.state(item)
        if (
            item not in exclude
            and state.may_answer(person)
            and may_take(task.stage(state.stage), person, tier, position)
        ):
            yield TaskItem(*item, position, state)


def _there(cursor: duckdb.DuckDBPyConnection, project: str, items: list[TaskItem]) -> set[str]:
    ids = list({item.interaction_id for item in items})
    return {row["interaction_id"] for row in rows(cursor, _THERE, {"project": project, "ids": ids})}


def find_item(
    cursor: duckdb.DuckDBPyConnection, project: str, task: Task, item: Item, books: Books | None = None
) -> TaskItem:
    """Return one item, (interaction id, unit), of a task; raises NotFound."""
    book = _book(cursor, project, task, books)
    position = book.positions.get(item)
    if position is None:
        raise NotFound(
            "unknown_item", f"Task {task.task_id!r} has no item {item[0]!r} with unit {item[1]!r}.",
            "See the items of the task.",
        )  # fmt: skip
    return TaskItem(*item, position, book.state(item))


def list_items(
    cursor: duckdb.DuckDBPyConnection, project: str, task: Task, *, state: str | None = None,
    after: str | None = None, limit: int = 50, books: Books | None = None,
) -> Page:  # fmt: skip
    """Return a page of items as `TaskItem`s' dicts, in the order they entered; `state` keeps those that stand there."""
    if state and state not in STANDINGS:
        raise ThumbwheelError("bad_state", f"No item is {state!r}.", f"Use one of: {', '.join(STANDINGS)}.", "state")
    book = _book(cursor, project, task, books)
    start = _place(after)
    found: list[Row] = []
    with book.lock:
        for position in range(start, len(book.items)):
            item = book.items[position]
            here = book.state(item)
            if state and here.state != state:
                continue
            if len(found) == limit:
                return Page(found, encode_key(str(position)))
            found.append(TaskItem(*item, position, here).as_dict())
    return Page(found)


def _place(after: str | None) -> int:
    if not after:
        return 0
    text = decode_key(after)
    if not text.isdigit():
        raise ThumbwheelError(
            "bad_cursor", "The cursor is not one of ours.", "Use `next` of the page before.", "cursor"
        )
    return int(text)


def progress(
    cursor: duckdb.DuckDBPyConnection, project: str, task: Task, books: Books | None = None
) -> Counts:  # fmt: skip
    """Return how far a task is: items by state and stage, answers by person and label."""
    return _book(cursor, project, task, books).counts()


def stuck_items(
    cursor: duckdb.DuckDBPyConnection, project: str, task: Task, books: Books | None = None, limit: int = 50
) -> list[TaskItem]:
    """Return items that do not go on by themselves, with `why`, in the order they entered."""
    book = _book(cursor, project, task, books)
    with book.lock:
        return [TaskItem(*item, book.positions[item], book.state(item)) for item in book.stuck()[:limit]]
