"""Live tasks: what comes to match a task's query enters it, once, also after a restart.

The tables say what is in a task, so nothing is remembered here but what was appended and is not in them yet. It also
keeps the books of open tasks ready: who asks for an item finds them made.
"""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime

from contract.curation.definitions import ItemRef, TaskItems
from contract.envelope import Actor
from contract.errors import ThumbwheelError
from contract.events import stamp
from contract.ids import uuid7
from eventlog.log import Log, append_all
from processor.curation.query import parse_query
from processor.curation.tasks import Task
from processor.queries.curation.book import KEPT, Books
from processor.queries.curation.evidence import Item
from processor.queries.curation.matching import items_of, new_items
from processor.queries.overview import stored_projects
from processor.queries.tasks import list_tasks
from processor.tables.store import Store

log_lines = logging.getLogger("processor.live_tasks")

EVERY_S = 2.0
# As many as a fact may name.
AT_ONCE = 1000
_BY = Actor(id="tasks", kind="system")


class LiveTasks:
    """A thread that follows the tables until `stop`."""

    def __init__(self, store: Store, log: Log, books: Books, *, every_s: float = EVERY_S) -> None:
        self._store = store
        self._log = log
        self._books = books
        self._every_s = every_s
        self._stopping = threading.Event()
        self._seen: dict[tuple[str, int], int] | None = None
        self._sent: dict[tuple[str, str], set[Item]] = {}
        self._thread = threading.Thread(target=self._follow, name="live-tasks", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, timeout_s: float = 2.0) -> None:
        """End after the turn in hand."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def take_in(self) -> int:
        """Look once at every open live task, if anything came; return how many items were appended."""
        seen = self._store.offsets()
        if seen == self._seen:
            return 0
        appended = 0
        for project in self._projects():
            with self._store.read() as cursor:
                open_tasks = [task for task in list_tasks(cursor, project) if task.state == "open"]
            for task in open_tasks:
                if task.live:
                    appended += self._take_in(project, task)
            self._keep_ready(project, open_tasks[:KEPT])
        self._seen = seen
        return appended

    def _projects(self) -> list[str]:
        with self._store.read() as cursor:
            return sorted(stored_projects(cursor))

    def _take_in(self, project: str, task: Task) -> int:
        sent = self._sent.setdefault((project, task.task_id), set())
        with self._store.read() as cursor:
            if sent:
                sent -= items_of(cursor, project, task.task_id)
            query = parse_query(task.query)
            found = new_items(cursor, project, task.task_id, query, task.unit, AT_ONCE + len(sent))
        items = [item for item in found if item not in sent][:AT_ONCE]
        if not items:
            return 0
        fact = TaskItems(
            event_id=str(uuid7()), occurred_at=datetime.now(UTC), actor=_BY, task_id=task.task_id,
            items=[ItemRef(interaction_id=interaction_id, unit=unit) for interaction_id, unit in items],
        )  # fmt: skip
        append_all(self._log, [stamp(fact, project=project, key_id="tasks", via="console")])
        sent.update(items)
        return len(items)

    def _keep_ready(self, project: str, open_tasks: list[Task]) -> None:
        for task in open_tasks:
            if self._stopping.is_set():
                return
            with self._store.read() as cursor:
                self._books.of(cursor, project, task)

    def _follow(self) -> None:
        while not self._stopping.wait(self._every_s):
            try:
                self.take_in()
            except ThumbwheelError as error:
                log_lines.warning("Live tasks take in nothing now: %s", error.line())
