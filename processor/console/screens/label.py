"""In: what waits for a person. Out: their queue, and the page on which they answer one item after another.

The page's script asks the work API (`data_api/work.py`); its words come from here, in the reader's language.
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, g, redirect, render_template, url_for

from processor.console.curation import label_words, work
from processor.console.permissions import GUEST, needs
from processor.console.services import project, reading

blueprint = Blueprint("label", __name__, url_prefix="/label")


@blueprint.get("")
@needs("label.work")
def index() -> Any:
    """List the tasks that wait for this person; a guest has one."""
    who = work.worker()
    if who.bound is not None:
        return redirect(url_for(".work_on", task_id=who.bound))
    return render_template("label_queue.html", tasks=work.my_tasks(who), tier=who.tier)


@blueprint.get("/<task_id>")
@needs("label.work")
def work_on(task_id: str) -> Any:
    """Show the page of a task; its script asks for the items."""
    who = work.worker()
    with reading() as cursor:
        task = work.open_task(cursor, who, task_id)
    return render_template(
        "label_work.html", task=task, frame="_guest.html" if g.user.role == GUEST else "base.html",
        bench={"task": task_id, "project": project(), "person": who.person, "words": label_words.said()},
    )  # fmt: skip
