"""`thumbwheel annotate` and `guests` over a console that runs: every kind of question typed, also wrongly."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cli.main import cli
from tests.console import labelling
from tests.console.bench import Bench, open_bench
from tests.console.labelling import KINDS, TASK, tell


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    with open_bench(tmp_path) as bench, bench.served() as address:
        monkeypatch.setenv("THUMBWHEEL_HOME", str(tmp_path))
        monkeypatch.setenv("THUMBWHEEL_CONSOLE_URL", address)
        monkeypatch.setenv("THUMBWHEEL_SERVICE_KEY", bench.service)
        yield bench


def run(*arguments: str, typed: str = "") -> Result:
    return CliRunner().invoke(cli, arguments, input=typed)


def said(bench: Bench) -> list[tuple[str, str, Any]]:
    bench.catch_up()
    with bench.store.read() as cursor:
        found = cursor.execute("SELECT interaction_id, label, value, state FROM answers ORDER BY ALL").fetchall()
    return [(interaction, label, json.loads(value)) for interaction, label, value, state in found if state == "vote"]


def test_every_kind_of_question_is_answered_in_the_terminal(running: Bench) -> None:
    tell(running, count=1, labels=KINDS)
    # An answer that is not offered is asked for again; reason is left out.
    typed = "\n".join(("9", "2", "1,2", "4", "1", "", "2!!!", "2=1", "1:i", "q"))
    done = run("annotate", "--as", "ann", "--limit", "1", typed=typed)
    assert done.exit_code == 0, done.output
    assert "that is no answer" in done.output and labelling.MODEL not in done.output
    found = {label: value for _, label, value in said(running)}
    assert (found["tone"], found["faults"], found["score"], found["safe"]) == ("rude", ["late", "wrong"], 4, True)
    assert found["better"]["strength"] == 3 and len(found["order"][0]) == 2 and found["claims"][0]["text"] == "i"
    assert "reason" not in found and done.output.endswith("1 item done.\n")


def test_skip_put_off_take_back_and_end_have_letters(running: Bench) -> None:
    tell(running, count=3, labels=("tone",), stages=[{"k": 1}])
    typed = "\n".join(("d", "s", "not my language", "1", "u", "2", "q"))
    done = run("annotate", "--as", "ann", "--task", TASK, typed=typed)
    assert done.exit_code == 0, done.output
    assert said(running) == [("i-1", "@skipped", "not my language"), ("i-2", "tone", "rude")]


def test_a_needed_answer_that_is_left_out_is_asked_for_again(running: Bench) -> None:
    tell(running, count=1, labels=("tone",))
    done = run("annotate", "--as", "ann", typed="\n1\n")
    assert "answer is needed" in done.output and [one[1:] for one in said(running)] == [("tone", "polite")]


@pytest.mark.parametrize(
    ("arguments", "says"), [(("--as", "nobody"), "no user who may label"), (("--as", "ann"), "No task")]
)
def test_who_cannot_work_is_told_so_in_a_line(running: Bench, arguments: tuple[str, ...], says: str) -> None:
    labelling.people(running)
    done = run("annotate", *arguments)
    assert done.exit_code == 1 and says in done.output and "hint:" in done.output


def test_guest_links_are_made_listed_and_revoked(running: Bench) -> None:
    tell(running, count=1, stages=[{"tier": "crowd"}])
    made = json.loads(run("guests", "create", TASK, "--count", "2", "--json").output)
    assert len(made) == 2 and all("/guest/" in one["url"] for one in made)
    assert "is closed" in run("guests", "revoke", made[0]["link_id"]).output
    listed = json.loads(run("guests", "list", TASK, "--json").output)
    assert [one["state"] for one in listed] == ["revoked", "open"] and "url" not in listed[0]
    assert run("guests", "create", TASK, "--days", "0").exit_code == 1
