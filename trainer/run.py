"""One training run, in a process of its own: a dataset folder in, an adapter out.

    python -m trainer.run --project P --dataset DIR --out RUNDIR --method dpo|sft|kto|auto --config JSON --base MODELDIR
        [--tuning NAME] [--start ADAPTERDIR] [--cache DIR] [--home HOME] [--parent PID] [--resume]

Writes into RUNDIR, in this order: `metrics.jsonl` (a line per log while training), `work/` (checkpoints), `adapter/`,
`guards.json`, `result.json`, and `DONE` last: the contract that `trainer/backends/run_folder.py` describes. The two
axes meet here: the objective (`--method`, see `trainer/methods.py`) and the tuning (`trainer/tuning/table.py`). What
was tuned is judged as it is served: loaded anew from its files, on the base that a gateway puts under it.
Errors are one line with a hint on stderr, exit code 2.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import datasets
from transformers.utils import logging as transformers_logging

from contract.errors import ThumbwheelError
from contract.run_settings import checked, thinking_of
from inference.base_model import ensure_base_model, load_tokenizer
from inference.hardware import Hardware, find_hardware
from inference.messages import TemplateRefusal
from inference.thoughts import template_kwargs
from inference.tokens import Encoder, make_encoder
from inference.tuned import load_tuned
from runtime.files import write_whole
from trainer import processes
from trainer.backends.run_folder import DONE, WORK
from trainer.guarding import evaluate, guards
from trainer.guarding.beside import cache_of, with_base
from trainer.guarding.chance import Accuracy
from trainer.methods import AUTO, CHOICES
from trainer.plan import BALANCE, Plan, make_plan, only_the_largest, read_rows
from trainer.progress import MetricsFile
from trainer.recipes import make_config
from trainer.rows import DatasetFolder, Rated, open_dataset
from trainer.stages import Trained, train_stages
from trainer.tuning.refusals import checkpointing, ready
from trainer.tuning.shape import Prepared
from trainer.tuning.table import DEFAULT, Tuning, find_tuning

# Held-out comparisons scored before and after: more cost time and no longer change the verdict.
MAX_HELD_OUT = 100


@dataclass(frozen=True)
class Job:
    """What one run is asked for."""

    project: str
    dataset: Path
    out: Path
    method: str
    params: Mapping[str, Any]
    base: Path
    start: Path | None = None
    cache: Path | None = None
    tuning: str = DEFAULT
    resume: bool = False
    processes: int = 1


class Clock:
    """Seconds per phase."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.monotonic()

    def lap(self, phase: str) -> None:
        """Book the time since the last lap to `phase`."""
        now = time.monotonic()
        self.seconds[phase] = round(self.seconds.get(phase, 0.0) + now - self._last, 2)
        self._last = now


def run(job: Job) -> dict[str, Any] | None:
    """Train, save, judge; return what `result.json` holds, None in all processes but the first.

    Raises ThumbwheelError.
    """
    clock = Clock()
    dataset = open_dataset(job.dataset)
    tuning = find_tuning(job.tuning)
    settings = ready(tuning, job.params)
    rows = read_rows(job.method, dataset)
    hardware = find_hardware(str(job.params.get("dtype", "auto")), checkpointing(tuning, job.params))
    processes.join(job.processes, hardware.device)
    how = tuning.parts()
    model = how.load(job.base, hardware.dtype)
    if hardware.device != "cpu":
        model.to(hardware.device)
    kwargs = template_kwargs(thinking_of(job.params))
    encoder = make_encoder(load_tokenizer(job.base), model, kwargs)
    configs = _configs(rows, job.params, model, tuning)
    plan = _plan(job, rows, configs, tuning)
    prepared = how.prepare(model, job.start, settings)
    before = _Before.measure(prepared, encoder, _HeldOut.read(dataset, encoder, plan))
    clock.lap("load")
    metrics = MetricsFile(job.out / "metrics.jsonl")
    done = train_stages(plan, prepared, encoder, configs, hardware, metrics, job.out / WORK, job.processes)
    if not processes.is_first():
        return None
    changed = how.changed(prepared, done.model)
    if not changed:
        raise ThumbwheelError("no_op", "Training changed no weight.", "Raise lr, or give it more rows.")
    sha = how.save(done.model, job.out / "adapter", hardware.dtype)
    clock.lap("train")
    report = _judge(job, done.model, encoder, hardware, before, changed)
    _write(job.out / "guards.json", report)
    clock.lap("guards")
    ran = {
        "tuning": tuning.name, "tuning_settings": asdict(settings), "warning": tuning.warning,
        "base": job.base.name, "start": job.start.name if job.start else "base",
        "dtype": str(hardware.dtype), "device": hardware.device, "chat_template_kwargs": kwargs,
        "processes": job.processes,
    }  # fmt: skip
    result = {
        "project": job.project, **ran, **_of_dataset(dataset), "reference": prepared.reference, "weights_sha256": sha,
        **_of_stages(done), "plan": list(plan.words), "passed": report["passed"], "reasons": report["reasons"],
        "metrics": _summary(metrics, report, done, plan, ran, tuning), "seconds": clock.seconds,
    }  # fmt: skip
    _write(job.out / "result.json", result)
    shutil.rmtree(job.out / WORK, ignore_errors=True)
    (job.out / DONE).write_text(sha + "\n", "utf-8")
    return result


def _of_dataset(dataset: DatasetFolder) -> dict[str, Any]:
    return {"dataset_id": dataset.dataset_id, "dataset_digest": dataset.manifest.get("digest")}


def _of_stages(done: Trained) -> dict[str, Any]:
    return {
        "method": done.name, "config": done.config, "rows": sum(stage["rows"] for stage in done.stages),
        "dropped": done.dropped, "steps": done.steps, "stages": done.stages,
    }  # fmt: skip


def _configs(
    rows: Mapping[str, Sequence[Any]], params: Mapping[str, Any], model: Any, tuning: Tuning
) -> dict[str, Any]:  # fmt: skip
    size = sum(parameter.numel() for parameter in model.parameters())
    return {name: make_config(name, params, size, tuning) for name in rows}


def _plan(job: Job, rows: Mapping[str, Sequence[Any]], configs: Mapping[str, Any], tuning: Tuning) -> Plan:
    balance = checked("balance", job.params.get("balance", BALANCE))
    seed = next(iter(configs.values())).seed
    plan = make_plan(job.method, rows, {name: config.batch for name, config in configs.items()}, balance, seed)
    return plan if tuning.chains else only_the_largest(plan, tuning.name)


@dataclass(frozen=True)
class _Before:
    """What is measured before the first step, on what the run starts from."""

    logits: Any
    held_out: _HeldOut
    likelihoods: Sequence[evaluate.Likelihood]

    @classmethod
    def measure(cls, prepared: Prepared, encoder: Encoder, held_out: _HeldOut) -> _Before:
        found = evaluate.likelihoods(prepared.model, encoder, held_out.tokens)
        return cls(evaluate.probe_logits(prepared.model, encoder), held_out, found)


@dataclass(frozen=True)
class _HeldOut:
    """Validation rows that the base's chat template takes, with their ids: pairs, unless thumbs alone are trained."""

    pairs: bool
    rows: Sequence[Any]
    tokens: Sequence[tuple[list[int], list[int]]]
    refused: int

    @classmethod
    def read(cls, dataset: DatasetFolder, encoder: Encoder, plan: Plan) -> _HeldOut:
        pairs, rated = dataset.pairs("validation"), dataset.rated("validation")
        if rated and all(stage.objective.parts().row is Rated for stage in plan.stages):
            pairs = []
        given: Sequence[Any] = (pairs or rated)[:MAX_HELD_OUT]
        rows, tokens = [], []
        for row in given:
            try:
                tokens.append(evaluate.side_tokens(row, encoder))
            except TemplateRefusal:
                continue
            rows.append(row)
        # The chosen sides come first, then the rejected ones.
        ordered = [side[place] for place in range(2 if pairs else 1) for side in tokens]
        return cls(bool(pairs), rows, ordered, len(given) - len(rows))

    def accuracy(self, after: Sequence[evaluate.Likelihood], before: Sequence[evaluate.Likelihood]) -> Accuracy:
        if self.pairs:
            return evaluate.preference_accuracy(self.rows, after, before)
        return evaluate.thumb_accuracy(self.rows, after, before)


def _judge(
    job: Job, trained: Any, encoder: Encoder, hardware: Hardware, before: _Before, changed: float
) -> dict[str, Any]:
    after = evaluate.likelihoods(trained, encoder, before.held_out.tokens)
    accuracy = before.held_out.accuracy(after, before.likelihoods)
    logits = evaluate.probe_logits(trained, encoder)
    served = load_tuned(job.base, job.out / "adapter", hardware.dtype).to(hardware.device)
    training = guards.Training(
        changed, float((logits - before.logits).abs().max()),
        guards.reload_difference(logits, evaluate.probe_logits(served, encoder)), accuracy,
    )  # fmt: skip
    del served
    judged = with_base(trained, job.base)
    base = guards.base_side(judged, encoder, job.base, cache_of(job.cache, job.out / "adapter"), guards.SAMPLING)
    side = guards.measure(judged, encoder, guards.frozen_prompts(), guards.SAMPLING, base=False)
    verdicts = guards.judge(side, base, training)
    return {
        "passed": guards.all_passed(verdicts), "reasons": guards.reasons(verdicts),
        "not_measured": guards.not_measured(verdicts), "guards": [asdict(guard) for guard in verdicts],
        "held_out": {
            "right": accuracy.right, "total": accuracy.total, "rate": accuracy.rate, "rows": accuracy.rows,
            "p_below": accuracy.p_below, "refused": before.held_out.refused,
        },
        "replies": list(side.replies), "base_replies": list(base.replies), "prompts": list(guards.frozen_prompts()),
    }  # fmt: skip


# What of a guard's verdict goes into the log, for the page of the adapter.
GUARD_FIELDS = ("name", "passed", "value", "base", "limit")


def _summary(
    metrics: MetricsFile, report: Mapping[str, Any], done: Trained, plan: Plan, ran: Mapping[str, Any], tuning: Tuning
) -> dict[str, Any]:
    first, last = metrics.lines[0], metrics.lines[-1]
    values = {guard["name"]: guard["value"] for guard in report["guards"]}
    bases = {guard["name"]: guard["base"] for guard in report["guards"]}
    return {
        "loss_first": first.get("loss"), "loss_last": last.get("loss"),
        "train_accuracy_last": last.get("rewards/accuracies"), "held_out": report["held_out"],
        "length_ratio": values["length"] / bases["length"] if bases["length"] else None,
        "perplexity_ratio": values["perplexity"], "ends": values["ends"], "dropped": done.dropped,
        "plan": list(plan.words), "stages": done.stages, "ran": dict(ran),
        "tuning": tuning.name, "served": "together" if tuning.together else "own", "warning": tuning.warning,
        "resumed_from": [line["resumed_from"] for line in metrics.lines if "resumed_from" in line],
        "guards": [{name: guard[name] for name in GUARD_FIELDS} for guard in report["guards"]],
    }  # fmt: skip


def _write(file: Path, body: Mapping[str, Any]) -> None:
    write_whole(file, json.dumps(body, ensure_ascii=False, indent=1).encode())


def _parse(arguments: Sequence[str] | None) -> Job:
    parser = argparse.ArgumentParser(prog="python -m trainer.run", description="Train one adapter.")
    parser.add_argument("--project", default="default")
    parser.add_argument("--dataset", type=Path, required=True, help="dataset folder")
    parser.add_argument("--out", type=Path, required=True, help="folder of this run, made where missing")
    parser.add_argument("--method", default=AUTO, choices=CHOICES, help="the objective")
    parser.add_argument("--tuning", default=DEFAULT, help="which weights are tuned, and how")
    parser.add_argument("--config", default="{}", help="settings as JSON, see docs/reference")
    parser.add_argument("--base", required=True, help="folder of the base model, or a setting such as demo with --home")
    parser.add_argument("--home", type=Path, help="where a base model that is no folder is kept")
    parser.add_argument("--parent", type=int, help="process id; the run ends when its parent is no longer that process")
    parser.add_argument("--processes", type=int, default=1, help="so many of these torchrun has started; see backends")
    parser.add_argument("--start", type=Path, help="folder of the adapter to continue; without it a new one is made")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in --out, if it is whole")
    parser.add_argument("--cache", type=Path, help="folder in which the base's side of the guards is kept")
    given = parser.parse_args(arguments)
    try:
        params = json.loads(given.config)
    except ValueError as error:
        raise ThumbwheelError(
            "bad_setting", f"--config is not JSON: {error}", "Write a JSON object.", "config"
        ) from error
    if not isinstance(params, dict):
        raise ThumbwheelError("bad_setting", "--config is not a JSON object.", 'Write {"lr": 5e-4}.', "config")
    base = Path(given.base) if given.home is None else ensure_base_model(given.base, given.home)
    if not (base / "config.json").exists():
        raise ThumbwheelError(
            "missing_model", f"No model in the folder {base}.", "The folder needs config.json and the weights."
        )
    if given.parent:
        threading.Thread(target=processes.end_with, args=(given.parent,), daemon=True).start()
    return Job(
        given.project,
        given.dataset,
        given.out,
        given.method,
        params,
        base.absolute(),
        given.start,
        given.cache,
        given.tuning,
        given.resume,
        given.processes,
    )


def _clear(job: Job) -> None:
    """Remove what an earlier start left in the folder, all but what a resumed one goes on with."""
    (job.out / DONE).unlink(missing_ok=True)
    if not job.resume:
        shutil.rmtree(job.out / WORK, ignore_errors=True)
        (job.out / "metrics.jsonl").unlink(missing_ok=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line; return the exit code."""
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    datasets.disable_progress_bars()
    try:
        job = _parse(arguments)
        job.out.mkdir(parents=True, exist_ok=True)
        if processes.is_first():
            _clear(job)
    except ThumbwheelError as error:
        print(error.line(), file=sys.stderr)
        return 2
    try:
        result = run(job)
    except ThumbwheelError as error:
        print(error.line(), file=sys.stderr)
        return 2
    except (OSError, MemoryError, RuntimeError, ValueError) as error:
        trace = job.out / "error.txt"
        trace.write_text(traceback.format_exc(), "utf-8")
        first = (str(error).strip().splitlines() or [""])[0]
        print(f"Training failed: {type(error).__name__}: {first}  hint: the whole trace is in {trace}", file=sys.stderr)
        return 1
    if result is None:
        return 0
    print(
        json.dumps({name: result[name] for name in ("method", "rows", "steps", "plan", "passed", "reasons", "seconds")})
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
