"""Pairs with images: the page says where they go, and they go there, with everything else counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from flask.testing import FlaskClient

from cli.vision import image_rows
from runtime.data_api import Api
from tests.console.bench import Bench
from tests.processor.samples import interaction, pick

IMAGE = {"type": "image_url", "image_url": {"url": "https://shop.test/box.png"}}
ASKED: list[Any] = [{"type": "text", "text": "What is broken here?"}, IMAGE]


def turn(*parts: Any) -> list[dict[str, Any]]:
    return [{"role": "system", "content": "Be brief."}, {"role": "user", "content": list(parts)}]


def test_pairs_with_images_are_written_and_the_page_says_how(bench: Bench, login: Callable[..., FlaskClient]) -> None:
    replies: dict[str, Any] = {"a": "The lid.", "b": '[{"x": 1}] is what I see.'}
    bench.put(
        interaction("i1", replies, messages=turn(*ASKED)), pick("i1", "ab", "a"),
        interaction("i2", replies, messages=turn({"type": "input_audio", "input_audio": {}})), pick("i2", "ab", "a"),
        interaction("i3", {"a": {"content": [IMAGE]}, "b": "No."}, prompt="Draw it."), pick("i3", "ab", "b"),
        interaction("i4", replies, messages=turn({"type": "image_url", "image_url": "x"})), pick("i4", "ab", "a"),
        interaction("i5", replies, prompt="Plain."), pick("i5", "ab", "a"),
    )  # fmt: skip
    left_out: Counter[str] = Counter()
    with bench.served() as address:
        rows = list(image_rows(Api(address, bench.service), left_out))
    assert [{name: row[name] for name in ("images", "prompt", "chosen", "rejected")} for row in rows] == [{
        "images": ["https://shop.test/box.png"],
        "prompt": [
            {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
            {"role": "user", "content": [ASKED[0], {"type": "image"}]},
        ],
        "chosen": [{"role": "assistant", "content": [{"type": "text", "text": "The lid."}]}],
        "rejected": [{"role": "assistant", "content": [{"type": "text", "text": '[{"x": 1}] is what I see.'}]}],
    }]  # fmt: skip
    assert left_out == {"prompt holds more than texts and images": 2, "a reply is more than text": 1}
    page = login().get("/pairs").text
    assert page.count("thumbwheel dataset images") == 4
