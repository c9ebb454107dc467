"""The page of a run: what it trains and why, each stage with its rows, in both languages."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from cli.runs import stage_lines
from contract.envelope import Actor
from contract.events import stamp
from contract.facts import RunFinished, RunProgress, RunStarted
from contract.ids import uuid7
from eventlog.log import append_all
from processor.queries.facts import find_run, list_runs
from tests.console.bench import Bench

PLAN = (
    "Stage 1: SFT on 32 rows of the kind demonstration.",
    "Stage 2: KTO on 96 rows of the kind unpaired.",
    "Each stage continues the adapter of the one before, which is also what it is compared with.",
    "No DPO: 1 rows of the kind preference, and it takes 32.",
)
STAGES: list[dict[str, Any]] = [
    {"objective": "sft", "kind": "demonstration", "rows": 30, "steps": 8, "dropped": {"prompt_too_long": 2},
     "loss_first": 3.5, "loss_last": 2.25, "shortened": 3, "config": {"lr": 2e-4, "batch": 8, "max_length": 512}},
    {"objective": "kto", "kind": "unpaired", "rows": 0, "steps": 0, "dropped": {"refused_by_template": 96},
     "skipped": "No thumb is left to train on ({'refused_by_template': 96}).", "config": {"lr": 5e-4}},
]  # fmt: skip


def told(bench: Bench, *facts: Any) -> None:
    """Append facts of the run `run-1` and let the processor read them."""
    common = {"occurred_at": datetime.now(UTC), "actor": Actor(id="trainer", kind="system"), "run_id": "run-1"}
    events = [kind(event_id=str(uuid7()), **common, **fields) for kind, fields in facts]
    append_all(bench.log, [stamp(event, project="default", key_id="trainer", via="trainer") for event in events])
    bench.catch_up()


BEGUN = (
    (RunStarted, {"method": "auto", "config": {}}),
    (RunProgress, {"step": 0, "total_steps": 20, "metrics": {"seconds": 0.0, "plan": list(PLAN)}}),
    (RunProgress, {"step": 2, "total_steps": 20, "metrics": {"loss": 3.5, "stage": "sft"}}),
)  # fmt: skip
ENDED = (RunFinished, {"adapter_id": "ad-1", "metrics": {"plan": list(PLAN), "stages": STAGES}})


def test_a_run_says_its_plan_while_it_trains(bench: Bench) -> None:
    told(bench, *BEGUN)
    with bench.store.read() as cursor:
        listed, found = list_runs(cursor, "default")[0], find_run(cursor, "default", "run-1")
    for run in (listed, found):
        assert (run["plan"], run["stage"], run["step"], run["total_steps"]) == (list(PLAN), "sft", 2, 20)
    assert [row["step"] for row in found["series"]] == [2]


@pytest.mark.parametrize(
    ("language", "says"),
    [
        ("en", ["Stage 1: SFT on 32 rows", "prompt too long", "No thumb is left", "What it trains"]),
        ("zh-CN", ["第 1 阶段：用 32 行示范做 SFT", "提问过长", "不做 DPO：偏好对只有 1 行", "训练内容"]),
    ],
)
def test_the_page_shows_plan_and_stages(
    bench: Bench, login: Callable[..., Any], language: str, says: list[str]
) -> None:
    told(bench, *BEGUN, ENDED)
    page = login().get("/runs/run-1", headers={"Accept-Language": language}).get_data(as_text=True)
    assert [one for one in says if one not in page] == []


def test_the_command_line_names_each_stage() -> None:
    assert stage_lines({"metrics": {"stages": STAGES}}) == [
        "SFT: 30 rows, 8 steps, loss 3.5 to 2.25, 3 prompts shortened, left out: 2 prompt too long "
        "(the setting max_length is 512)",
        "KTO: did not train. No thumb is left to train on ({'refused_by_template': 96}).",
    ]
    assert stage_lines({"metrics": {}}) == []
