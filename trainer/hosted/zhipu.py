"""Fine-tuning jobs at Zhipu BigModel: demonstrations by API; its DPO is a matter of its console.

    THUMBWHEEL_MODEL_API=https://open.bigmodel.cn/api/paas/v4

Forms: the `zhipuai` package 2.1.5.20250825 (`api_resource/files.py`, `api_resource/fine_tuning/jobs`), whose client is
the oracle of `tests/trainer/test_hosted.py`. It has no field for DPO or LoRA, and its `status` is any text: so a job
has ended when it has a finishing time, well when it then names a model. Never run against the vendor.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trainer.hosted.openai_wire import Form, Job, OpenAIWire, text_of

MEGABYTE = 1024 * 1024


class ZhipuWire(OpenAIWire):
    """Zhipu's form: OpenAI's first one, with a `request_id` and hyperparameters at the top."""

    form = Form(("sft",), 10, 100 * MEGABYTE, ("n_epochs", "batch_size", "learning_rate_multiplier"))

    def create(self, model: str, file_id: str, method: str, settings: Mapping[str, Any], run_id: str) -> str:
        """Return the id of a new job."""
        body = {"model": model, "training_file": file_id, "request_id": run_id}
        asked = {"hyperparameters": dict(settings)} if settings else {}
        return text_of(self._http.call("POST", "/fine_tuning/jobs", {**body, **asked}), "id")

    def job(self, job_id: str) -> Job:
        """Return what is to be seen of a job now."""
        found = self._http.call("GET", f"/fine_tuning/jobs/{job_id}")
        error, model = found.get("error"), found.get("fine_tuned_model")
        if not error and found.get("finished_at") and model:
            return Job("ended", str(model), trained_tokens=found.get("trained_tokens"))
        if error or found.get("finished_at") or found.get("status") in ("failed", "cancelled"):
            said = error.get("message") if isinstance(error, dict) else None
            return Job(
                "failed", reason=f"The vendor's job {job_id} {found.get('status')}." + (f" {said}" if said else "")
            )
        return Job("running")
