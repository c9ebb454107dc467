"""One hosted run, in a process of its own: a dataset folder in; a model at a vendor, its guards and DONE out.

    python -m trainer.hosted.program --project P --dataset DIR --out RUNDIR --method auto|dpo|sft
        --config JSON [--model ID] [--parent PID] [--resume] [--dry-run]

The vendor is THUMBWHEEL_MODEL_API with THUMBWHEEL_MODEL_API_KEY, its model THUMBWHEEL_BASE_MODEL: the gateway serves
base and tuned model from the same place. The key comes from the settings, never from the command line.

What the vendor has given, a file's id and a job's, is noted in `work/vendor.json` at once. A process that is killed or
stopped leaves the job running there; `--resume` finds it again and pays for no second one. `--dry-run` writes the rows
and what they would cost, and calls nobody. Nothing is bought that was not confirmed: `confirm_cost` in --config has
to be at least the estimate, which needs THUMBWHEEL_TRAIN_PRICE.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from contract.errors import ThumbwheelError
from runtime.files import write_whole
from runtime.settings import Settings, load_settings
from trainer import processes
from trainer.backends.run_folder import DONE, VENDOR, WORK
from trainer.guarding import guards
from trainer.guarding.replies import Written, measure_replies
from trainer.hosted.http_wire import HttpWire
from trainer.hosted.openai_wire import Form, Job, OpenAIWire
from trainer.hosted.rows import Packed, pack
from trainer.hosted.zhipu import ZhipuWire
from trainer.recipes import RUN_PARAMS
from trainer.rows import DatasetFolder, open_dataset

POLL_S = 10.0
T = TypeVar("T")
WIRES: Mapping[str, type[OpenAIWire]] = {"openai": OpenAIWire, "zhipu": ZhipuWire}
# A vendor that is away for so long has to be looked after; the job there goes on, and so can the run.
AWAY_S = 3600.0
# Away for the moment: asked again.
PASSING = (408, 409, 425, 429)
# Where nobody says, vendors choose by the number of rows.
EPOCHS_IF_AUTO = 3


@dataclass(frozen=True)
class Asked:
    """What one hosted run is asked for; `model` is what it continues."""

    project: str
    dataset: Path
    out: Path
    method: str
    params: Mapping[str, Any]
    model: str


def hyperparameters(params: Mapping[str, Any], method: str, form: Form) -> dict[str, Any]:
    """Return a job's settings; `auto` is the vendor's choice. Raises ThumbwheelError `bad_setting`."""
    found: dict[str, Any] = {}
    for name, value in params.items():
        if name in RUN_PARAMS - set(form.settings) or (name == "beta" and method == "sft"):
            continue
        number = isinstance(value, int | float) and not isinstance(value, bool) and value > 0
        if name not in form.settings or not (number or value == "auto"):
            raise ThumbwheelError(
                "bad_setting", f"{name}={value!r:.80} is no setting of a hosted job.",
                f"Known: {', '.join(form.settings)}; a number above 0, or auto.", name,
            )  # fmt: skip
        found[name] = value
    return found


def estimated_cost(packed: Packed, settings: Mapping[str, Any], price: float) -> float:
    """Return about what a job costs, in the currency of the price for a million tokens."""
    epochs = settings.get("n_epochs", "auto")
    passes = EPOCHS_IF_AUTO if epochs == "auto" else float(epochs)
    return packed.tokens * passes * price / 1e6


def check_confirmed(params: Mapping[str, Any], cost: float, price: float) -> None:
    """Raise ThumbwheelError `not_confirmed` unless a price is known and what it comes to was confirmed."""
    if not price:
        raise ThumbwheelError(
            "not_confirmed", "What a hosted job costs is not known.",
            "Set THUMBWHEEL_TRAIN_PRICE to the vendor's price for a million training tokens.",
        )  # fmt: skip
    confirmed = params.get("confirm_cost")
    if isinstance(confirmed, bool) or not isinstance(confirmed, int | float) or not confirmed >= cost:
        raise ThumbwheelError(
            "not_confirmed", f"This job would cost about {cost:.2f}, and {confirmed or 'nothing'} is confirmed.",
            f"""thumbwheel train --params '{{"confirm_cost": {max(0.01, round(cost * 1.2, 2)):g}}}' confirms it.""",
            "confirm_cost",
        )  # fmt: skip


def run(asked: Asked, settings: Settings, wire: OpenAIWire) -> dict[str, Any]:
    """Upload, create, wait, measure; return what `result.json` holds. Raises ThumbwheelError."""
    dataset, packed, wanted = prepare(asked, wire.form)
    vendor = _Vendor(asked.out / WORK / VENDOR)
    if not vendor.noted:
        cost = estimated_cost(packed, wanted, settings.train_price)
        check_confirmed(asked.params, cost, settings.train_price)
    job_id = _job_of(asked, packed, wanted, wire, vendor)
    job = wait(wire, job_id)
    if job.state == "failed" or job.model is None:
        raise ThumbwheelError("vendor_failed", job.reason or f"The job {job_id} made no model.", "Look at it there.")
    report = judge(wire, settings.base_model, job.model)
    write_whole(asked.out / "guards.json", json.dumps(report, ensure_ascii=False, indent=1).encode())
    result = _result(asked, settings.base_model, packed, wanted, job, report) | {
        "dataset_id": dataset.dataset_id, "dataset_digest": dataset.manifest.get("digest"),
    }  # fmt: skip
    write_whole(asked.out / "result.json", json.dumps(result, ensure_ascii=False, indent=1).encode())
    (asked.out / DONE).write_text(job.model + "\n", "utf-8")
    return result


def _job_of(asked: Asked, packed: Packed, wanted: Mapping[str, Any], wire: OpenAIWire, vendor: _Vendor) -> str:
    """Return the id of the run's job: the one an earlier start created, or a new one."""
    file_id = vendor.get("file_id") or vendor.note("file_id", wire.upload(packed.file))
    if known := vendor.get("job_id"):
        return known
    # Killed between the vendor's answer and the note, a run has a job already.
    found = wire.find(asked.out.name, file_id) if vendor.get("creating") else None
    vendor.note("creating", "yes")
    return vendor.note("job_id", found or wire.create(asked.model, file_id, packed.method, wanted, asked.out.name))


def _result(
    asked: Asked, base: str, packed: Packed, wanted: Mapping[str, Any], job: Job, report: Mapping[str, Any]
) -> dict[str, Any]:
    kept = ("name", "passed", "value", "base", "limit")
    return {
        "project": asked.project, "method": packed.method, "tuning": "hosted", "base": base, "start": asked.model,
        "reference": f"{asked.model}, as the vendor has it", "remote_model": job.model, "config": dict(wanted),
        "rows": packed.rows, "dropped": packed.dropped, "passed": report["passed"], "reasons": report["reasons"],
        "metrics": {
            "dropped": packed.dropped, "trained_tokens": job.trained_tokens, "not_measured": report["not_measured"],
            "guards": [{name: guard[name] for name in kept} for guard in report["guards"]],
        },
    }  # fmt: skip


def prepare(asked: Asked, form: Form) -> tuple[DatasetFolder, Packed, dict[str, Any]]:
    """Write the rows of a run into its folder; return the dataset, the file and the job's settings."""
    dataset = open_dataset(asked.dataset)
    (asked.out / WORK).mkdir(parents=True, exist_ok=True)
    packed = pack(dataset, asked.method, int(asked.params.get("seed", 0)), asked.out / WORK / "train.jsonl", form)
    params = {name: value for name, value in asked.params.items() if name != "seed"}
    return dataset, packed, hyperparameters(params, packed.method, form)


def wait(wire: OpenAIWire, job_id: str) -> Job:
    """Return the job once it has ended."""
    while (job := patiently(lambda: wire.job(job_id))).state == "running":
        time.sleep(POLL_S)
    return job


def patiently(ask: Callable[[], T]) -> T:
    """Return an answer, asking again for an hour where the vendor is away or busy. Raises ThumbwheelError."""
    began = time.monotonic()
    while True:
        try:
            return ask()
        except ThumbwheelError as error:
            passing = error.code == "vendor_away" or error.status in PASSING or error.status >= 500
            if not passing or time.monotonic() - began > AWAY_S:
                raise
        time.sleep(POLL_S)


def judge(wire: OpenAIWire, base: str, model: str) -> dict[str, Any]:
    """Return the verdicts on replies of the base and of the model; what needs weights is named as not measured."""
    prompts = guards.frozen_prompts()

    def reply(name: str, prompt: str) -> Written:
        return patiently(lambda: wire.reply(name, prompt, guards.SAMPLING))

    def replies(name: str) -> list[Written]:
        return [reply(name, prompt) for prompt in prompts]

    try:
        sides = [measure_replies(prompts, replies(name)) for name in (model, base)]
    except ThumbwheelError as error:
        # The job is paid and its model is there: it is registered, and held until somebody has looked.
        return {"passed": False, "reasons": [f"no replies: {error.line()}"], "guards": [],
                "not_measured": [guard.name for guard in guards.GUARDS]}  # fmt: skip
    verdicts = guards.judge_replies(*sides)
    return {
        "passed": guards.all_passed(verdicts), "reasons": guards.reasons(verdicts),
        "not_measured": guards.not_measured(verdicts), "guards": [asdict(guard) for guard in verdicts],
    }  # fmt: skip


class _Vendor:
    """What a vendor has given for a run, on the disk before anything else is asked of it."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.noted: dict[str, str] = json.loads(file.read_text("utf-8")) if file.exists() else {}

    def get(self, name: str) -> str | None:
        return self.noted.get(name)

    def note(self, name: str, value: str) -> str:
        self.noted[name] = value
        write_whole(self._file, json.dumps(self.noted).encode(), durable=True)
        return value


def wire_of(settings: Settings) -> OpenAIWire:
    """Return the vendor the settings name."""
    kind = WIRES.get(settings.train_backend, OpenAIWire)
    return kind(HttpWire(settings.model_api, settings.model_api_key))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m trainer.hosted.program")
    parser.add_argument("--project", default="default")
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--method", default="auto")
    parser.add_argument("--config", default="{}")
    parser.add_argument("--model", help="the vendor's model to continue; without it the base")
    parser.add_argument("--parent", type=int)
    parser.add_argument("--resume", action="store_true", help="find the job again that an earlier start created")
    parser.add_argument("--dry-run", action="store_true", help="write the rows and what they would cost; call nobody")
    given = parser.parse_args(arguments)
    if given.parent:
        threading.Thread(target=processes.end_with, args=(given.parent,), daemon=True).start()
    try:
        settings = load_settings()
        params = parse_params(given.config)
        model = given.model or settings.base_model
        asked = Asked(given.project, given.dataset, given.out, given.method, params, model)
        if not given.resume:
            (given.out / WORK / VENDOR).unlink(missing_ok=True)
        told = (
            plan(asked, settings.train_price, wire_of(settings).form)
            if given.dry_run
            else run(asked, settings, wire_of(settings))
        )
    except ThumbwheelError as error:
        print(error.line(), file=sys.stderr)
        return 2
    print(json.dumps({name: told[name] for name in told if name not in ("metrics", "project")}))
    return 0


def parse_params(text: str) -> dict[str, Any]:
    """Return a job's settings from JSON; raises ThumbwheelError `bad_setting`."""
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ThumbwheelError("bad_setting", f"--config is not JSON: {error}", "Write a JSON object.") from error
    if not isinstance(found, dict):
        raise ThumbwheelError("bad_setting", "--config is not a JSON object.", 'Write {"n_epochs": 2}.', "config")
    return found


def plan(asked: Asked, price: float, form: Form) -> dict[str, Any]:
    """Write the rows and return what a job would be asked for; nothing leaves this machine."""
    _, packed, wanted = prepare(asked, form)
    cost = round(estimated_cost(packed, wanted, price), 2) if price else None
    return {
        "file": str(packed.file), "method": packed.method, "model": asked.model, "rows": packed.rows,
        "dropped": packed.dropped, "tokens": packed.tokens, "settings": wanted, "cost": cost,
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
