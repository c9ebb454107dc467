"""The figures of a label, or of a task's labels, as a page or a program asks for them."""

from __future__ import annotations

from contract.errors import ThumbwheelError
from processor.console.services import project, reading, services
from processor.queries.curation.quality import Quality, label_quality, task_quality
from processor.queries.tasks import get_task


def asked_quality(label: str | None, task_id: str | None) -> list[Quality]:
    """Return the figures of one label over all tasks, or of each label of a task; raises ThumbwheelError, NotFound."""
    if bool(label) == bool(task_id):
        raise ThumbwheelError("bad_choice", "Neither a label nor a task.", "Name one of label and task.", "label")
    with reading() as cursor:
        if label:
            return [label_quality(cursor, project(), label, services().measured)]
        return task_quality(cursor, project(), get_task(cursor, project(), str(task_id)), services().measured)
