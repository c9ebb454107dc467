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
SERVICES = {"collector", "processor", "trainer"}
# Who may import which packages of ours (besides itself).
MAY_IMPORT = {
    "eventlog": set(),
    "collector": {"eventlog"},
    "processor": {"eventlog"},
    "trainer": {"eventlog"},
    "cli": {"eventlog", "thumbwheel"} | SERVICES,
    "sdk/python/thumbwheel": set(),
    "examples": {"thumbwheel"},
}
OURS = {"eventlog", "cli", "thumbwheel", "examples", "bench", "tests"} | SERVICES


def modules(folder: str) -> Iterator[tuple[Path, str]]:
    """Yield each module's file and dotted name."""
    root = REPOSITORY / folder
    for file in sorted(root.rglob("*.py")):
        parts = (root.name, *file.relative_to(root).with_suffix("").parts)
        yield file, ".".join(parts).removesuffix(".__init__")


def imported(file: Path, for_types: bool = True) -> Iterator[tuple[int, str]]:
    """Yield line and top-level name of every import, also of those inside functions (and for type checkers only)."""
    tree = ast.parse(file.read_text("utf-8"))
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for branch in node.body
        for inner in ast.walk(branch)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only and not for_types:
            continue
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.split(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.lineno, node.module.split(".")[0]


@pytest.mark.parametrize("folder", sorted(MAY_IMPORT))
def test_imports_point_one_way(folder: str) -> None:
    own = Path(folder).name
    wrong = [
        f"{file.relative_to(REPOSITORY)}:{line} imports {name}"
        for file, _ in modules(folder)
        for line, name in imported(file)
        if name in OURS - MAY_IMPORT[folder] - {own}
    ]
    assert wrong == []


def test_the_python_sdk_needs_the_standard_library_only() -> None:
    wrong = {
        f"{file.relative_to(REPOSITORY)}:{line} imports {name}"
        for file, _ in modules("sdk/python/thumbwheel")
        for line, name in imported(file, for_types=False)
        if name not in sys.stdlib_module_names and name != "thumbwheel"
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


@pytest.mark.parametrize(("extra", "package"), [
    ("", "eventlog"), ("collector", "collector"), ("processor", "processor"), ("gateway", "gateway"),
    ("trainer", "trainer"),
])  # fmt: skip
def test_a_service_imports_with_only_its_own_extra(extra: str, package: str) -> None:
    always, extras = project()
    names = [name for _, name in modules(package.split(".")[0]) if f"{name}.".startswith(f"{package}.")]
    if package == "trainer":
        names = [name for name in names if not f"{name}.".startswith("gateway.")]
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
