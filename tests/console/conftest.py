from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from tests.console import story
from tests.console.bench import PASSWORD, Bench, open_bench, prepare

_CSRF = re.compile(r'name="csrf" value="([0-9a-f]{64})"')


@pytest.fixture(scope="session")
def empty_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with users and empty tables, to be copied."""
    home = tmp_path_factory.mktemp("empty")
    prepare(home)
    return home


@pytest.fixture(scope="session")
def told_home(empty_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose project has lived through a turn: feedback, dataset, run, challenger, blind picks."""
    home = tmp_path_factory.mktemp("told")
    shutil.copytree(empty_home, home, dirs_exist_ok=True)
    with open_bench(home) as bench:
        story.tell(bench)
    return home


@pytest.fixture
def bench(empty_home: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Bench]:
    """A console over an empty home, unless the test also asks for `told`."""
    if "told" not in request.fixturenames:
        shutil.copytree(empty_home, tmp_path, dirs_exist_ok=True)
    with open_bench(tmp_path) as opened:
        yield opened


@pytest.fixture
def told(told_home: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Bench:
    """A console over a copy of the told home; a test that also uses `bench` or `login` gets the same one."""
    shutil.copytree(told_home, tmp_path, dirs_exist_ok=True)
    found: Bench = request.getfixturevalue("bench")
    return found


@pytest.fixture
def login(request: pytest.FixtureRequest) -> Callable[..., FlaskClient]:
    """Log in by name; asks for the bench only when called, so that `told` comes first."""

    def log_in(name: str = "ada") -> FlaskClient:
        bench: Bench = request.getfixturevalue("bench")
        client = bench.app.test_client()
        answer = client.post("/login", data={"name": name, "password": PASSWORD})
        assert answer.status_code == 303
        return client

    return log_in


@pytest.fixture
def csrf() -> Callable[[FlaskClient], str]:
    """Find a session's form token on a page."""

    def find(client: FlaskClient) -> str:
        match = _CSRF.search(client.get("/adapters").get_data(as_text=True))
        assert match
        return match[1]

    return find
