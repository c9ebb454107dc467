"""The engine: base and adapters resident once, one thread that writes all replies together.

Requests from many threads wait in a queue; between two steps the thread takes as many rows as fit and adds them to
the batch in flight, so a streamed chat begins at once although a long batch runs, and never are there two forward
passes at a time (the rows' adapters are set on shared modules, which two at once would overwrite).

A model of its own (`gateway/adapters.py`) writes its rows in a batch of its own; one step is one token for every row of
every batch, so the replies of a request that compares two models come together all the same.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from contract.errors import ThumbwheelError
from gateway.adapters import Adapters
from gateway.admission import Job, Waiting
from inference.base_model import load_model, load_tokenizer
from inference.batch import BASE, Batch, Model, Row
from inference.chat_template import ChatTemplate
from inference.hardware import find_hardware
from inference.mixing import Mixing
from inference.replies import Generation, Reply, Sampling
from inference.sampling import RowRandom
from inference.thoughts import template_kwargs
from inference.tuned import SHARED

# Rows that may wait; past it a request is refused with Retry-After instead of growing a queue without end.
MAX_WAITING_ROWS = 256
STOP_SECONDS = 8.0
log = logging.getLogger(__name__)


class Engine:
    """Base and adapters in this process.

    `adapter_folder(model)` says where an adapter's files lie; dtype is auto, float32 or bfloat16.
    """

    def __init__(self, base: Path, adapter_folder: Callable[[str], Path], dtype: str = "auto") -> None:
        self.tokenizer = load_tokenizer(base)
        # What a project chose about thinking has a template of its own: forms are remembered by it.
        self._templates = {
            choice: ChatTemplate(self.tokenizer, template_kwargs(choice)) for choice in (None, True, False)
        }
        hardware = find_hardware(dtype)
        base_model = load_model(base, hardware.dtype).to(hardware.device)
        self._device = torch.device(hardware.device)
        self._limit = int(getattr(base_model.config, "max_position_embeddings", 2048))
        self._adapters = Adapters(base_model, base)
        self._folder = adapter_folder
        self._ends = _end_tokens(base_model, self.tokenizer)
        self._incoming: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._waiting_rows = 0
        self._closed = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    # -- called by request threads

    def generate(self, request: Generation) -> list[Reply]:
        """Return one reply per model named, in order; blocks. Raises ThumbwheelError, 503 when too many wait."""
        job = self._job(request)
        with self._lock:
            if self._closed:
                raise ThumbwheelError("engine_stopped", "The engine is stopping.", "Try again.", status=503)
            if self._waiting_rows + len(job.rows) > MAX_WAITING_ROWS:
                raise ThumbwheelError(
                    "overloaded", "Too many replies are waiting.", "Try again in a moment.", status=503
                )
            self._waiting_rows += len(job.rows)
            self._incoming.put(job)
        return job.future.result()

    def _job(self, request: Generation) -> Job:
        prompt = self._templates[request.sampling.thinking].prompt(request.messages)
        if len(prompt) + 1 >= self._limit:
            raise ThumbwheelError(
                "context_length_exceeded", f"The messages take {len(prompt)} tokens, the model reads {self._limit}.",
                "Send fewer or shorter messages.", "messages",
            )  # fmt: skip
        rows = []
        for index, model in enumerate(request.models):
            seed = request.sampling.seed
            rows.append(Row(
                prompt, BASE if model == "base" else model, self._within_context(request.sampling, len(prompt)),
                RowRandom(None if seed is None else seed + index), _listener(request, index),
            ))  # fmt: skip
        return Job(request, rows, Future())

    def _within_context(self, sampling: Sampling, prompt_tokens: int) -> Sampling:
        room = self._limit - prompt_tokens
        if sampling.max_tokens <= room:
            return sampling
        return replace(sampling, max_tokens=room)

    def check(self) -> None:
        """Raise ThumbwheelError when the engine's thread has ended."""
        if not self._thread.is_alive():
            raise ThumbwheelError("engine_stopped", "The engine has stopped.", "Restart the gateway.", status=503)

    def close(self) -> None:
        """Finish what is in flight for at most 8 s, then stop."""
        with self._lock:
            self._closed = True
            self._incoming.put(None)
        self._thread.join(STOP_SECONDS)

    # -- the engine's thread

    def _run(self) -> None:
        batches, live, waiting, closing = self._new_batches(), list[Job](), Waiting(), False
        while True:
            closing = self._receive(waiting, block=not live and not waiting and not closing) or closing
            if closing and not live and not waiting:
                return
            try:
                self._admit(batches, waiting, live)
                self._drop_cancelled(live)
                self._step(batches)
            except Exception as error:
                log.exception("A step failed; its requests are answered with an error.")
                self._fail(live, error)
                batches = self._new_batches()
            for job in live:
                job.answer()
            live = [job for job in live if not job.future.done()]

    def _new_batches(self) -> dict[str, Batch]:
        """Return no batch but the shared one; those of models of their own come with their first rows."""
        held = self._adapters
        model = Model(held.model, self.tokenizer, self._ends, held.mixing, self._device, held.prefixes)
        return {SHARED: Batch(model)}

    def _join(self, batches: dict[str, Batch], rows: Sequence[Row]) -> None:
        """Add rows to the batch that writes them: the shared one, or that of their own model."""
        batches[SHARED].model.model = self._adapters.model
        groups: dict[str, list[Row]] = {}
        for row in rows:
            groups.setdefault(row.adapter if row.adapter in self._adapters.own else SHARED, []).append(row)
        for name, theirs in groups.items():
            if name not in batches:
                own = self._adapters.own[name]
                batches[name] = Batch(Model(own, self.tokenizer, self._ends, Mixing(), self._device))
            batches[name].join(theirs)

    def _step(self, batches: dict[str, Batch]) -> None:
        """Write one token for every row; a batch without rows would keep a model that was let go of."""
        for name, batch in list(batches.items()):
            if batch.rows:
                batch.step()
            if name != SHARED and not batch.rows:
                del batches[name]

    def _receive(self, waiting: Waiting, block: bool) -> bool:
        """Take what has come in; True when asked to close."""
        closing = False
        while True:
            try:
                job = self._incoming.get(block=block)
            except queue.Empty:
                return closing
            block = False
            if job is None:
                closing = True
            else:
                waiting.add(job)

    def _admit(self, batches: dict[str, Batch], waiting: Waiting, live: list[Job]) -> None:
        """Let waiting requests join; the rows of a request join together."""
        joining: list[Job] = []
        while job := waiting.next(live, joining):
            with self._lock:
                self._waiting_rows -= len(job.rows)
            if job.request.cancelled.is_set():
                job.drop()
                continue
            live.append(job)
            try:
                self._load_adapters(job, live)
            except ThumbwheelError as error:
                live.remove(job)
                job.future.set_exception(error)
                continue
            joining.append(job)
        if joining:
            self._join(batches, [row for job in joining for row in job.rows])

    def _load_adapters(self, job: Job, live: list[Job]) -> None:
        busy = {row.adapter for other in live for row in other.rows}
        for name in {row.adapter for row in job.rows} - {BASE}:
            self._adapters.use(name, self._folder(name), busy)

    def _drop_cancelled(self, live: list[Job]) -> None:
        for job in live:
            if job.request.cancelled.is_set():
                for row in job.rows:
                    row.cancel()

    def _fail(self, live: list[Job], error: Exception) -> None:
        for job in live:
            if not job.future.done():
                job.future.set_exception(
                    ThumbwheelError(
                        "engine_failed", f"The engine failed: {type(error).__name__}.", "Try again.", status=500
                    )
                )


def _listener(request: Generation, index: int) -> Callable[[str], None] | None:
    if request.on_text is None:
        return None
    on_text = request.on_text
    return lambda text: on_text(index, text)


def _end_tokens(model: Any, tokenizer: Any) -> frozenset[int]:
    """Return the tokens that end a reply: the generation settings' and the tokenizer's."""
    configured = getattr(model.generation_config, "eos_token_id", None)
    listed = configured if isinstance(configured, list) else [configured]
    return frozenset(token for token in [*listed, tokenizer.eos_token_id] if token is not None)
