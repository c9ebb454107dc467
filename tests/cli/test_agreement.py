"""`thumbwheel agreement`: figures with intervals and coverage, of a label or a task; and what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli.main import cli
from tests.console.bench import Bench, open_bench, prepare
from tests.console.test_quality import crowd


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Bench, Path]]:
    home: Path = tmp_path_factory.mktemp("home")
    prepare(home)
    with open_bench(home) as opened:
        crowd(opened)
        yield opened, home


@pytest.fixture
def run(bench: tuple[Bench, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("THUMBWHEEL_HOME", str(bench[1]))
    monkeypatch.setenv("THUMBWHEEL_SERVICE_KEY", bench[0].service)
    with bench[0].served() as url:
        monkeypatch.setenv("THUMBWHEEL_CONSOLE_URL", url)
        yield lambda *arguments: CliRunner().invoke(cli, ["agreement", *arguments])


def test_figures_come_with_interval_coverage_and_evidence(run: Any) -> None:
    told = run("--label", "tone")
    assert told.exit_code == 0 and "60 of 60" in told.output and "p-slow: as the crowd makes likely" in told.output
    assert "look at p-copy, p-original: copies" in told.output
    same = json.loads(run("--task", "tone", "--json").output)["items"][0]
    assert same["whole"]["alpha"]["low"] < same["whole"]["alpha"]["value"] < same["whole"]["alpha"]["high"]


@pytest.mark.parametrize("asked", [(), ("--label", "tone", "--task", "tone"), ("--label", "nothing")])
def test_a_wrong_question_is_one_line_with_a_hint(run: Any, asked: tuple[str, ...]) -> None:
    told = run(*asked)
    assert told.exit_code != 0 and "hint:" in told.output
