"""What blind 2+2 replies cost: the engine's mixed batch against a plain 4-sample batch, in one run.

    python -m bench.candidates [--home DIR] [--rounds 3]

Prints wall time per written token as ratios: 2 base + 2 adapter replies through the engine against 4 base samples of
transformers' `generate` (target: at most 1.7); one mixed batch against one batch per model, at 4 and at 32 rows;
32 rows against 4; and how long a streamed chat waits for its first token while 32 rows are being written.
SmolLM2, 80 tokens.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

os.environ.setdefault("GOMP_SPINCOUNT", "20000")  # as the gateway sets it

import torch
from peft import LoraConfig, PeftModel, get_peft_model

from gateway.engine import Engine
from inference.base_model import ensure_base_model, load_model, load_tokenizer
from inference.hardware import find_hardware
from inference.replies import Generation, Sampling

ADAPTER = "ad-0123456789ab"
# A question that fills the limit, so that nearly all replies have equally many tokens.
QUESTION = [{"role": "user", "content": "Tell me a long and detailed story about a lighthouse keeper and the sea."}]
TOKENS = 80
TARGET = 1.7


def make_adapter(base: Path, folder: Path) -> None:
    """Write a rank-16 adapter with small random weights: the arithmetic of a trained one."""
    torch.manual_seed(0)
    model = get_peft_model(
        load_model(base, torch.float32), LoraConfig(r=16, lora_alpha=32, target_modules="all-linear")
    )
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=1e-3)
    model.save_pretrained(folder)


class Plain:
    """transformers' own `generate`, one prompt, 4 samples; with an adapter, PEFT lets two of them use it."""

    def __init__(self, base: Path, adapter: Path | None = None) -> None:
        self._tokenizer = load_tokenizer(base)
        self._model = load_model(base, find_hardware().dtype)
        self._adapters: dict[str, list[str]] = {}
        if adapter:
            self._model = PeftModel.from_pretrained(self._model, str(adapter), adapter_name="mine").eval()
            self._adapters = {"adapter_names": ["__base__"] * 2 + ["mine"] * 2}
        text = self._tokenizer.apply_chat_template(QUESTION, tokenize=False, add_generation_prompt=True)
        self._inputs = self._tokenizer([text] * 4, return_tensors="pt", add_special_tokens=False)

    def __call__(self) -> int:
        """Write 4 samples and return the tokens written."""
        with torch.inference_mode():
            rows = self._model.generate(
                **self._inputs, do_sample=True, temperature=0.8, top_p=0.95, top_k=0, max_new_tokens=TOKENS,
                pad_token_id=self._tokenizer.pad_token_id, **self._adapters,
            )[:, self._inputs["input_ids"].shape[1] :]  # fmt: skip
        return int((rows != self._tokenizer.pad_token_id).sum())


def through(engine: Engine, *batches: Sequence[str]) -> Callable[[], int]:
    """Return a call that asks the engine for these batches one after the other and returns the tokens written."""

    def call() -> int:
        sampling = Sampling(0.8, 0.95, TOKENS)
        return sum(r.tokens for models in batches for r in engine.generate(Generation(QUESTION, models, sampling)))

    return call


def per_token(call: Callable[[], int]) -> float:
    """Return seconds per written token."""
    started = time.perf_counter()
    tokens = call()
    return (time.perf_counter() - started) / tokens


def first_token_seconds(engine: Engine) -> tuple[float, float]:
    """Return when a chat's first token came, and how long the 32 rows beside it took."""
    took: list[float] = []

    def batch() -> None:
        started = time.perf_counter()
        through(engine, ["base"] * 16 + [ADAPTER] * 16)()
        took.append(time.perf_counter() - started)

    thread = threading.Thread(target=batch)
    thread.start()
    time.sleep(1.0)
    first: list[float] = []
    started = time.perf_counter()
    engine.generate(Generation(
        [{"role": "user", "content": "Hello"}], ["base"], Sampling(0.8, 0.95, 8),
        on_text=lambda index, text: first.append(time.perf_counter() - started),
    ))  # fmt: skip
    thread.join()
    return first[0], took[0]


def main(home: Path, rounds: int) -> int:
    """Measure in turns and print; returns 1 when the target is missed."""
    base = ensure_base_model("demo", home)
    make_adapter(base, home / ADAPTER)
    engine = Engine(base, lambda name: home / name)
    calls = {
        "plain 4 (generate)": Plain(base), "PEFT 2+2 (generate)": Plain(base, home / ADAPTER),
        "engine 4 base": through(engine, ["base"] * 4),
        "engine 2+2": through(engine, ["base", "base", ADAPTER, ADAPTER]),
        "engine 2, then 2": through(engine, ["base"] * 2, [ADAPTER] * 2),
        "engine 16+16": through(engine, ["base"] * 16 + [ADAPTER] * 16),
        "engine 16, then 16": through(engine, ["base"] * 16, [ADAPTER] * 16),
        "engine 32 base": through(engine, ["base"] * 32),
    }  # fmt: skip
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(rounds):
        for name, call in calls.items():
            seconds[name].append(per_token(call))
    print(f"{torch.get_num_threads()} threads, {rounds} rounds, medians")
    for name, values in seconds.items():
        print(f"  {name:<20} {1 / statistics.median(values):7.1f} tokens/s")

    def ratio(one: str, other: str) -> float:
        return statistics.median(a / b for a, b in zip(seconds[one], seconds[other], strict=True))

    headline = ratio("engine 2+2", "plain 4 (generate)")
    print(f"2+2 replies against a plain 4-sample batch: {headline:.2f} times the wall time (target {TARGET})")
    print(f"the same through PEFT's adapter_names: {ratio('PEFT 2+2 (generate)', 'plain 4 (generate)'):.2f} times")
    print(f"mixed batch against one per model: {ratio('engine 2+2', 'engine 2, then 2'):.2f} at 4 rows, "
          f"{ratio('engine 16+16', 'engine 16, then 16'):.2f} at 32")  # fmt: skip
    print(f"32 rows against 4: {ratio('engine 4 base', 'engine 32 base'):.2f} times the tokens/s")
    waited, took = first_token_seconds(engine)
    print(f"first token of a chat beside 32 rows: {waited:.2f} s (the 32 rows took {took:.1f} s)")
    engine.close()
    return int(headline > TARGET)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, default=None, help="where the converted base model is kept")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(main(arguments.home or Path(folder), arguments.rounds))
