"""The demo model itself, converted once from the wheel: it chats, stops, and is not disturbed by neighbours."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from gateway.engine import Engine
from inference.base_model import ensure_base_model, load_model, load_tokenizer
from inference.replies import Generation, Reply, Sampling
from tests.gateway.conftest import CHAMPION, save_adapter

pytestmark = pytest.mark.slow
GREEDY = Sampling(temperature=0, max_tokens=40)
QUESTIONS = ("What is the capital of France?", "My parcel is late. What can I do?", "Say hello.")


@pytest.fixture(scope="module")
def real(demo_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    adapters = tmp_path_factory.mktemp("adapters")
    save_adapter(demo_base, adapters / CHAMPION, 1, spread=0.1)
    made = Engine(demo_base, lambda name: adapters / name, dtype="float32")
    yield made
    made.close()


def ask(engine: Engine, question: str, model: str = "base", sampling: Sampling = GREEDY) -> Reply:
    return engine.generate(Generation([{"role": "user", "content": question}], [model], sampling))[0]


def test_it_is_converted_once_to_a_plain_llama(demo_base: Path) -> None:
    base = demo_base
    began = time.monotonic()
    assert ensure_base_model("demo", base.parents[2]) == base
    model = load_model(base, torch.bfloat16)
    assert time.monotonic() - began < 5
    assert type(model).__name__ == "LlamaForCausalLM"
    assert getattr(model.config, "quantization_config", None) is None
    assert list(base.parent.glob(".converting-*")) == []
    tokenizer = load_tokenizer(base)
    assert tokenizer.pad_token_id not in (None, tokenizer.eos_token_id)
    assert model.config.eos_token_id == tokenizer.eos_token_id


def test_it_knows_something_and_ends_by_itself(real: Engine) -> None:
    reply = ask(real, QUESTIONS[0])
    assert "Paris" in reply.text
    assert reply.finish_reason == "stop"
    assert "<|" not in reply.text


def test_replies_written_together_equal_replies_written_alone(real: Engine) -> None:
    wanted = [(question, model) for question in QUESTIONS for model in ("base", CHAMPION)]
    alone = [ask(real, *one) for one in wanted]
    assert len({reply.text for reply in alone}) > len(QUESTIONS), "the adapter must change what is said"
    found: dict[int, Reply] = {}
    threads = [
        threading.Thread(target=lambda i=i, one=one: found.update({i: ask(real, *one)})) for i, one in enumerate(wanted)
    ]
    for thread in threads:
        thread.start()
        time.sleep(0.1)
    for thread in threads:
        thread.join()
    assert [found[i] for i in range(len(wanted))] == alone


def test_a_streamed_chat_begins_long_before_a_full_batch_is_done(real: Engine) -> None:
    done, first = [], []
    messages = [{"role": "user", "content": "Tell me a long story about the sea."}]

    def write() -> None:
        real.generate(Generation(messages, ["base", CHAMPION] * 16, Sampling(1.0, 0.95, 40)))
        done.append(time.monotonic())

    batch = threading.Thread(target=write)
    batch.start()
    time.sleep(1.0)
    began = time.monotonic()
    real.generate(Generation(
        [{"role": "user", "content": "Hello"}], ["base"], Sampling(0, 0.95, 4),
        on_text=lambda index, text: first.append(time.monotonic()),
    ))  # fmt: skip
    batch.join()
    assert first[0] - began < (done[0] - began) / 2
