"""What the machine gave while a bench ran: the disk's own rate, memory and processor time of a server's processes.

/proc is read, so memory and processor time are 0 elsewhere than on Linux.
"""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

_STATUS = re.compile(r"^PPid:\t(\d+)$|^VmRSS:\s+(\d+) kB$", re.M)


@dataclass(frozen=True)
class Disk:
    """Appends with fdatasync a second, and the longest one in milliseconds."""

    rate: float
    longest_ms: float

    def __str__(self) -> str:
        return f"disk: {self.rate:,.0f} fdatasync/s, longest {self.longest_ms:.1f} ms"


def disk_rate(folder: Path, seconds: float = 1.0) -> Disk:
    """Append 4 KiB and call fdatasync, again and again: what bounds everything durable on this disk."""
    block, count, longest = os.urandom(4096), 0, 0.0
    path = folder / "disk.probe"
    started = time.perf_counter()
    with path.open("wb", buffering=0) as file:
        while (began := time.perf_counter()) - started < seconds:
            file.write(block)
            os.fdatasync(file.fileno())
            longest = max(longest, time.perf_counter() - began)
            count += 1
    path.unlink()
    return Disk(count / seconds, longest * 1e3)


def family(pid: int) -> list[int]:
    """Return a process and its children, which are a server's workers."""
    found = [pid]
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            parent = next((int(match[1]) for match in _STATUS.finditer(status.read_text()) if match[1]), 0)
        except OSError:
            continue
        if parent == pid:
            found.append(int(status.parent.name))
    return found


def memory_mib(pid: int) -> float:
    """Return the resident memory of a server and its workers, in MiB."""
    total = 0
    for one in family(pid):
        try:
            text = Path(f"/proc/{one}/status").read_text()
        except OSError:
            continue
        total += sum(int(match[2]) for match in _STATUS.finditer(text) if match[2])
    return total / 1024


def peak_mib(pid: int) -> float:
    """Return the most resident memory one process has had, in MiB."""
    try:
        found = re.search(r"^VmHWM:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.M)
    except OSError:
        return 0.0
    return int(found[1]) / 1024 if found else 0.0


def processor_seconds(pid: int) -> float:
    """Return the processor time a server and its workers have used, user and system."""
    ticks = 0
    for one in family(pid):
        try:
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")
