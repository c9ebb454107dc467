"""Two processes that train one adapter on this machine: counted, in step, killed, and resumed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from contract.errors import ThumbwheelError
from runtime.settings import Settings, SettingsError, load_settings
from tests.trainer import tiny
from trainer import processes
from trainer.__main__ import backend_of
from trainer.backends.local import LocalBackend
from trainer.backends.run_folder import Look, Work, last_step
from trainer.backends.torchrun import torchrun_command
from trainer.objectives.sft import DemonstrationConfig

SETTINGS = {"epochs": 1.0, "batch": 4, "lr": 5e-3, "rank": 4, "dtype": "float32"}
# The training program with short guards, a checkpoint at each log, and each rank's own view of its work beside it.
PROGRAM = """
import json, os, pathlib, sys, time
import torch
from inference.generation import Sampling
from trainer import checkpoints, run
from trainer.guarding import guards
guards.SAMPLING = Sampling(max_tokens=4)
checkpoints.EVERY_S, checkpoints.SHARE = 0.0, float("inf")
train = checkpoints.train
def seen(trainer):
    losses = []
    step = trainer.training_step
    def training_step(model, inputs, *rest):
        ids = inputs.get("input_ids", inputs.get("prompt_input_ids", inputs.get("completion_input_ids")))
        losses.append(ids.sum().item())
        return step(model, inputs, *rest)
    trainer.training_step = training_step
    train(trainer)
    weights = {n: p.detach().double().sum().item() for n, p in trainer.model.named_parameters() if p.requires_grad}
    out = pathlib.Path(sys.argv[sys.argv.index("--out") + 1])
    told = {"world": trainer.accelerator.num_processes, "batches": losses, "weights": weights}
    (out.parent / f"rank-{os.environ['RANK']}.json").write_text(json.dumps(told))
checkpoints.train = seen
if os.environ.get("WAIT_AT"):
    marked = checkpoints._Checkpoints.on_save
    def on_save(self, args, state, control, **kwargs):
        marked(self, args, state, control, **kwargs)
        if state.global_step == int(os.environ["WAIT_AT"]):
            (pathlib.Path(args.output_dir).parent / f"waits-{os.environ['RANK']}").write_text(str(os.getpid()))
            time.sleep(600)
    checkpoints._Checkpoints.on_save = on_save
sys.exit(run.main())
"""


def work_of(home: Path, base: Path, method: str, **params: Any) -> Work:
    dataset = tiny.mixed_dataset(home / "ds", pairs=20, thumbs=20, demonstrations=20)
    folder = home / "run-1"
    folder.mkdir()
    return Work("default", method, SETTINGS | params, dataset, folder, str(base), home)


def backend(tmp_path: Path) -> LocalBackend:
    """The torchrun backend, with the program above in the place of `-m trainer.run`."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)

    def command(work: Work) -> list[str]:
        made = torchrun_command(2)(work)
        place = made.index("trainer.run")
        return ["env", f"PYTHONPATH={os.getcwd()}", *made[: place - 1], str(program), *made[place + 1 :]]

    return LocalBackend(command)


def wait_for(backend: LocalBackend, folder: Path) -> Look:
    end = time.monotonic() + 240
    while (found := backend.look(folder)).state == "running":
        assert time.monotonic() < end, (folder / "job.log").read_text()
        time.sleep(0.1)
    return found


def ranks(home: Path) -> list[dict[str, Any]]:
    return [json.loads((home / f"rank-{rank}.json").read_text()) for rank in (0, 1)]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["dpo", "kto"])
def test_two_processes_share_each_batch_and_end_with_the_same_weights(
    bases: dict[str, Path], tmp_path: Path, method: str
) -> None:
    work, two = work_of(tmp_path, bases["llama"], method), backend(tmp_path)
    two.start(work)
    found = wait_for(two, work.folder)
    assert found.state == "ended", (work.folder / "job.log").read_text()
    first, second = ranks(tmp_path)
    assert first["world"] == second["world"] == 2
    assert first["weights"] == second["weights"]
    assert first["batches"] != second["batches"]
    made = two.fetch(work.folder)
    assert (made.result["processes"], made.result["config"]["batch"], made.result["steps"]) == (2, 4, 5)
    # The plan, then every step; written by one of the two.
    assert [line["step"] for line in found.lines] == [0, 1, 2, 3, 4, 5]


@pytest.mark.slow
def test_a_run_of_two_processes_one_of_which_is_killed_is_lost_and_goes_on_from_its_checkpoint(
    bases: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, two = work_of(tmp_path, bases["llama"], "sft"), backend(tmp_path)
    monkeypatch.setenv("WAIT_AT", "3")
    two.start(work)
    waits = [work.folder / f"waits-{rank}" for rank in (0, 1)]
    end = time.monotonic() + 240
    while not all(file.exists() and file.read_text() for file in waits):
        assert two.look(work.folder).state == "running" and time.monotonic() < end
        time.sleep(0.1)
    os.kill(int(waits[1].read_text()), 9)
    found = wait_for(two, work.folder)
    assert (found.state, found.reason) == ("lost", "The training process was ended by signal 9.")
    assert last_step(work.folder) == 3
    monkeypatch.delenv("WAIT_AT")
    two.start(replace(work, resume=True))
    assert wait_for(two, work.folder).state == "ended"
    broken = load_file(work.folder / "adapter" / "adapter_model.safetensors")
    assert two.fetch(work.folder).result["metrics"]["resumed_from"] == [3]
    again = replace(work, folder=tmp_path / "run-2")
    again.folder.mkdir()
    two.start(again)
    assert wait_for(two, again.folder).state == "ended"
    whole = load_file(again.folder / "adapter" / "adapter_model.safetensors")
    assert all(torch.equal(value, whole[name]) for name, value in broken.items())


@pytest.mark.slow
def test_fewer_processes_than_were_asked_for_do_not_train(bases: dict[str, Path], tmp_path: Path) -> None:
    work = work_of(tmp_path, bases["llama"], "sft")
    command = torchrun_command(2)(work)
    alone = [sys.executable, "-m", *command[command.index("trainer.run") :]]
    alone = [*alone[: alone.index("--parent")], "--processes", "2"]
    done = subprocess.run(alone, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert "2 processes were to train, and there are 1.  hint: Start them with torchrun" in done.stderr
    assert not (work.folder / "adapter").exists()


def test_the_setting_chooses_how_many_processes_train(tmp_path: Path) -> None:
    work = Work("default", "dpo", {}, tmp_path / "ds", tmp_path / "run-1", "demo", tmp_path)
    commands = [backend_of(replace(Settings(), train_processes=number))._command(work) for number in (1, 4)]
    assert ["--nproc_per_node" in command for command in commands] == [False, True]
    assert commands[1][-2:] == ["--processes", "4"]
    with pytest.raises(SettingsError, match="THUMBWHEEL_TRAIN_PROCESSES is not above 0"):
        load_settings({"THUMBWHEEL_TRAIN_PROCESSES": "0"}, tmp_path)


def test_a_batch_that_cannot_be_shared_is_refused() -> None:
    assert processes.share(DemonstrationConfig(batch=8), 2).batch == 4
    with pytest.raises(ThumbwheelError, match="batch=8 cannot be shared by 3 processes") as refused:
        processes.share(DemonstrationConfig(batch=8), 3)
    assert refused.value.hint == "Use a multiple of 3."
