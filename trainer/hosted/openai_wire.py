"""Fine-tuning jobs in OpenAI's form: files, jobs and replies in, out. For vendors and servers that speak it.

Forms: the `openai` package 3.54 (`resources/files.py`, `resources/fine_tuning/jobs`), whose client is the oracle of
`tests/trainer/test_hosted.py`. Never run against a vendor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from contract.errors import ThumbwheelError
from trainer.guarding.replies import Written
from trainer.hosted.http_wire import HttpWire

if TYPE_CHECKING:
    from inference.generation import Sampling

METHODS = {"sft": "supervised", "dpo": "dpo"}


@dataclass(frozen=True)
class Form:
    """What a vendor's jobs take: objectives, at least so many rows, at most so many bytes, and these settings."""

    methods: tuple[str, ...]
    min_rows: int
    max_bytes: int
    settings: tuple[str, ...]


@dataclass(frozen=True)
class Job:
    """What is seen of a vendor's job: the model it made, once it ended, or why it failed."""

    state: Literal["running", "ended", "failed"]
    model: str | None = None
    reason: str = ""
    trained_tokens: int | None = None


class OpenAIWire:
    """One vendor that speaks this form."""

    form = Form(
        tuple(METHODS), 10, 512 * 1024 * 1024, ("n_epochs", "batch_size", "learning_rate_multiplier", "beta")
    )  # fmt: skip

    def __init__(self, http: HttpWire) -> None:
        self._http = http

    def upload(self, file: Path) -> str:
        """Return the id of a file of training rows, uploaded."""
        return text_of(self._http.upload("/files", {"purpose": "fine-tune"}, file), "id")

    def create(self, model: str, file_id: str, method: str, settings: Mapping[str, Any], run_id: str) -> str:
        """Return the id of a new job; it carries the run's id, by which it is found again."""
        kind = METHODS[method]
        return text_of(self._http.call("POST", "/fine_tuning/jobs", {
            "model": model, "training_file": file_id, "metadata": {"run_id": run_id},
            "method": {"type": kind, kind: {"hyperparameters": dict(settings)}},
        }), "id")  # fmt: skip

    def find(self, run_id: str, file_id: str) -> str | None:
        """Return the id of the job that a run created before it was killed and could note the id."""
        for job in self._http.call("GET", "/fine_tuning/jobs?limit=100").get("data") or ():
            named = (job.get("metadata") or {}).get("run_id") or job.get("request_id")
            if named == run_id or job.get("training_file") == file_id:
                return str(job["id"])
        return None

    def job(self, job_id: str) -> Job:
        """Return what is to be seen of a job now."""
        found = self._http.call("GET", f"/fine_tuning/jobs/{job_id}")
        status = found.get("status")
        if status == "succeeded" and found.get("fine_tuned_model"):
            return Job("ended", str(found["fine_tuned_model"]), trained_tokens=found.get("trained_tokens"))
        if status in ("failed", "cancelled"):
            said = (found.get("error") or {}).get("message")
            return Job("failed", reason=f"The vendor's job {job_id} {status}." + (f" {said}" if said else ""))
        return Job("running")

    def cancel(self, job_id: str) -> None:
        """Cancel a job."""
        self._http.call("POST", f"/fine_tuning/jobs/{job_id}/cancel")

    def reply(self, model: str, prompt: str, sampling: Sampling) -> Written:
        """Return a model's reply to one message."""
        answer = self._http.call("POST", "/chat/completions", {
            "model": model, "messages": [{"role": "user", "content": prompt}], "temperature": sampling.temperature,
            "top_p": sampling.top_p, "max_tokens": sampling.max_tokens,
        })  # fmt: skip
        try:
            choice = answer["choices"][0]
            return Written(str(choice["message"].get("content") or ""), choice.get("finish_reason") == "stop")
        except (LookupError, TypeError, AttributeError) as error:
            raise _unreadable(answer) from error


def text_of(answer: Mapping[str, Any], name: str) -> str:
    """Return a text that an answer has to have; raises ThumbwheelError `vendor_unreadable`."""
    found = answer.get(name)
    if not isinstance(found, str) or not found:
        raise _unreadable(answer)
    return found


def _unreadable(answer: Mapping[str, Any]) -> ThumbwheelError:
    return ThumbwheelError(
        "vendor_unreadable", f"The vendor answered in another form: it has {', '.join(sorted(answer)) or 'no fields'}.",
        "It has to speak OpenAI's API.",
    )  # fmt: skip
