"""A stand-in for a vendor that speaks OpenAI's fine-tuning form, as the `openai` package 3.54 describes it.

It refuses a request with a field that the package's own parameter types do not have, and whatever it answers is read
with the package's own models first. It invents no error bodies: `trouble` is a status and the bytes to answer with.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from openai.types import FileObject
from openai.types.chat import ChatCompletion
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
from openai.types.fine_tuning import (
    DpoHyperparametersParam,
    FineTuningJob,
    SupervisedHyperparametersParam,
    job_create_params,
)

KEY = "sk-this-is-secret"
HYPERPARAMETERS = {"supervised": SupervisedHyperparametersParam, "dpo": DpoHyperparametersParam}


class Vendor(ThreadingHTTPServer):
    """Files, jobs and replies in memory. `moves` are the states a job takes, one a look; the last one stays."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}/v1"
        self.seen: list[tuple[str, str, Any]] = []
        self.files: dict[str, bytes] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.moves = ["validating_files", "queued", "running", "succeeded"]
        self.trouble: list[tuple[int, bytes]] = []
        self.answers_as: str | None = None
        # "zhipu": the fields of its own package's `jobs.create`, and answers in its form.
        self.dialect = "openai"
        self.text = "I am sorry. {prompt} We will look at it today."

    def calls(self, path: str) -> list[Any]:
        return [body for _, seen, body in self.seen if seen == path]


@contextmanager
def serving() -> Iterator[Vendor]:
    vendor = Vendor()
    thread = threading.Thread(target=vendor.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield vendor
    finally:
        vendor.shutdown()
        thread.join()
        vendor.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: Vendor

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._answer("GET", None)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        kind = self.headers.get("Content-Type") or ""
        if kind.startswith("multipart/form-data"):
            whole = BytesParser().parsebytes(f"Content-Type: {kind}\r\n\r\n".encode() + body)
            parts = {
                part.get_param("name", header="content-disposition"): part.get_payload(decode=True)
                for part in whole.get_payload()  # type: ignore[union-attr]
            }
            self._answer("POST", parts)
        else:
            self._answer("POST", json.loads(body) if body else None)

    def _answer(self, method: str, body: Any) -> None:
        vendor = self.server
        path = self.path.removeprefix("/v1")
        vendor.seen.append((method, path, body))
        if self.headers.get("Authorization") != f"Bearer {KEY}":
            return self._send(401, b"")
        if vendor.trouble:
            return self._send(*vendor.trouble.pop(0))
        made = _route(vendor, method, path, body)
        return self._send(400, b"unknown field") if made is None else self._send(200, json.dumps(made).encode())

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _route(vendor: Vendor, method: str, path: str, body: Any) -> dict[str, Any] | None:
    if (method, path) == ("POST", "/files"):
        return _file(vendor, body)
    if (method, path) == ("POST", "/fine_tuning/jobs"):
        return _new_job(vendor, body)
    if method == "GET" and path.startswith("/fine_tuning/jobs?"):
        return {"object": "list", "data": list(vendor.jobs.values()), "has_more": False}
    if path.startswith("/fine_tuning/jobs/"):
        return _old_job(vendor, path)
    if (method, path) == ("POST", "/chat/completions"):
        return _reply(vendor, body)
    return None


def _file(vendor: Vendor, parts: dict[str, bytes]) -> dict[str, Any] | None:
    if parts.keys() != {"purpose", "file"}:
        return None
    file_id = f"file-{len(vendor.files) + 1}"
    vendor.files[file_id] = parts["file"]
    return _read_by(FileObject, {
        "id": file_id, "bytes": len(parts["file"]), "created_at": 1, "filename": "train.jsonl", "object": "file",
        "purpose": parts["purpose"].decode(), "status": "processed",
    })  # fmt: skip


def _new_job(vendor: Vendor, body: dict[str, Any]) -> dict[str, Any] | None:
    if vendor.dialect == "zhipu":
        return _new_zhipu_job(vendor, body)
    method = body.get("method") or {}
    kind = method.get("type")
    asked = (method.get(kind) or {}).get("hyperparameters") or {}
    if (
        body.keys() - job_create_params.JobCreateParams.__annotations__.keys() or kind not in HYPERPARAMETERS
        or method.keys() != {"type", kind} or asked.keys() - HYPERPARAMETERS[kind].__annotations__.keys()
        or body["training_file"] not in vendor.files
    ):  # fmt: skip
        return None
    job_id = f"ftjob-{len(vendor.jobs) + 1}"
    vendor.jobs[job_id] = _read_by(FineTuningJob, {
        "id": job_id, "created_at": 1, "hyperparameters": {}, "model": body["model"], "object": "fine_tuning.job",
        "organization_id": "org", "result_files": [], "seed": 1, "status": vendor.moves[0],
        "training_file": body["training_file"], "metadata": body.get("metadata"), "method": method,
    })  # fmt: skip
    return vendor.jobs[job_id]


def _new_zhipu_job(vendor: Vendor, body: dict[str, Any]) -> dict[str, Any] | None:
    known = {"model", "training_file", "hyperparameters", "suffix", "request_id", "validation_file"}
    settings = {"batch_size", "learning_rate_multiplier", "n_epochs"}
    if body.keys() - known or (body.get("hyperparameters") or {}).keys() - settings:
        return None
    job_id = f"ftjob-{len(vendor.jobs) + 1}"
    vendor.jobs[job_id] = {
        "id": job_id, "request_id": body.get("request_id"), "created_at": 1, "model": body["model"], "result_files": [],
        "status": vendor.moves[0], "training_file": body["training_file"],
    }  # fmt: skip
    return vendor.jobs[job_id]


def _old_job(vendor: Vendor, path: str) -> dict[str, Any] | None:
    job_id, _, verb = path.removeprefix("/fine_tuning/jobs/").partition("/")
    job = vendor.jobs.get(job_id)
    if job is None or verb not in ("", "cancel"):
        return None
    if verb == "cancel":
        vendor.moves = ["cancelled"]
    elif len(vendor.moves) > 1:
        vendor.moves.pop(0)
    job["status"] = vendor.moves[0]
    if job["status"] == "succeeded":
        job |= {"fine_tuned_model": f"ft:{job['model']}:shop:{job_id}", "trained_tokens": 123, "finished_at": 2}
    if vendor.dialect == "zhipu":
        return job
    return _read_by(FineTuningJob, job)


def _reply(vendor: Vendor, body: dict[str, Any]) -> dict[str, Any] | None:
    if body.keys() - _keys(CompletionCreateParamsNonStreaming):
        return None
    text = vendor.text.format(prompt=body["messages"][-1]["content"])
    return _read_by(ChatCompletion, {
        "id": "c", "created": 1, "model": vendor.answers_as or body["model"], "object": "chat.completion",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
    })  # fmt: skip


def _keys(kind: Any) -> set[str]:
    return {name for part in (kind, *kind.__orig_bases__) for name in getattr(part, "__annotations__", {})}


def _read_by(model: Any, body: dict[str, Any]) -> dict[str, Any]:
    """Return an answer that the vendor's own model reads, strictly."""
    model.model_validate(body, strict=True)
    return body
