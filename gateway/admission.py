"""Who joins the batch next: first come, first served, within 32 rows; streams may step ahead into a few more.

Only the engine's thread calls this.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from contract.finish_reasons import CANCELLED, INCOMPLETE
from inference.batch import Row
from inference.replies import Generation, Reply

MAX_ROWS = 32
# Rows beside those for streamed chats, so that a person who watches the first word does not wait for a full batch.
AHEAD_ROWS = 8
# Prompt tokens read at once: while they are read nobody else gets a token (SmolLM2 on two cores: about a second).
PREFILL_TOKENS = 2048
# Rows x width of the padded cache; 64 Ki cells are 1.5 GiB for SmolLM2 in bfloat16.
MAX_CELLS = 65_536


@dataclass
class Job:
    """A request under way: its rows, and where its replies go."""

    request: Generation
    rows: list[Row]
    future: Future[list[Reply]]
    ahead: bool = False

    @property
    def prompt_tokens(self) -> int:
        """Return how many prompt tokens are read for it: the rows of one model share them."""
        return len({row.adapter for row in self.rows}) * len(self.rows[0].prompt)

    def answer(self) -> None:
        """Hand over the replies once every row is done."""
        if all(row.finish_reason for row in self.rows) and not self.future.done():
            self.future.set_result([
                Reply(row.text, row.finish_reason or INCOMPLETE, len(row.prompt), len(row.tokens)) for row in self.rows
            ])  # fmt: skip

    def drop(self) -> None:
        """Answer a request that nobody waits for any more before it has begun."""
        for row in self.rows:
            row.finish_reason = CANCELLED
        self.answer()


class Waiting:
    """The requests that have not joined yet."""

    def __init__(self) -> None:
        self._jobs: deque[Job] = deque()

    def __bool__(self) -> bool:
        return bool(self._jobs)

    def add(self, job: Job) -> None:
        """Put a request at the end of the line."""
        self._jobs.append(job)

    def next(self, live: Sequence[Job], joining: Sequence[Job]) -> Job | None:
        """Take out the request that may join those in flight, or None.

        `joining` are those of `live` whose prompts are about to be read.
        """
        if not self._jobs:
            return None
        head, places = self._jobs[0], AHEAD_ROWS - sum(len(job.rows) for job in live if job.ahead)
        # Streams first: their prompts are short and somebody watches.
        for job in [*(job for job in self._jobs if job.request.on_text), head]:
            ordinary = job is head and _in_turn(job, live)
            ahead = not ordinary and job.request.on_text is not None and len(job.rows) <= places
            if (ordinary or ahead) and _room(job, live, joining):
                job.ahead = ahead
                self._jobs.remove(job)
                return job
        return None


def _in_turn(job: Job, live: Sequence[Job]) -> bool:
    rows = sum(len(other.rows) for other in live if not other.ahead)
    return rows == 0 or rows + len(job.rows) <= MAX_ROWS


def _room(job: Job, live: Sequence[Job], joining: Sequence[Job]) -> bool:
    """Say whether the job's prompt can be read now and its rows fit into the cache."""
    if joining and sum(other.prompt_tokens for other in joining) + job.prompt_tokens > PREFILL_TOKENS:
        return False
    rows = [row for other in live for row in other.rows if not row.finish_reason]
    width = max((len(row.prompt) + len(row.tokens) for row in [*rows, *job.rows]), default=0)
    return not rows or (len(rows) + len(job.rows)) * width <= MAX_CELLS
