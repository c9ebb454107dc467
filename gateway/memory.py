"""How much memory is free where models lie, asked before a model of its own is read."""

from __future__ import annotations

from pathlib import Path

import torch

_CGROUP = Path("/sys/fs/cgroup")


def free_bytes(device: torch.device) -> int | None:
    """Return the bytes free on a GPU, or to this process on the CPU, a container's limit too; None where unknown."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    free = [found for found in (_system(), _container()) if found is not None]
    return min(free) if free else None


def _system() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    except OSError:
        return None
    kib = next((line.split()[1] for line in lines if line.startswith("MemAvailable:")), None)
    return None if kib is None else int(kib) * 1024


def _container() -> int | None:
    try:
        most, used = ((_CGROUP / name).read_text("ascii").strip() for name in ("memory.max", "memory.current"))
        stat = dict(line.split() for line in (_CGROUP / "memory.stat").read_text("ascii").splitlines())
        # Files that were read and not touched since are given back when memory is asked for.
        return int(most) - int(used) + int(stat.get("inactive_file", 0)) if most != "max" else None
    except (OSError, ValueError):
        return None
