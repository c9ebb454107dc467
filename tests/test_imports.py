"""Imports point one way, and each service starts with nothing installed but its own extra."""

from __future__ import annotations

import ast
import importlib.metadata
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
# The floor plan, from the ground up: a room imports what stands before it, never what stands after it.
ROOMS = (
    "contract", "trials", "inference", "runtime", "control_store", "eventlog", "collector", "processor", "gateway",
    "trainer", "cli",
)  # fmt: skip
# Programs of their own: they meet in the log, over HTTP and in folders, and import only the rooms all of them share.
SERVICES = {"collector", "processor", "gateway", "trainer"}
# Nobody's ground: they import no room of ours (the SDK none at all).
APART = {"sdk/python/thumbwheel": set(), "examples": {"thumbwheel"}}
OURS = {*ROOMS, "thumbwheel", "examples", "bench", "tests"}


def modules(folder: str) -> Iterator[tuple[Path, str]]:
    """Yield each module's file and dotted name."""
    root = REPOSITORY / folder
    for file in sorted(root.rglob("*.py")):
        parts = (root.name, *file.relative_to(root).with_suffix("").parts)
        yield file, ".".join(parts).removesuffix(".__init__")


def typing_only(tree: ast.Module) -> set[int]:
    """Return the ids of nodes that only type checkers see."""
    return {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for branch in node.body
        for inner in ast.walk(branch)
    }


def imported(file: Path, for_types: bool = True) -> Iterator[tuple[int, str]]:
    """Yield line and dotted name of every import, also of those inside functions (and for type checkers only).

    `from a import b` yields `a.b`, which may be a module or a name in one.
    """
    tree = ast.parse(file.read_text("utf-8"))
    skipped = set() if for_types else typing_only(tree)
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def upward(room: str, name: str) -> bool:
    """Say whether a room may not import this name."""
    other = name.split(".")[0]
    if other not in OURS or other == room:
        return False
    if other not in ROOMS or ROOMS.index(other) > ROOMS.index(room):
        # The command line works for the host's developer too: it makes signed events as the SDK does.
        return not (room == "cli" and other == "thumbwheel")
    return room in SERVICES and other in SERVICES


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_what_stands_before_it(room: str) -> None:
    wrong = [
        f"{file.relative_to(REPOSITORY)}:{line} imports {name}"
        for file, _ in modules(room)
        for line, name in imported(file)
        if upward(room, name)
    ]
    assert wrong == []


@pytest.mark.parametrize("folder", sorted(APART))
def test_the_sdk_and_the_examples_stand_apart(folder: str) -> None:
    own = Path(folder).name
    wrong = [
        f"{file.relative_to(REPOSITORY)}:{line} imports {name}"
        for file, _ in modules(folder)
        for line, name in imported(file)
        if name.split(".")[0] in OURS - APART[folder] - {own}
    ]
    assert wrong == []


def arrows() -> dict[str, set[str]]:
    """Return which of our modules each imports."""
    files = {name: file for room in ROOMS for file, name in modules(room)}
    found: dict[str, set[str]] = {}
    for module, file in files.items():
        named = {name if name in files else name.rpartition(".")[0] for _, name in imported(file)}
        found[module] = {name for name in named if name in files and name != module}
    return found


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Return each set of nodes that reach one another."""
    reached: dict[str, set[str]] = {}
    for start in graph:
        seen: set[str] = set()
        waiting = list(graph[start])
        while waiting:
            node = waiting.pop()
            if node not in seen:
                seen.add(node)
                waiting += graph.get(node, ())
        reached[start] = seen
    found = {
        tuple(sorted(other for other in graph if other in reached[node] and node in reached[other]))
        for node in graph if node in reached[node]
    }  # fmt: skip
    return [list(circle) for circle in sorted(found)]


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circles(arrows()) == []


def test_no_folders_inside_a_room_import_each_other_in_a_circle() -> None:
    """Folders as wholes: `processor/queries` may not need `processor/console` and the other way round."""

    def folder(module: str) -> str:
        parts = module.split(".")
        return ".".join(parts[:2]) if (REPOSITORY / Path(*parts[:2])).is_dir() and len(parts) > 1 else module

    graph: dict[str, set[str]] = {}
    for module, others in arrows().items():
        own = graph.setdefault(folder(module), set())
        own |= {folder(other) for other in others} - {folder(module)}
    assert circles(graph) == []


def test_a_circle_and_an_arrow_upward_are_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == [["b", "c"]]
    assert upward("eventlog", "processor.tables.store") and upward("gateway", "processor.queries")
    assert upward("trainer", "gateway.app") and upward("contract", "tests.stack")
    assert not upward("processor", "trials.rule") and not upward("cli", "trainer.run")


def test_only_the_kafka_log_knows_the_kafka_client() -> None:
    wrong = [
        f"{file.relative_to(REPOSITORY)}:{line}"
        for room in ROOMS
        for file, name in modules(room)
        if not name.startswith("eventlog.kafka_log")
        for line, imports in imported(file)
        if imports.split(".")[0] == "kafka"
    ]
    assert wrong == []


# Lists of equals: one more of them makes a folder no harder to read.
EQUALS = {"bench", "cli/commands", "processor/importers", "processor/exporters", "processor/console/screens",
          "processor/console/data_api", "tests"}  # fmt: skip


def test_no_folder_shows_more_than_sixteen_modules() -> None:
    crowded = {}
    for root in (*ROOMS, "examples", "sdk/python/thumbwheel"):
        for folder in {file.parent for file, _ in modules(root)}:
            shown = [file.name for file in folder.glob("*.py") if file.name != "__init__.py"]
            if len(shown) > 16 and str(folder.relative_to(REPOSITORY)) not in EQUALS:
                crowded[str(folder.relative_to(REPOSITORY))] = len(shown)
    assert crowded == {}


def test_the_python_sdk_needs_the_standard_library_only() -> None:
    wrong = {
        f"{file.relative_to(REPOSITORY)}:{line} imports {name}"
        for file, _ in modules("sdk/python/thumbwheel")
        for line, name in imported(file, for_types=False)
        if name.split(".")[0] not in {*sys.stdlib_module_names, "thumbwheel"}
    }
    assert wrong == set()


def requirements(texts: list[str]) -> set[str]:
    """Return these distributions and all they need, by normalised name."""
    found: set[str] = set()
    waiting = list(texts)
    while waiting:
        match = re.match(r"([A-Za-z0-9._-]+)\s*(?:\[([^\]]*)\])?", waiting.pop())
        assert match is not None
        name, extras = normalised(match[1]), set((match[2] or "").replace(" ", "").split(","))
        if name in found and extras == {""}:
            continue
        found.add(name)
        try:
            needs = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        for need in needs:
            wanted_by = re.findall(r"extra\s*==\s*['\"]([^'\"]+)['\"]", need)
            if not wanted_by or extras & set(wanted_by):
                waiting.append(need)
    return found


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


# The finders are wrapped, rather than one put in front that raises: libraries ask whether a module could be found.
BLOCK = """
import importlib, json, sys

blocked, names = json.loads(sys.stdin.read())
blocked = set(blocked)

class Without:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        return None if name.split(".")[0] in blocked else self.finder.find_spec(name, path, target)

    def __getattr__(self, name):
        return getattr(self.finder, name)

sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
sys.path.insert(0, ".")
for name in names:
    importlib.import_module(name)
"""


def import_with_only(requirement_texts: list[str], names: list[str]) -> str:
    """Import these modules while all but the requirements is hidden; return the error, empty when there is none."""
    absent = [name for name in map(first_name, requirement_texts) if not installed(name)]
    if absent:
        pytest.skip(f"needs {', '.join(absent)}")
    allowed = requirements(requirement_texts) | {"setuptools"}
    owners = importlib.metadata.packages_distributions()
    blocked = {name for name, by in owners.items() if not {normalised(dist) for dist in by} & allowed} - OURS
    done = subprocess.run(
        [sys.executable, "-c", BLOCK], input=json.dumps([sorted(blocked), names]), cwd=REPOSITORY,
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    return done.stderr[-2000:] if done.returncode else ""


def project() -> tuple[list[str], dict[str, list[str]]]:
    body = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    return body["dependencies"], body["optional-dependencies"]


@pytest.mark.parametrize(("extra", "packages"), [
    ("", ("contract", "runtime", "control_store", "eventlog")), ("collector", ("collector",)),
    ("processor", ("trials", "processor")), ("gateway", ("inference", "gateway")),
    ("trainer", ("inference", "trials.formulas", "trainer")),
])  # fmt: skip
def test_a_service_imports_with_only_its_own_extra(extra: str, packages: tuple[str, ...]) -> None:
    always, extras = project()
    names = [
        name for package in packages for _, name in modules(package.split(".")[0])
        if f"{name}.".startswith(f"{package}.") and not name.endswith(("__main__", ".env"))
    ]  # fmt: skip
    assert import_with_only(always + extras.get(extra, []), names) == ""


def test_the_command_line_starts_without_any_service_installed() -> None:
    if not (REPOSITORY / "cli" / "main.py").exists():
        pytest.skip("needs cli/main.py")
    assert import_with_only(project()[0], ["cli.main"]) == ""


def first_name(requirement: str) -> str:
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert match is not None
    return match[0]


def installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
