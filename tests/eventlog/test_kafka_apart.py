"""Everything that knows kafka-python is in `eventlog.kafka_log`, and kafka-python stays as it was installed."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kafka_broker import Broker

REPOSITORY = Path(__file__).parents[2]
ROOM = REPOSITORY / "eventlog" / "kafka_log"
# Others than the packages of the product: what is measured and tested may be kafka-python itself.
APART = {"tests", "bench", "data", "node_modules"}

# Keeps every attribute alive while it works, so that no identity is used twice.
LOOK = """
import importlib, inspect, pkgutil, sys
import kafka

for module in pkgutil.walk_packages(kafka.__path__, "kafka."):
    # Programs, and old doors that warn.
    if not module.name.endswith("__main__") and not module.name.startswith(("kafka.benchmarks", "kafka.cli")):
        try:
            importlib.import_module(module.name)
        except ImportError:  # It needs what is not installed.
            pass

def attributes():
    found = {}
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] != "kafka":
            continue
        found |= {f"{name}.{at}": value for at, value in vars(module).items() if not at.startswith("__")}
        for thing in [value for value in vars(module).values() if inspect.isclass(value)]:
            if thing.__module__.split(".")[0] == "kafka":
                found |= {f"{thing.__module__}.{thing.__qualname__}.{at}": each for at, each in vars(thing).items()
                          if at != "__abstractmethods__"}
    return found

before = attributes()
assert len(before) > 5000, len(before)
"""

COMPARE = """
after = attributes()
print(*sorted(name for name in before if id(after.get(name)) != id(before[name])), sep="\\n")
"""

IMPORT = """
import eventlog.kafka_log
for module in pkgutil.walk_packages(eventlog.kafka_log.__path__, "eventlog.kafka_log."):
    importlib.import_module(module.name)
assert "eventlog.kafka_log.connect" in sys.modules
"""

USE = """
from contract.topics import EVENTS
from eventlog.log import Entry
from eventlog.opening import open_log
log = open_log(sys.argv[1], 3)
assert None not in log.append([Entry(EVENTS, "default:i1", b"{}")])
member, reader = log.member("alone", 6.0), log.reader({(EVENTS, at): 0 for at in range(3)})
assert len(reader.poll(10, 20.0)) == 1
reader.close()
member.close(10.0, leave=True)
log.close()
"""


def replaced(program: str, *arguments: str) -> list[str]:
    """Return the attributes of kafka's modules and classes that are others after this program than before it."""
    done = subprocess.run(
        [sys.executable, "-c", LOOK + program + COMPARE, *arguments], cwd=REPOSITORY,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.split()


def test_importing_the_log_on_kafka_leaves_kafka_python_as_it_was() -> None:
    assert replaced(IMPORT) == []


def test_what_is_replaced_is_found() -> None:
    patch = "import kafka.protocol.parser\nkafka.protocol.parser.KafkaBytes = bytearray\n"
    assert replaced(patch) == ["kafka.protocol.parser.KafkaBytes"]
    patch = "from kafka.coordinator.base import BaseCoordinator\nBaseCoordinator.need_rejoin = lambda self: False\n"
    assert replaced(patch) == ["kafka.coordinator.base.BaseCoordinator.need_rejoin"]


@pytest.mark.kafka
def test_using_the_log_on_kafka_leaves_kafka_python_as_it_was(apache: Broker) -> None:
    apache.empty()
    assert replaced(USE, f"kafka://{apache.address}") == []


def test_nothing_else_imports_kafka_python() -> None:
    files = [
        file
        for file in REPOSITORY.rglob("*.py")
        if not APART & set(file.relative_to(REPOSITORY).parts) and ROOM not in file.parents
        and not any(part.startswith(".") for part in file.relative_to(REPOSITORY).parts)
    ]  # fmt: skip
    assert len(files) > 200
    wrong = [f"{file.relative_to(REPOSITORY)}: {name}" for file in files for name in kafka_imports(file)]
    assert wrong == []
    assert any(kafka_imports(file) for file in ROOM.glob("*.py"))


def kafka_imports(file: Path) -> list[str]:
    """Return what this file imports of kafka-python, also inside functions and for type checkers."""
    names: list[str] = []
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.append(node.module or "")
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            names += [str(one.value) for one in node.args if isinstance(one, ast.Constant)]
    return [name for name in names if name.split(".")[0] == "kafka"]
