"""A task with every kind of question, its items, and people who answer it."""

from __future__ import annotations

from typing import Any

from contract.events import Event, decode_event, stamp
from contract.ids import derived_id
from tests.console.bench import PASSWORD, Bench
from tests.console.story import event, moment

TASK = "tone"
MODEL = "secret-model-9000"
REPLIES = ("I am sorry. We refund you today. 😀 Bye.", "Please wait.", "It depends on many factors.", "我们今天退款。")


def fact(name: str, at: float, body: dict[str, Any]) -> Event:
    """Return a stamped fact of a manager."""
    made = decode_event({
        "event_id": str(derived_id("default", name)), "occurred_at": moment(at).isoformat(),
        "actor": {"id": "mia", "kind": "expert"}, **body,
    })  # fmt: skip
    return stamp(made, project="default", key_id="console", via="console", received_at=moment(at))


def label(path: str, kind: str, at: float = 0, **fields: Any) -> Event:
    fields.setdefault("title", {"en": path.capitalize(), "zh": f"标签{len(path)}"})
    return fact(
        f"label {path} {at}", at, {"type": "definition.label", "path": path, "kind": kind, "version": 1, **fields}
    )


def choices(*keys: str) -> list[dict[str, Any]]:
    names = {"polite": "礼貌", "rude": "失礼", "flat": "平淡", "late": "太晚", "wrong": "有误"}
    return [{"key": key, "title": {"en": key.capitalize(), "zh": names.get(key, "选项")}} for key in keys]


LABELS = (
    label("tone", "choice", choices=choices("polite", "rude", "flat"), required=True, guideline="g-1"),
    label("faults", "multi", choices=choices("late", "wrong")),
    label("score", "rating", min=1, max=5, step=1),
    label("safe", "bool"),
    label("reason", "text"),
    label("better", "pairwise"),
    label("order", "ranking"),
    label("claims", "span", scope="span"),
    label("fix", "correction", scope="candidate"),
)
KINDS = tuple(one.path for one in LABELS)
GUIDELINE = fact("guideline", 0, {
    "type": "definition.guideline", "id": "g-1", "version": 1, "markdown": "# Tone\n\nPolite means …",
    "markdown_zh": "# 语气\n\n礼貌是指……",
})  # fmt: skip


def task(
    name: str = TASK, at: float = 1, labels: tuple[str, ...] = ("tone", "better"), version: int = 1, **fields: Any
) -> Event:
    fields.setdefault("stages", [{"k": 2}])
    return fact(f"task {name} {version}", at, {
        "type": "definition.task", "task_id": name, "version": version, "labels": list(labels),
        "title": {"en": f"Task {name}", "zh": "判断语气"}, **fields,
    })  # fmt: skip


def interactions(count: int, replies: int = 2, at: float = 2) -> list[Any]:
    return [
        event(
            "interaction", f"i-{n}", at + n / 100, via="gateway", actor=("gateway", "system"), interaction_id=f"i-{n}",
            messages=[{"role": "user", "content": f"Where is my parcel {n}?"}], surface="workbench",
            candidates=[
                {"candidate_id": f"i-{n}-c{m}", "content": f"{REPLIES[m]} ({n})", "model": MODEL}
                for m in range(replies)
            ],
        )
        for n in range(count)
    ]  # fmt: skip


def items(count: int, name: str = TASK, at: float = 3, unit: str = "") -> list[Any]:
    refs = [{"interaction_id": f"i-{n}", "unit": unit.format(n=n)} for n in range(count)]
    return [
        fact(f"items {name} {at} {start}", at, {
            "type": "task.items", "task_id": name, "items": refs[start : start + 1000],
        })
        for start in range(0, count, 1000)
    ]  # fmt: skip


def tell(bench: Bench, count: int = 3, replies: int = 2, unit: str = "", **fields: Any) -> None:
    """Put a task with so many items into the tables, and make people who may answer it."""
    bench.put(*LABELS, GUIDELINE, *interactions(count, replies), task(**fields), *items(count, unit=unit))
    people(bench)


def people(bench: Bench) -> None:
    known = {user.name for user in bench.control.list_users()}
    for name in ("ann", "bob", "cyd"):
        if name not in known:
            bench.control.create_user(name, PASSWORD, "annotator")


class Annotator:
    """One person at the work API, under a secret key that names them."""

    def __init__(self, bench: Bench, name: str, task_id: str = TASK) -> None:
        self.bench = bench
        self.name = name
        self.task_id = task_id

    def post(self, what: str, status: int = 200, **body: Any) -> Any:
        answer = self.bench.app.test_client().post(
            f"/api/v1/tasks/{self.task_id}/{what}", json={"as": self.name, **body},
            headers={"Authorization": f"Bearer {self.bench.secret}"},
        )  # fmt: skip
        assert answer.status_code == status, answer.text
        return answer.get_json()

    def next(self, *have: str) -> Any:
        return self.post("next", have=list(have))["item"]

    def submit(self, given: Any, status: int = 200, **fields: Any) -> Any:
        fields.setdefault("answers", {"tone": "polite"})
        return self.post("submit", status, token=given["token"], **fields)
