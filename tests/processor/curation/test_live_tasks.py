"""Live tasks: what comes to match enters once, whenever the second condition becomes true, also after a restart."""

from __future__ import annotations

import pytest

from contract.topics import EVENTS, TOPICS
from eventlog.log import Log, append_all
from processor.curation.tasks import Task
from processor.ingest.runner import store_records
from processor.live_tasks import LiveTasks
from processor.queries.curation.book import Books
from processor.queries.tasks import get_task, list_items
from processor.tables.store import Store
from tests.processor.samples import event, interaction

LIVE = event("definition.task", "live", actor="lead", task_id="t", labels=["tone"], stages=[{"k": 1}], live=True,
             query={"include_labels": ["refund"], "kinds": ["thumb"]})  # fmt: skip


class Project:
    """A log, its tables, and who follows them."""

    def __init__(self, store: Store, log: Log) -> None:
        self.store, self.log = store, log
        self.live = self.started()

    def started(self) -> LiveTasks:
        return LiveTasks(self.store, self.log, Books())

    def catch_up(self, *topics: str) -> None:
        offsets = self.store.offsets()
        reader = self.log.reader({place: at for place, at in offsets.items() if place[0] in (topics or TOPICS)})
        try:
            while records := reader.poll(1000, 0.05):
                store_records(self.store, records)
        finally:
            reader.close()

    def put(self, *events: object) -> None:
        append_all(self.log, events)  # type: ignore[arg-type]
        self.catch_up()

    def items(self) -> list[str]:
        with self.store.read() as cursor:
            task: Task = get_task(cursor, "default", "t")
            return [one["interaction_id"] for one in list_items(cursor, "default", task).items]

    def facts(self) -> int:
        with self.store.read() as cursor:
            row = cursor.execute("SELECT count(*) FROM facts WHERE type = 'task.items'").fetchone()
        return int(row[0]) if row else 0


@pytest.fixture
def project(store: Store, log: Log) -> Project:
    return Project(store, log)


def thumb(name: str) -> object:
    return event("thumb", f"thumb {name}", at=700, interaction_id=name, candidate_id="a", value="up")


def test_an_item_enters_once_when_its_second_condition_becomes_true_after_a_restart(project: Project) -> None:
    project.put(LIVE, *(interaction(f"i-{n}", {"a": "Yes."}, labels=["refund/late"]) for n in (1, 2)))
    assert project.live.take_in() == 0 and project.items() == []
    project.live = project.started()
    project.put(thumb("i-1"))
    assert project.live.take_in() == 1
    project.catch_up()
    assert project.items() == ["i-1"]
    for _ in range(3):
        project.put(thumb("i-1"))
        assert project.live.take_in() == 0
    assert project.facts() == 1


def test_what_was_appended_is_not_appended_again_while_it_is_on_its_way(project: Project) -> None:
    project.put(LIVE, interaction("i-1", {"a": "Yes."}, labels=["refund"]), thumb("i-1"))
    assert project.live.take_in() == 1
    other = interaction("i-2", {"a": "Yes."}, labels=["refund"])
    append_all(project.log, [other])  # the tables take this in, and not yet what was appended to the other topic
    project.catch_up(EVENTS)
    assert project.live.take_in() == 0
    # Whoever starts anew meanwhile appends it again: it is in the task once all the same.
    assert project.started().take_in() == 1
    project.catch_up()
    assert (project.items(), project.facts()) == (["i-1"], 2)


def test_a_paused_closed_or_frozen_task_takes_in_nothing(project: Project) -> None:
    frozen = event("definition.task", "frozen", actor="lead", task_id="f", labels=["tone"], stages=[{"k": 1}])
    project.put(LIVE, frozen, interaction("i-1", {"a": "Yes."}, labels=["refund"]), thumb("i-1"))
    project.put(event("task.state", "pause", at=1, task_id="t", state="paused"))
    assert project.live.take_in() == 0
    project.put(event("task.state", "open", at=2, task_id="t", state="open"))
    assert project.live.take_in() == 1
    project.catch_up()
    assert project.items() == ["i-1"]
