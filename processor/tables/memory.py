"""How much memory the tables may take: what is set, or a share of what this process can have.

In a container half of its limit, since the processor has it alone: the other half is for Python, the embedder and what
DuckDB takes beyond its own limit. On a machine without one a quarter: collector, gateway and trainer are there too.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from runtime.settings import LEAST_PROCESSOR_MEMORY, Settings, parse_bytes

CONTAINER_SHARE = 0.5
MACHINE_SHARE = 0.25


class Available(NamedTuple):
    """Memory in bytes, and whether a container's limit says so."""

    size: int
    limited: bool


def tables_memory(settings: Settings) -> int:
    """Return how many bytes DuckDB may take: THUMBWHEEL_PROCESSOR_MEMORY, or a share of what is available."""
    if settings.processor_memory:
        return parse_bytes(settings.processor_memory)
    found = available()
    share = CONTAINER_SHARE if found.limited else MACHINE_SHARE
    return max(LEAST_PROCESSOR_MEMORY, int(found.size * share))


def available(root: Path = Path("/")) -> Available:
    """Return the least memory limit of this process's control groups, or what the machine has.

    `root` is where `proc` and `sys` lie; version 1 and 2 of control groups are read.
    """
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    least = min(_limits(root), default=machine)
    return Available(least, True) if least < machine else Available(machine, False)


def _limits(root: Path) -> Iterator[int]:
    for base, group, name in _groups(root):
        # A limit of any group around ours counts. In a container its own group lies at the base.
        for folder in (group, *group.parents):
            try:
                yield int((base / folder / name).read_text("ascii"))
            except (OSError, ValueError):
                # No such file, or "max": no limit here.
                continue


def _groups(root: Path) -> Iterator[tuple[Path, Path, str]]:
    try:
        lines = (root / "proc/self/cgroup").read_text("utf-8").splitlines()
    except OSError:
        return
    base = root / "sys/fs/cgroup"
    for line in lines:
        _, controllers, path = line.split(":", 2)
        group = Path(path.lstrip("/"))
        if not controllers:
            yield base, group, "memory.max"
        elif "memory" in controllers.split(","):
            yield base / "memory", group, "memory.limit_in_bytes"
