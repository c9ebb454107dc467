"""Runs on other machines: job files as the launchers' own parsers read them, and what a launcher's answers mean.

Neither launcher runs here. `sky` and `kubectl` are stand-ins that note what they are told and answer in the forms of
SkyPilot 0.14.1 (`sky jobs queue -o json` prints its ManagedJobRecord) and of the TrainJob API v1alpha1.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from contract.errors import ThumbwheelError
from runtime.settings import Settings, SettingsError, load_settings
from trainer.__main__ import backend_of
from trainer.backends import launched
from trainer.backends.launched import LAUNCHERS, LaunchedBackend, Place, sky_job, sky_state, train_job, train_job_state
from trainer.backends.run_folder import Work

PLACE = Place("registry.example/thumbwheel:1", "H100:2", "s3://bucket/home")
STAND_IN = """#!/bin/sh
echo "$0 $*" >> "$(dirname "$0")/told"
cat "$(dirname "$0")/answer" 2>/dev/null
[ ! -f "$(dirname "$0")/refusal" ] || { cat "$(dirname "$0")/refusal" >&2; exit 1; }
"""


@pytest.fixture
def work(tmp_path: Path) -> Work:
    folder = tmp_path / "home" / "runs" / "default" / "run-0123456789"
    folder.mkdir(parents=True)
    home = tmp_path / "home"
    return Work("default", "dpo", {"lr": 1e-4}, home / "datasets" / "ds", folder, "demo", home, home / "ad-1")


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with stand-ins for both launchers, first on the path."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for name in ("sky", "kubectl"):
        (folder / name).write_text(STAND_IN)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def told(tools: Path) -> list[str]:
    return [line.rpartition("tools/")[2] for line in (tools / "told").read_text().splitlines()]


def test_skypilot_reads_the_task_as_it_is_meant(work: Work, tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(json.dumps(sky_job(work, PLACE)))
    program = (
        "import sky, sys; t = sky.Task.from_yaml(sys.argv[1]); r = next(iter(t.resources)); m = t.storage_mounts; "
        "print(repr((t.name, t.run.split()[:3], r.accelerators, r.extract_docker_image(), {k: (v.source, v.mode.value) "
        "for k, v in m.items()})))"
    )
    environment = {**os.environ, "HOME": str(tmp_path), "PYTHONPATH": os.environ.get("SKYPILOT_PATH", "")}
    done = subprocess.run(
        [sys.executable, "-c", program, str(file)], capture_output=True, text=True, check=False, env=environment
    )
    if "No module named 'sky'" in done.stderr:
        pytest.skip("needs skypilot; SKYPILOT_PATH names a folder of `pip install --target`")
    assert "'run-0123456789', ['python', '-m', 'trainer.run'], {'H100': 2}" in done.stdout, done.stderr
    assert "registry.example/thumbwheel:1" in done.stdout


def test_kubeflow_reads_the_trainjob_as_it_is_meant(work: Work) -> None:
    models = pytest.importorskip("kubeflow_trainer_api.models")
    made = train_job(work, PLACE)
    read = models.TrainerV1alpha1TrainJob.from_dict(made)
    # A field that the API does not know, or that has another name there, would not come back.
    assert read.to_dict() == made
    assert read.spec.trainer.args[-1] == "--resume"
    assert made["spec"]["trainer"]["resourcesPerNode"] == {"limits": {"nvidia.com/gpu": 2}}


def test_without_accelerators_a_job_asks_for_none(work: Work) -> None:
    plain = replace(PLACE, accelerators="")
    assert "accelerators" not in sky_job(work, plain)["resources"]
    assert train_job(work, plain)["spec"]["trainer"]["resourcesPerNode"] == {}


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("PENDING", "running"), ("STARTING", "running"), ("RECOVERING", "running"), ("SUCCEEDED", "ended"),
        ("FAILED", "failed"), ("FAILED_NO_RESOURCE", "failed"), ("CANCELLED", "lost"),
    ],
)  # fmt: skip
def test_a_status_of_skypilot_means_a_state(status: str, state: str) -> None:
    jobs = [
        {"job_id": 3, "job_name": "run-1", "status": "FAILED"}, {"job_id": 9, "job_name": "run-2", "status": "RUNNING"},
        {"job_id": 4, "job_name": "run-1", "status": status, "failure_reason": "no H100 left"},
    ]  # fmt: skip
    found, reason = sky_state(json.dumps(jobs), "run-1")
    assert found == state
    assert (reason == f"SkyPilot: {status}. no H100 left") == (state == "failed")
    assert sky_state("[]", "run-1")[0] == "lost"


def test_conditions_of_a_trainjob_mean_a_state() -> None:
    def state(*conditions: tuple[str, str]) -> str:
        found = [{"type": kind, "status": status, "reason": "JobsFailed"} for kind, status in conditions]
        return train_job_state(json.dumps({"status": {"conditions": found}}), "run-1")[0]

    assert train_job_state("{}", "run-1")[0] == "running"
    assert state(("Suspended", "False")) == state(("Complete", "False")) == "running"
    assert (state(("Complete", "True")), state(("Failed", "True"))) == ("ended", "failed")
    assert train_job_state("", "run-1") == ("lost", "Kubernetes has no TrainJob run-1.")


def test_a_run_is_submitted_watched_and_taken_from_the_shared_folder(
    work: Work, tools: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launched, "ASK_EVERY_S", 0.0)
    backend = LaunchedBackend(LAUNCHERS["skypilot"], PLACE)
    backend.start(work)
    assert told(tools) == [f"sky jobs launch -y -d -n {work.folder.name} {work.folder}/job.yaml"]
    job = {"job_id": 1, "job_name": work.folder.name, "status": "RUNNING"}
    (tools / "answer").write_text(json.dumps([job]))
    (work.folder / "metrics.jsonl").write_text('{"step": 1, "total": 2}\n')
    found = LaunchedBackend(LAUNCHERS["skypilot"], PLACE).look(work.folder)  # Of a trainer that was restarted.
    assert (found.state, found.lines) == ("running", ({"step": 1, "total": 2},))
    (tools / "refusal").write_text("the API server is away")
    assert backend.look(work.folder).state == "running"
    (tools / "refusal").unlink()
    (tools / "answer").write_text(json.dumps([job | {"status": "SUCCEEDED"}]))
    assert backend.look(work.folder).state == "lost"  # It says that it is through, and left nothing.
    (work.folder / "adapter").mkdir()
    for name, text in (("result.json", '{"weights_sha256": "ab"}'), ("guards.json", "{}"), ("DONE", "ab")):
        (work.folder / name).write_text(text)
    assert backend.look(work.folder).state == "ended"
    assert backend.fetch(work.folder).result == {"weights_sha256": "ab"}
    backend.stop(work.folder)
    assert told(tools)[-1] == f"sky jobs cancel -y -n {work.folder.name}"


def test_a_launcher_that_refuses_or_is_absent_fails_the_start_with_its_words(
    work: Work, tools: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tools / "refusal").write_text("warning\nerror: no cloud is enabled\n")
    with pytest.raises(ThumbwheelError, match=r"`kubectl apply .*` ended with 1: error: no cloud is enabled"):
        LaunchedBackend(LAUNCHERS["trainjob"], PLACE).start(work)
    monkeypatch.setenv("PATH", "/nowhere")
    (work.folder / "job.json").unlink()
    with pytest.raises(ThumbwheelError, match="No such file or directory: 'sky'"):
        LaunchedBackend(LAUNCHERS["skypilot"], PLACE).start(work)


def test_settings_say_where_and_what_is_missing(tmp_path: Path) -> None:
    elsewhere = {"THUMBWHEEL_TRAIN_BACKEND": "skypilot", "THUMBWHEEL_TRAIN_IMAGE": "a/b:1"}
    with pytest.raises(SettingsError, match="Training by skypilot needs THUMBWHEEL_TRAIN_STORAGE"):
        load_settings(elsewhere, tmp_path)
    whole = {**elsewhere, "THUMBWHEEL_TRAIN_STORAGE": "s3://b"}
    backend = backend_of(load_settings(whole, tmp_path))
    assert isinstance(backend, LaunchedBackend)
    for name, value in (("BACKEND", "mars"), ("ACCELERATORS", "H100")):
        with pytest.raises(SettingsError, match=f"THUMBWHEEL_TRAIN_{name}='{value}' is malformed"):
            load_settings({**whole, f"THUMBWHEEL_TRAIN_{name}": value}, tmp_path)
    assert not isinstance(backend_of(Settings()), LaunchedBackend)
