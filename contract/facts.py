"""Facts from the trainer and the dataset builder, and wishes from people: the `runs` topic."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from contract.envelope import Envelope

# What a wish to train may name; the trainer's own table is trainer/methods.py.
TrainMethod = Literal["sft", "dpo", "kto", "auto"]
# How weights are tuned; the trainer's own table is trainer/tuning/table.py.
TrainTuning = Literal[
    "lora", "rslora", "dora", "qlora8", "qlora4", "full", "frozen", "progressive", "prompt", "p-tuning", "prefix",
]  # fmt: skip


class RunStarted(Envelope, frozen=True, kw_only=True, tag="run.started"):
    """A training run began."""

    run_id: str
    dataset_id: str | None = None
    method: str
    tuning: str | None = None
    parent: str | None = None
    config: dict[str, Any] = {}
    request_id: str | None = None


class RunProgress(Envelope, frozen=True, kw_only=True, tag="run.progress"):
    """Metrics at a step."""

    run_id: str
    step: int
    total_steps: int
    metrics: dict[str, Any] = {}


class RunFinished(Envelope, frozen=True, kw_only=True, tag="run.finished"):
    """A run ended with an adapter."""

    run_id: str
    adapter_id: str | None = None
    metrics: dict[str, Any] = {}
    request_id: str | None = None


class RunFailed(Envelope, frozen=True, kw_only=True, tag="run.failed"):
    """A run ended without one."""

    run_id: str
    reason: str
    request_id: str | None = None


class ModelFact(Envelope, frozen=True, kw_only=True):
    """What happened to an adapter; `alias_version` is the alias file's version after it."""

    adapter_id: str
    run_id: str | None = None
    dataset_id: str | None = None
    parent: str | None = None
    baseline: str | None = None
    alias_version: int = 0
    reason: str | None = None
    metrics: dict[str, Any] = {}
    request_id: str | None = None


class ModelRegistered(ModelFact, frozen=True, kw_only=True, tag="model.registered"):
    """An adapter exists."""


class ModelChallenger(ModelFact, frozen=True, kw_only=True, tag="model.challenger"):
    """An adapter is under blind test."""


class ModelHeld(ModelFact, frozen=True, kw_only=True, tag="model.held"):
    """An adapter is kept back, with the reason."""


class ModelRejected(ModelFact, frozen=True, kw_only=True, tag="model.rejected"):
    """An adapter lost its blind test."""


class ModelPromoted(ModelFact, frozen=True, kw_only=True, tag="model.promoted"):
    """An adapter became the champion."""


class ModelRolledBack(ModelFact, frozen=True, kw_only=True, tag="model.rolled_back"):
    """The champion was taken back."""


class DatasetBuilt(Envelope, frozen=True, kw_only=True, tag="dataset.built"):
    """A dataset folder exists."""

    dataset_id: str
    digest: str
    offsets: dict[str, dict[str, int]] = {}
    parent: str | None = None
    counts: dict[str, Any] = {}


class RequestTrain(Envelope, frozen=True, kw_only=True, tag="request.train"):
    """A wish to train; the event id is the request id."""

    method: TrainMethod = "auto"
    tuning: TrainTuning | None = None
    dataset_id: str | None = None
    params: dict[str, Any] = {}


class RequestPromote(Envelope, frozen=True, kw_only=True, tag="request.promote"):
    """A wish to make an adapter the champion."""

    adapter_id: str
    reason: str | None = None


class RequestRollBack(Envelope, frozen=True, kw_only=True, tag="request.roll_back"):
    """A wish to go back to the champion before."""

    reason: str | None = None
    adapter_id: str | None = None


class Forget(Envelope, frozen=True, kw_only=True, tag="forget"):
    """Take a person out: every event of that actor from before."""

    actor_digest: str
    before: datetime
