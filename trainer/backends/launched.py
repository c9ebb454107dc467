"""Runs on other machines, by a launcher the user has: a run folder in; a job file, and what the launcher says, out.

    THUMBWHEEL_TRAIN_BACKEND=skypilot   sky jobs launch | queue | cancel     one file: job.yaml
    THUMBWHEEL_TRAIN_BACKEND=trainjob   kubectl apply | get | delete         a TrainJob of Kubeflow Trainer v2

The home has to lie on storage that both sides mount at the same path: there the other machine finds dataset, base and
adapter, and there it fills the run folder. The job is named after its run, so starting it twice is one job. It is told
to resume: a machine that is taken away costs what was learnt since the last checkpoint.

The files are checked by SkyPilot's and Kubeflow's own parsers. Neither has been run from here.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contract.errors import ThumbwheelError
from runtime.files import write_whole
from trainer.backends.local import RESUMED, training_program
from trainer.backends.run_folder import Fetched, Look, State, Work, clear, is_done, metrics_after, read_made

# JSON is YAML, so one writer does for both.
FILE = "job.yaml"
ASK_EVERY_S = 30.0
COMMAND_S = 120.0
# SkyPilot's ManagedJobStatus; every other one is on its way.
SKY_FAILED = ("FAILED", "FAILED_SETUP", "FAILED_PRECHECKS", "FAILED_NO_RESOURCE", "FAILED_CONTROLLER")
SKY_LOST = ("CANCELLED",)
# The container and replicated job of Kubeflow's own torch runtime.
NODE, RUNTIME = "node", "torch-distributed"


@dataclass(frozen=True)
class Place:
    """Where jobs run: the image with Thumbwheel in it, the accelerators (`H100:1`), and the storage under the home.

    `storage` is a bucket's address for SkyPilot, the name of a volume claim for Kubernetes.
    """

    image: str
    accelerators: str
    storage: str


@dataclass(frozen=True)
class Launcher:
    """One launcher: its job file, its commands, and the state that the answer to the second of them tells."""

    name: str
    job: Callable[[Work, Place], Mapping[str, Any]]
    submit: Callable[[Path], list[str]]
    ask: Callable[[str], list[str]]
    cancel: Callable[[str], list[str]]
    state: Callable[[str, str], tuple[State, str]]


class LaunchedBackend:
    """Runs that a launcher starts elsewhere, watched through the folder they fill and the launcher's own word."""

    def __init__(self, launcher: Launcher, place: Place) -> None:
        self._launcher = launcher
        self._place = place
        self._asked: dict[Path, tuple[float, State, str]] = {}

    def start(self, work: Work) -> None:
        """Write the job's file and submit it. Raises ThumbwheelError `launcher_failed` with what the launcher said."""
        self.stop(work.folder)
        clear(work.folder, RESUMED if work.resume else ())
        file = work.folder / FILE
        write_whole(file, json.dumps(self._launcher.job(work, self._place), indent=1).encode())
        write_whole(work.folder / "job.json", json.dumps({"backend": self._launcher.name}).encode())
        done = _call(self._launcher.submit(file))
        if done.returncode:
            raise _failed(self._launcher.name, done)

    def look(self, folder: Path, seen: int = 0) -> Look:
        """Return what is to be seen: the folder's word where it is done, else the launcher's, asked every 30 s."""
        before, state, reason = self._asked.get(folder, (0.0, "running", ""))
        if time.monotonic() - before >= ASK_EVERY_S or not before:
            done = _call(self._launcher.ask(folder.name))
            # A launcher that does not answer says nothing about the job.
            if not done.returncode or _is_not_found(done):
                state, reason = self._launcher.state(done.stdout if not done.returncode else "", folder.name)
            self._asked[folder] = (time.monotonic(), state, reason)
        lines, reach = metrics_after(folder, seen)
        if is_done(folder):
            return Look("ended", lines, reach)
        return Look("lost" if state == "ended" else state, lines, reach, reason)

    def stop(self, folder: Path) -> None:
        """Cancel the job, if this launcher was given one."""
        self._asked.pop(folder, None)
        if (folder / "job.json").exists():
            done = _call(self._launcher.cancel(folder.name))
            if done.returncode and not _is_not_found(done):
                raise _failed(self._launcher.name, done)

    def fetch(self, folder: Path) -> Fetched:
        """Return what the run has made: it lies in the folder, which both sides see."""
        self._asked.pop(folder, None)
        return read_made(folder)


def _program(work: Work) -> list[str]:
    return [*training_program(work), "--resume"]


def sky_job(work: Work, place: Place) -> dict[str, Any]:
    """Return a SkyPilot task."""
    resources = {"image_id": f"docker:{place.image}"}
    if place.accelerators:
        resources["accelerators"] = place.accelerators
    return {
        "name": work.folder.name, "resources": resources,
        "file_mounts": {str(work.home): {"source": place.storage, "mode": "MOUNT"}},
        "run": shlex.join(["python", *_program(work)]),
    }  # fmt: skip


def train_job(work: Work, place: Place) -> dict[str, Any]:
    """Return a TrainJob, one node, with the claim mounted where the home is."""
    _, _, count = place.accelerators.rpartition(":")
    limits = {"limits": {"nvidia.com/gpu": int(count)}} if place.accelerators else {}
    mounts = {
        "volumes": [{"name": "home", "persistentVolumeClaim": {"claimName": place.storage}}],
        "containers": [{"name": NODE, "volumeMounts": [{"name": "home", "mountPath": str(work.home)}]}],
    }
    patch = {"template": {"spec": {"replicatedJobs": [{
        "name": NODE, "template": {"spec": {"template": {"spec": mounts}}},
    }]}}}  # fmt: skip
    return {
        "apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainJob", "metadata": {"name": work.folder.name},
        "spec": {
            "runtimeRef": {"name": RUNTIME},
            "trainer": {
                "image": place.image, "command": ["python"], "args": _program(work), "numNodes": 1,
                "resourcesPerNode": limits,
            },
            "runtimePatches": [{"manager": "thumbwheel.dev/trainer", "trainingRuntimeSpec": patch}],
        },
    }  # fmt: skip


def sky_state(answer: str, name: str) -> tuple[State, str]:
    """Return what `sky jobs queue -o json` says of a job, the newest of its name, and why it failed."""
    mine = [job for job in json.loads(answer or "[]") if job.get("job_name") == name]
    if not mine:
        return "lost", "SkyPilot does not know the job."
    last = max(mine, key=lambda job: job.get("job_id") or 0)
    status = str(last.get("status"))
    if status in SKY_FAILED:
        return "failed", f"SkyPilot: {status}. {last.get('failure_reason') or ''}".strip()
    if status in SKY_LOST:
        return "lost", f"SkyPilot: {status}."
    return ("ended" if status == "SUCCEEDED" else "running"), ""


def train_job_state(answer: str, name: str) -> tuple[State, str]:
    """Return what `kubectl get trainjob -o json` says: its conditions, of which one that holds ends it."""
    if not answer:
        return "lost", f"Kubernetes has no TrainJob {name}."
    found = (json.loads(answer).get("status") or {}).get("conditions") or []
    holds = {one["type"]: one for one in found if one.get("status") == "True"}
    if "Failed" in holds:
        return "failed", f"Kubernetes: {holds['Failed'].get('reason')}. {holds['Failed'].get('message') or ''}".strip()
    return ("ended" if "Complete" in holds else "running"), ""


LAUNCHERS = {
    "skypilot": Launcher(
        "skypilot", sky_job, lambda file: ["sky", "jobs", "launch", "-y", "-d", "-n", file.parent.name, str(file)],
        lambda name: ["sky", "jobs", "queue", "-o", "json"], lambda name: ["sky", "jobs", "cancel", "-y", "-n", name],
        sky_state,
    ),
    "trainjob": Launcher(
        "trainjob", train_job, lambda file: ["kubectl", "apply", "-f", str(file)],
        lambda name: ["kubectl", "get", "trainjob", name, "-o", "json"],
        lambda name: ["kubectl", "delete", "trainjob", name, "--ignore-not-found", "--wait"], train_job_state,
    ),
}  # fmt: skip


def _call(command: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_S, check=False)
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, 127, "", str(error))


def _is_not_found(done: subprocess.CompletedProcess[str]) -> bool:
    return "(NotFound)" in done.stderr


def _failed(name: str, done: subprocess.CompletedProcess[str]) -> ThumbwheelError:
    said = (done.stderr or done.stdout).strip().splitlines() or [""]
    return ThumbwheelError(
        "launcher_failed", f"{name}: `{shlex.join(done.args)}` ended with {done.returncode}: {said[-1][:300]}",
        "Run that command by hand where the trainer runs.",
    )  # fmt: skip
