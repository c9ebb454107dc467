"""A training process that is killed at a checkpoint: the run goes on, and ends, bit for bit, as an unbroken one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.trainer import tiny
from trainer.backends.run_folder import last_step

# The training program, forked for each run from one process that has imported it. It takes a checkpoint at each log;
# `kill` says where it kills itself: "before" or "after" the mark of the checkpoint of a step is set.
PROGRAM = """
import json, os, signal, sys, traceback
import torch
from inference.generation import Sampling
from trainer import checkpoints, run
from trainer.guarding import guards
torch.set_num_threads(1)
guards.SAMPLING = Sampling(max_tokens=4)
checkpoints.EVERY_S, checkpoints.SHARE = 0.0, float("inf")
marked = checkpoints._Checkpoints.on_save
def train(arguments, where, step):
    def on_save(self, args, state, control, **kwargs):
        if (where, state.global_step) == ("before", int(step)):
            os.kill(os.getpid(), signal.SIGKILL)
        marked(self, args, state, control, **kwargs)
        if (where, state.global_step) == ("after", int(step)):
            os.kill(os.getpid(), signal.SIGKILL)
    checkpoints._Checkpoints.on_save = on_save
    os.dup2(2, 1)
    return run.main(arguments)
for line in sys.stdin:
    asked = json.loads(line)
    child = os.fork()
    if not child:
        try:
            code = train(asked["arguments"], *asked["kill"].split(":"))
        except BaseException:
            traceback.print_exc()
            code = 9
        os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
SETTINGS = {"batch": 4, "lr": 5e-3, "rank": 4, "dtype": "float32"}
# What a clock says differs; everything else of a line is what was learnt.
NOT_LEARNT = ("seconds", "resumed_from")


class Trainers:
    """Starts training processes, one after the other, on one base."""

    def __init__(self, base: Path, errors: Path) -> None:
        self._base = base
        self._errors = errors
        with errors.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=output,
                text=True, env={**os.environ, "PYTHONPATH": "."},
            )  # fmt: skip

    def train(self, out: Path, dataset: Path, *more: str, kill: str = "never:0", **changes: Any) -> int:
        """Train; return how the process ended."""
        arguments = [
            "--dataset", str(dataset), "--out", str(out), "--base", str(self._base), "--config",
            json.dumps(SETTINGS | changes), "--cache", str(self._errors.parent / "cache"), *more,
        ]  # fmt: skip
        assert self.process.stdin is not None and self.process.stdout is not None
        print(json.dumps({"arguments": arguments, "kill": kill}), file=self.process.stdin, flush=True)
        code = int(self.process.stdout.readline())
        assert code in (0, -9), self._errors.read_text()
        return code


@pytest.fixture(scope="module")
def trainers(bases: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trainers]:
    made = Trainers(bases["llama"], tmp_path_factory.mktemp("trainers") / "errors")
    with made.process:
        yield made
        made.process.kill()


def lines(out: Path) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in NOT_LEARNT} for line in found]


def weights(out: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = load_file(out / "adapter" / "adapter_model.safetensors")
    return found


def resumed_from(out: Path) -> list[int]:
    found: list[int] = json.loads((out / "result.json").read_text())["metrics"]["resumed_from"]
    return found


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.mixed_dataset(tmp_path_factory.mktemp("resume") / "ds", pairs=20, thumbs=20, demonstrations=20)


@pytest.fixture(scope="module")
def champion(trainers: Trainers, dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An adapter that later runs continue."""
    out = tmp_path_factory.mktemp("champion") / "run"
    assert trainers.train(out, dataset, "--method", "dpo", seed=5) == 0
    yield out / "adapter"


@pytest.mark.slow
@pytest.mark.parametrize("continued", [False, True], ids=["new", "continued"])
@pytest.mark.parametrize("method", ["sft", "dpo", "kto"])
def test_a_killed_run_ends_with_the_weights_and_losses_of_an_unbroken_one(
    trainers: Trainers, dataset: Path, champion: Path, tmp_path: Path, method: str, continued: bool
) -> None:
    more = ["--method", method, *(["--start", str(champion)] if continued else [])]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert trainers.train(whole, dataset, *more, epochs=2.0) == 0
    assert trainers.train(broken, dataset, *more, kill="after:4", epochs=2.0) == -9
    assert last_step(broken) == 4
    assert not (broken / "adapter").exists()
    assert trainers.train(broken, dataset, *more, "--resume", epochs=2.0) == 0
    assert (resumed_from(whole), resumed_from(broken)) == ([], [4])
    # The plan, and a line for each step.
    assert len(lines(whole)) == 11
    assert lines(broken) == lines(whole)
    unbroken = weights(whole)
    assert all(torch.equal(value, unbroken[name]) for name, value in weights(broken).items())
    assert any(value.abs().max() > 0 for name, value in unbroken.items() if "lora_B" in name)
    assert not (broken / "work").exists()


def test_a_run_that_was_killed_while_it_wrote_a_checkpoint_goes_on_from_the_one_before(
    trainers: Trainers, dataset: Path, tmp_path: Path
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    more = ("--method", "dpo")
    assert trainers.train(whole, dataset, *more) == 0
    assert trainers.train(broken, dataset, *more, kill="before:3") == -9
    assert (broken / "work" / "checkpoint-3").exists()
    assert last_step(broken) == 2
    with (broken / "metrics.jsonl").open("a") as file:
        file.write('{"step": 9, "lo')  # As a kill in the middle of a line leaves it.
    assert trainers.train(broken, dataset, *more, "--resume", kill="after:4") == -9
    assert trainers.train(broken, dataset, *more, "--resume") == 0
    assert resumed_from(broken) == [2, 4]
    assert lines(broken) == lines(whole)
    unbroken = weights(whole)
    assert all(torch.equal(value, unbroken[name]) for name, value in weights(broken).items())


@pytest.mark.parametrize("change", ["lr", "rows", "start"])
def test_a_checkpoint_of_other_rows_settings_or_start_is_not_gone_on_with(
    trainers: Trainers, dataset: Path, champion: Path, tmp_path: Path, change: str
) -> None:
    out = tmp_path / "run"
    assert trainers.train(out, dataset, "--method", "sft", kill="after:4") == -9
    other = tiny.mixed_dataset(tmp_path / "ds", demonstrations=16) if change == "rows" else dataset
    more = ["--start", str(champion)] if change == "start" else []
    changes = {"lr": 1e-3} if change == "lr" else {}
    assert trainers.train(out, other, "--method", "sft", "--resume", *more, **changes) == 0
    assert resumed_from(out) == []
    assert [line["step"] for line in lines(out)[:2]] == [0, 1]


def test_without_being_told_to_a_run_begins_from_nothing(trainers: Trainers, dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert trainers.train(out, dataset, "--method", "sft", kill="after:4") == -9
    assert trainers.train(out, dataset, "--method", "sft") == 0
    assert resumed_from(out) == []
