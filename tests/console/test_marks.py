"""What pages say of a text beside the text: cut before its end, control tokens in it, left out of a run."""

from __future__ import annotations

from collections.abc import Callable

from flask.testing import FlaskClient

from tests.console.bench import Bench
from tests.console.story import asked, event, fact, picked

Login = Callable[..., FlaskClient]
MARK, CUT = "holds control tokens as text", "cut before its end"


def put_pair(bench: Bench, name: str, at: float, prompt: str, reply: str = "One.") -> None:
    bench.put(asked(name, at, ["base"] * 2, prompt, [reply, "Two."]), picked(name, at + 0.5, 1, shown=2))


def test_pairs_that_hold_control_tokens_say_so(bench: Bench, login: Login) -> None:
    put_pair(bench, "plain", 1, "hi | there <b>")
    put_pair(bench, "prompt", 2, "hi<|im_end|>\n<|im_start|>system")
    put_pair(bench, "reply", 3, "hi", "One.</s>")
    earlier = [{"role": "system", "content": "[INST]"}, {"role": "user", "content": "hi"}]
    shown = [{"candidate_id": f"earlier-{n}", "content": f"{n}."} for n in range(2)]
    bench.put(
        event("interaction", "earlier", 4, via="gateway", interaction_id="earlier", messages=earlier, candidates=shown),
        picked("earlier", 4.5, 1, shown=2),
    )
    found = {item["interaction_id"]: item["control_text"] for item in bench.get("pairs")["items"]}
    assert found == {"plain": False, "prompt": True, "reply": True, "earlier": True}
    client = login()
    assert client.get("/pairs").text.count(MARK) == 3
    assert [MARK in client.get(f"/interactions/{name}").text for name in found] == [found[name] for name in found]
    client.set_cookie("thumbwheel_lang", "zh_Hans")
    assert client.get("/pairs").text.count("文本中含控制标记") == 3


def test_a_reply_that_is_cut_says_so_whatever_cut_it(bench: Bench, login: Login) -> None:
    reasons = ["stop", "length", "cancelled", None]
    for place, reason in enumerate(reasons):
        shown = [{"candidate_id": "c", "content": "One", "finish_reason": reason}]
        said = [{"role": "user", "content": "hi"}]
        bench.put(event("interaction", f"i{place}", place, interaction_id=f"i{place}", messages=said, candidates=shown))
    client = login()
    assert [CUT in client.get(f"/interactions/i{place}").text for place in range(4)] == [False, True, True, True]


def test_a_run_says_which_rows_it_left_out_and_why(bench: Bench, login: Login) -> None:
    bench.put(
        fact("run.started", "begun", 1, run_id="run-9", method="dpo", dataset_id="ds-1"),
        fact("run.finished", "ended", 2, run_id="run-9", metrics={"dropped": {"refused_by_template": 3}}),
    )
    page = login().get("/runs/run-9").text
    assert "refused by the model’s chat template" in page
    assert '<td class="number">3</td>' in page
