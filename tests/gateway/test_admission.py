"""Who joins the batch: in turn within 32 rows, streams ahead into a few more, long prompts one after the other."""

from __future__ import annotations

from concurrent.futures import Future

from gateway.admission import AHEAD_ROWS, MAX_CELLS, MAX_ROWS, PREFILL_TOKENS, Job, Waiting
from inference.batch import Row
from inference.replies import Generation, Sampling
from inference.sampling import RowRandom


def job(rows: int, streamed: bool = False, prompt: int = 10) -> Job:
    request = Generation([], ["base"] * rows, Sampling(), on_text=(lambda index, text: None) if streamed else None)
    made = [Row([1] * prompt, "base", Sampling(), RowRandom(1)) for _ in range(rows)]
    return Job(request, made, Future())


def admitted(waiting: Waiting, live: list[Job]) -> list[Job]:
    joining: list[Job] = []
    while one := waiting.next(live, joining):
        live.append(one)
        joining.append(one)
    return joining


def line(*jobs: Job) -> Waiting:
    waiting = Waiting()
    for one in jobs:
        waiting.add(one)
    return waiting


def test_requests_join_in_turn_until_the_rows_are_full() -> None:
    jobs = [job(8) for _ in range(6)]
    waiting, live = line(*jobs), list[Job]()
    assert admitted(waiting, live) == jobs[:4]
    live.remove(jobs[1])
    assert admitted(waiting, live) == jobs[4:5]


def test_a_small_request_does_not_overtake_a_large_one() -> None:
    large, small = job(8), job(1)
    waiting = line(job(28), large, small)
    assert len(admitted(waiting, [])) == 1


def test_a_stream_steps_ahead_of_a_full_batch_and_of_the_line() -> None:
    full = [job(MAX_ROWS)]
    streams = [job(1, streamed=True) for _ in range(AHEAD_ROWS + 1)]
    waiting = line(job(8), *streams)
    assert admitted(waiting, full) == streams[:AHEAD_ROWS], "the places ahead are bounded, or the line would starve"
    full.remove(streams[0])
    assert admitted(waiting, full) == streams[AHEAD_ROWS:]


def test_streams_ahead_take_no_row_from_the_line() -> None:
    live = [job(MAX_ROWS - 8)]
    first, stream = job(8), job(8, streamed=True)
    assert set(map(id, admitted(line(first, stream), live))) == {id(first), id(stream)}


def test_long_prompts_are_read_one_after_the_other() -> None:
    jobs = [job(1, prompt=PREFILL_TOKENS - 100) for _ in range(2)]
    waiting, live = line(*jobs), list[Job]()
    assert admitted(waiting, live) == jobs[:1]
    assert admitted(waiting, live) == jobs[1:], "at the next step"


def test_a_prompt_too_wide_for_the_cache_waits_until_it_is_alone() -> None:
    wide = job(8, prompt=MAX_CELLS // 16)
    waiting, live = line(job(16), wide), list[Job]()
    assert len(admitted(waiting, live)) == 1
    live.clear()
    assert admitted(waiting, live) == [wide]
