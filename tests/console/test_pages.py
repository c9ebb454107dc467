"""What people see on each screen, in both languages; content is shown, never executed."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from processor.importers import import_file
from tests.console.bench import Bench
from tests.console.story import CHALLENGER, HOSTILE, asked, event

Login = Callable[..., FlaskClient]
PAGES = (
    "/", "/interactions", "/interactions/pick-4", "/interactions/hostile", "/pairs", "/datasets", "/runs",
    "/runs/run-1", "/adapters", f"/adapters/{CHALLENGER}", "/rejected", "/interactions/nothing",
)  # fmt: skip
_TAGS = re.compile(r"<(script|style|img|iframe|svg|b|i)\b[^>]*>")


@pytest.mark.parametrize("locale", ["en", "zh_Hans"])
def test_every_page_answers_without_inline_script_or_style(told: Bench, login: Login, locale: str) -> None:
    client = login()
    client.set_cookie("thumbwheel_lang", locale)
    for address in PAGES:
        answer = client.get(address)
        assert answer.status_code == (404 if address.endswith("nothing") else 200), address
        text = answer.text
        assert f'<html lang="{locale.replace("_", "-")}"' in text
        assert not re.search(r"<script(?![^>]*\bsrc=)", text), address
        assert not re.search(r"<style|\sstyle=|\son\w+=\"|javascript:", re.sub(r">[^<]*<", "><", text)), address
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy


@pytest.mark.parametrize("address", ["/interactions", "/interactions/hostile", "/pairs", "/rejected", "/"])
def test_hostile_content_is_text(told: Bench, login: Login, address: str) -> None:
    text = login().get(address).text
    assert "window.hacked" not in "".join(match[0] for match in _TAGS.finditer(text))
    for piece in ("<img src=x", "<script>window", "<svg/onload", "<i>label", "<b>bold"):
        assert piece not in text
    if "interactions/" in address:
        assert html.escape(HOSTILE, quote=False).split("{{")[0][:12] in text
        assert "{{7*7}}" in text


def test_an_orphan_with_a_hostile_id_has_a_page(told: Bench, login: Login) -> None:
    client = login()
    listed = client.get("/interactions?show=orphans").text
    (address,) = re.findall(r'href="(/interactions/[^"]+)"', listed)
    page = client.get(html.unescape(address))
    assert page.status_code == 200
    assert "orphan: feedback whose interaction has not come" in page.text
    assert "<script>window" not in page.text


def test_an_empty_project_shows_the_next_step_and_where_data_is(bench: Bench, login: Login) -> None:
    bench.put(asked("x", 1, ["base"], "q", project="demo"))
    text = login().get("/").text
    assert "Nothing has arrived in project default yet" in text
    assert "thumbwheel.thumb(" in text
    assert 'href="/?project=demo"' in text


def test_three_different_empty_states(told: Bench, login: Login) -> None:
    client = login()
    assert "No interaction has arrived yet." in client.get("/interactions?project=empty").text
    assert "Nothing matches the filter." in client.get("/interactions?q=unheard-of").text
    assert "That is all." in client.get("/rejected").text


def test_links_stay_within_the_project(bench: Bench, login: Login) -> None:
    bench.put(asked("x", 1, ["base"], "q", project="demo"))
    text = login().get("/interactions?project=demo").text
    assert 'href="/pairs?project=demo"' in text
    assert 'href="/interactions/x?project=demo"' in text


def test_overview_reads_its_charts_in_words_and_tables(told: Bench, login: Login) -> None:
    text = login().get("/").text
    assert f"{CHALLENGER} wins 26 of 35 decisive picks" in text
    assert "not enough data" in text
    assert text.count("View as table") == 3
    assert "25 thumbs" in text or "of 26 thumbs are up" in text


def test_a_run_says_after_which_steps_it_was_resumed(told: Bench, login: Login) -> None:
    assert "Interrupted, resumed after step</dt><dd>9, 14</dd>" in login().get("/runs/run-1").text


def test_a_running_test_does_not_reveal_who_wrote_what(told: Bench, login: Login) -> None:
    text = login().get("/interactions/trial-3").text
    assert CHALLENGER not in text
    assert "hidden" in text


def test_rejected_events_show_reason_and_first_bytes(told: Bench, login: Login) -> None:
    client = login()
    text = client.get("/rejected").text
    assert "Unknown event type &#39;star&#39;." in text
    filtered = client.get("/rejected?code=invalid_event").text
    assert "Expected `str`, got `int`" in filtered and "star" not in filtered


def test_a_failed_build_says_so_beside_the_form(bench: Bench, login: Login, csrf: Callable[[FlaskClient], str]) -> None:
    client = login()
    answer = client.post("/datasets", data={"csrf": csrf(client), "max_rows": "many"})
    assert answer.status_code == 400
    assert "is no whole number" in answer.text
    answer = client.post("/datasets", data={"csrf": csrf(client)})
    assert answer.status_code == 409
    assert "No row is left to train on." in answer.text


def test_language_and_colours_are_remembered(bench: Bench) -> None:
    client = bench.app.test_client()
    assert client.get("/login?lang=zh_Hans&next=/pairs").location == "/login?next=%2Fpairs"
    client.get("/login?theme=dark")
    text = client.get("/login").text
    assert 'lang="zh-Hans"' in text and 'data-theme="dark"' in text and "登录" in text
    client.get("/login?lang=klingon")
    assert 'lang="zh-Hans"' in client.get("/login").text


def test_the_browsers_language_is_taken(bench: Bench) -> None:
    client = bench.app.test_client()
    for asked_for, lang in (("zh-CN,zh;q=0.9", "zh-Hans"), ("zh", "zh-Hans"), ("de,en;q=0.5", "en"), ("fr", "en")):
        assert f'<html lang="{lang}"' in client.get("/login", headers={"Accept-Language": asked_for}).text


def test_a_thumb_from_a_public_key_on_its_own_words_is_marked(bench: Bench, login: Login) -> None:
    bench.put(event("thumb", "t", 1, via="public", interaction_id="i", candidate_id="c", value="up",
                    messages=[{"role": "user", "content": "hello"}],
                    candidates=[{"candidate_id": "c", "content": "hi"}]))  # fmt: skip
    text = login().get("/interactions/i").text
    assert "content from a public key: shown, not trained on" in text


@pytest.mark.parametrize(("locale", "unknown"), [("en", "unknown"), ("zh_Hans", "未知")])
def test_when_an_imported_row_happened_is_unknown(
    bench: Bench, login: Login, tmp_path: Path, locale: str, unknown: str
) -> None:
    rows = [
        {"prompt": "q", "chosen": f"Reply {best}", "rejected": f"Reply {other}", "annotator": name}
        for name, best, other in (("ann", "A", "B"), ("ben", "A", "B"), ("eve", "B", "A"))
    ]
    (tmp_path / "f.jsonl").write_text("\n".join(map(json.dumps, rows)))
    import_file(tmp_path / "f.jsonl", "trl", "default", bench.log)
    bench.catch_up()
    interaction_id = bench.get("interactions")["items"][0]["interaction_id"]
    client = login()
    client.set_cookie("thumbwheel_lang", locale)
    for address in ("/interactions", f"/interactions/{interaction_id}", "/pairs", "/"):
        assert "1970" not in client.get(address).text, address
    assert f"<dd>{unknown}</dd>" in client.get(f"/interactions/{interaction_id}").text
    assert "67" in re.findall(r"(\d+)%[^·]*", client.get("/pairs").text)
    for address in ("interactions", f"interactions/{interaction_id}", "pairs", f"lineage/{interaction_id}"):
        found = json.dumps(bench.get(address))
        assert "1970" not in found, address
    pairs = bench.get("pairs")["items"]
    assert {pair["occurred_at"] for pair in pairs} == {None}
    assert sorted(round(pair["chosen_share"], 2) for pair in pairs) == [0.33, 0.67, 0.67]
    event_id = pairs[0]["event_id"]
    assert bench.get(f"lineage/{event_id}")["event"]["occurred_at"] is None
    ready = bench.get("readiness")
    assert (ready["new_pairs"], ready["imported_pairs"]) == (1, 1)
