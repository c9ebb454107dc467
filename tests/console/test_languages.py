"""Every page in both languages, in one process and in both orders: no word of the other language is on any of them.

The people of this project write Greek (`greek.py`), so Latin letters on a Chinese page and Chinese ones on an English
page are ours. What may stand on a Chinese page in Latin letters is in `_MAY_STAND`, each with its reason.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy.exc import OperationalError

from processor.console import formats
from processor.curation.standing import STANDINGS
from tests.console import greek
from tests.console.bench import PASSWORD, Bench, open_bench

CHINESE = re.compile(r"[\u3000-\u303f\u3400-\u9fff\uff00-\uffef]")
LATIN = re.compile(r"[A-Za-z][A-Za-z'’]+")
_MAY_STAND = (
    r"Thumbwheel|English|Kafka",  # names: the products', and that of the other language in its own language
    r"(?:rs)?LoRA|DoRA|DPO|KTO|SFT|KL",  # ways to train
    r"UTC|TLS|SHA-256|AI|SDK|API|URL|JSON|UUID|NUL|KiB|MiB|logit|RFC|beforeSend",  # terms
    r"manifest\.json|data/\S+|lineage\.parquet|README(?:\.zh-CN)?\.md",  # files of a dataset
    r"(?:ad|ds|ca|crowd|task|run|pick|chat|trial|two|public|orphan|agent|key|cmp|c|u)-[\w-]+…?",  # ids
    r"[0-9a-f]{8}-[0-9a-f-]{4,}…?|[0-9a-f]{8,}…?",  # digests, ids
    r"\w*_\w+",  # names of fields, settings and codes on the wire
    r"`[^`]*`|'[^']*'",  # what was sent, quoted
    r"^(?:Ctrl|Alt|Shift|Esc|Enter|Cmd)[ /].*$|^(?:Esc|Enter)$|^[A-Z] / [A-Z]$|^0 / T$",  # keys
    r"application/json|Content-Type|(?:limit|rank|lr)=\S+",
    r"（[a-z]+\.[a-z]+）",  # a permission, as the table of them has it
    r"\bdefault\b|\bnothing\b|\bgateway\b|\bada\b|\brei\b|\bvic\b|\btrainer\b",  # names of projects and people
    r"^evaluation$|^记录缺少 project。$",  # a label the product reserves; a field of the wire
    r"thumbwheel\.(?:events|rejected|runs)\.v1",  # topics
    r"tone/polite|thumbwheel dataset images",
    r"refund/late|after-refund|(?:dev|thumbwheel)\.toml|thumbwheel keys create|https?://\S+",  # to type
)
MAY_STAND = re.compile("|".join(_MAY_STAND))
SAID = ("aria-label", "title", "placeholder", "alt", "data-copied")


class _Visible(HTMLParser):
    """Collects what a page says: its text and the attributes people meet. `pre` holds raw data, as it was sent."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []
        self._in: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        self.said += [given[name] for name in SAID if name in given]
        if "data-chart" in given:
            chart = json.loads(given["data-chart"])
            self.said += [*chart["names"], chart.get("x", "")]
        if tag not in ("meta", "link", "img", "input", "br", "rect", "line", "circle"):
            self._in.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._in and self._in.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        status_and_code = self._in and self._in[-1] == "code" and re.fullmatch(r"\d{3} \w+", data)
        if not {"script", "style", "pre"} & set(self._in) and data.strip() and not status_and_code:
            self.said.append(data.strip())


def foreign(page: str, locale: str) -> list[str]:
    """Return what the page says in the other language."""
    reader = _Visible()
    reader.feed(page)
    found = reader.said
    if locale == "en":
        return [text for text in found if CHINESE.search(text.replace("简体中文", ""))]
    return [text for text in found if LATIN.search(MAY_STAND.sub(" ", text))]


@dataclass
class Told:
    bench: Bench
    ids: dict[str, str]

    def client(self, locale: str, user: str | None = "ada") -> FlaskClient:
        client = self.bench.app.test_client()
        if user:
            assert client.post("/login", data={"name": user, "password": PASSWORD}).status_code == 303
        client.set_cookie("thumbwheel_lang", locale)
        return client


@pytest.fixture(scope="module")
def greek_home(empty_home: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    home = tmp_path_factory.mktemp("greek")
    shutil.copytree(empty_home, home, dirs_exist_ok=True)
    with open_bench(home) as bench:
        return home, greek.tell(bench)


@pytest.fixture
def told(greek_home: tuple[Path, dict[str, str]], tmp_path: Path) -> Iterator[Told]:
    """A console, fresh, over a copy of the Greek project: no template of it is compiled yet."""
    shutil.copytree(greek_home[0], tmp_path, dirs_exist_ok=True)
    with open_bench(tmp_path) as bench:
        yield Told(bench, greek_home[1])


PAGES = {
    "overview.show": ("/", "/?project=nothing"),
    "interactions.index": (
        "/interactions", "/interactions?show=orphans", "/interactions?show=untrusted", "/interactions?show=conflicts",
        "/interactions?q=δέμα", "/interactions?q=πουθενά", "/interactions?project=nothing",
    ),
    "interactions.detail": (
        "/interactions/pick-4", "/interactions/pick-4?taken_back=1", "/interactions/chat-4",
        "/interactions/two-1", "/interactions/public-1",
        "/interactions/orphan-1", "/interactions/trial-3", "/interactions/pick-8",
    ),
    "pairs.index": ("/pairs", "/pairs?trainable=false", "/pairs?kind=choice", "/pairs?project=nothing"),
    "datasets.index": ("/datasets", "/datasets?project=nothing"),
    "datasets.detail": ("/datasets/{dataset_id}", "/datasets/{dataset_id}?built=1"),
    "runs.index": ("/runs", "/runs?project=nothing"),
    "runs.detail": tuple(f"/runs/run-{n}" for n in range(7)),
    "training.show": ("/runs/settings", "/runs/settings?saved=1"),
    "adapters.index": ("/adapters", *(f"/adapters?asked={wish}" for wish in ("promote", "roll_back", "train")),
                       "/adapters?project=nothing"),
    "adapters.detail": tuple(f"/adapters/{one}" for one in (greek.HELD, greek.CHAMPION, greek.CHALLENGER)),
    "why.show": ("/why/{pair_id}", "/why/{tied_id}"),
    "labels.index": ("/labels", "/labels?project=nothing"),
    "labels.detail": ("/labels/ύφος", "/labels/ύφος/ευγενικό", "/labels/βαθμός"),
    "tasks.index": ("/tasks", "/tasks?project=nothing"),
    "tasks.new": ("/tasks/new", "/tasks/new?unit=all&k=3&labels=ύφος", "/tasks/new?k=2&since=9x",
                  "/tasks/new?k=2&since=2026-02-01&until=2026-01-01", "/tasks/new?project=nothing"),
    "tasks.detail": (*(f"/tasks/task-1?state={state}" for state in STANDINGS), "/tasks/task-1", "/tasks/task-2"),
    "review.show": ("/review", "/review?task=task-1", "/review?done=none", "/review?project=nothing"),
    "review.dispute": ("/adjudicate", "/adjudicate?task=task-1", "/adjudicate?project=nothing"),
    "quality.show": ("/agreement?task=task-1", "/agreement?label=ύφος", "/agreement?label=βαθμός"),
    "campaigns.index": ("/campaigns", "/campaigns?project=nothing"),
    "campaigns.detail": ("/campaigns/{campaign_id}",),
    "rejected.index": ("/rejected", "/rejected?code=too_deep", "/rejected?code=none", "/rejected?project=nothing"),
    "access.login": (), "guests.enter": (),
    "label.index": ("/label", "/label?project=nothing"), "label.work_on": ("/label/run-task",),
    "guests.index": ("/tasks/run-task/guests",),
    "trials.index": ("/trials", "/trials?project=nothing"), "trials.detail": (f"/trials/{greek.CHALLENGER}",),
}  # fmt: skip
# (who, method, address, form, status); the form gets its token.
REFUSALS: tuple[tuple[str, str, str, dict[str, Any], int], ...] = (
    ("ada", "GET", "/nowhere", {}, 404),
    ("ada", "GET", "/interactions/nothing", {}, 404),
    ("ada", "GET", "/runs/nothing", {}, 404),
    ("ada", "POST", "/runs/settings", {"rank": "64"}, 400),
    ("ada", "POST", "/runs/settings", {"lr": "9δ"}, 400),
    ("ada", "GET", "/adapters/nothing", {}, 404),
    ("ada", "GET", "/datasets/nothing", {}, 404),
    ("ada", "GET", "/campaigns/nothing", {}, 404),
    ("ada", "GET", "/pairs?cursor=x", {}, 400),
    ("ada", "GET", "/pairs?limit=0", {}, 400),
    ("ada", "PUT", "/pairs", {}, 405),
    ("ada", "POST", "/interactions/pick-4/retract", {"target": "9"}, 404),
    ("vic", "POST", "/interactions/pick-4/retract", {"target": "9"}, 403),
    ("vic", "POST", "/datasets", {}, 403),
    ("vic", "POST", "/adapters/train", {}, 403),
    ("ada", "POST", "/adapters/train", {"csrf": "stale"}, 403),
    ("ada", "POST", "/datasets", {"max_rows": "9x"}, 400),
    ("ada", "POST", "/datasets", {"max_rows": "0"}, 400),
    ("ada", "POST", "/datasets", {"kinds": "demonstration", "since": "2999-01-01"}, 409),
    ("ada", "POST", "/datasets", {"kinds": "preference", "include_labels": "ουδέν"}, 409),
    ("ada", "GET", "/label/nothing", {}, 404),
    ("ada", "GET", "/guest/nothing", {}, 410),
    ("ada", "POST", "/tasks/run-task/guests", {"days": "9x"}, 400),
    ("ada", "POST", "/tasks/run-task/guests", {"days": "999"}, 400),
    ("ada", "POST", "/tasks/run-task/guests", {"count": "0"}, 400),
    ("ada", "POST", "/tasks/run-done/guests", {}, 409),
    ("ada", "GET", "/labels/nothing", {}, 404),
    ("ada", "GET", "/why/nothing", {}, 404),
    ("vic", "POST", "/labels", {"path": "α"}, 403),
    ("ada", "POST", "/labels", {"path": "@α", "kind": "bool"}, 400),
    ("ada", "POST", "/labels", {"path": "α", "kind": "choice"}, 400),
    ("ada", "POST", "/labels", {"path": "α", "kind": "rating"}, 400),
    ("ada", "POST", "/labels", {"path": "α", "kind": "rating", "min": "9x"}, 400),
    ("ada", "POST", "/labels", {"path": "α", "kind": "rating", "min": "9e99"}, 400),
    ("ada", "POST", "/labels", {"path": "α", "kind": "multi", "choices": "α\nα"}, 400),
    ("ada", "POST", "/labels", {"path": "α", "kind": "ranking", "scope": "candidate"}, 400),
    ("ada", "POST", "/labels", {"path": "α", "kind": "bool", "parent": "β"}, 400),
    ("ada", "POST", "/labels", {"path": "ύφος", "kind": "multi", "choices": "α", "version": "1"}, 400),
    ("ada", "POST", "/labels", {"path": "ύφος", "kind": "choice", "choices": "α", "version": "1"}, 400),
    ("ada", "POST", "/labels", {"path": "ύφος", "kind": "choice", "choices": "α", "version": "9"}, 409),
    ("ada", "POST", "/labels/move", {"path": "ύφος", "to": "βαθμός"}, 409),
    ("ada", "POST", "/labels/restore", {"path": "ύφος", "event_id": "ν"}, 404),
    ("ada", "GET", "/tasks/nothing", {}, 404),
    ("ada", "GET", "/tasks/task-1?state=nothing", {}, 400),
    ("vic", "GET", "/tasks", {}, 403),
    ("vic", "POST", "/tasks", {}, 403),
    ("ada", "POST", "/tasks", {"k": "2"}, 400),
    ("ada", "POST", "/tasks", {"k": "9x", "labels": "ύφος"}, 400),
    ("ada", "POST", "/tasks", {"k": "99", "labels": "ύφος"}, 400),
    ("ada", "POST", "/tasks", {"k": "2", "labels": "ουδέν"}, 400),
    ("ada", "POST", "/tasks", {"k": "2", "labels": "ύφος", "task_id": "έργο"}, 400),
    ("ada", "POST", "/tasks", {"k": "2", "labels": "ύφος", "task_id": "task-1"}, 409),
    ("ada", "POST", "/tasks", {"k": "2", "labels": "ύφος", "extra": "1"}, 400),
    ("ada", "POST", "/tasks", {"k": "2", "labels": "ύφος", "since": "9x"}, 400),
    ("ada", "POST", "/tasks", {"k": "2", "labels": "ύφος", "since": "2026-02-01", "until": "2026-01-01"}, 400),
    ("ada", "POST", "/tasks/task-1/state", {"state": "nothing"}, 400),
    ("ada", "POST", "/tasks/nothing/state", {"state": "open"}, 404),
    ("ada", "POST", "/campaigns", {"name": "", "surface": "chat"}, 400),
    ("ada", "POST", "/campaigns", {"name": "α", "surface": "chat", "rate": "9x"}, 400),
    ("ada", "POST", "/campaigns", {"name": "α", "surface": "chat", "rate": "900"}, 400),
    ("ada", "POST", "/campaigns", {"name": "α", "surface": "chat", "starts": "2026-01-02", "ends": "2026-01-01"}, 400),
    ("ada", "POST", "/campaigns", {"name": "α", "surface": "chat", "starts": "9x"}, 400),
)


def test_every_page_of_the_console_is_looked_at(told: Told) -> None:
    rules = [rule for rule in told.bench.app.url_map.iter_rules() if "GET" in (rule.methods or ())]
    pages = {rule.endpoint for rule in rules if not rule.endpoint.startswith(("api", "health.", "static"))}
    assert pages == set(PAGES)


@pytest.mark.parametrize("order", [("en", "zh_Hans"), ("zh_Hans", "en")])
def test_no_page_holds_a_word_of_the_other_language(told: Told, order: tuple[str, str]) -> None:
    found = []
    for locale in order:
        client = told.client(locale)
        for address in (one.format(**told.ids) for pages in PAGES.values() for one in pages):
            answer = client.get(address)
            assert answer.status_code == 200, address
            found += [(locale, address, text) for text in foreign(answer.text, locale)]
        found += [(locale, "login", text) for page in _login_pages(told, locale) for text in foreign(page, locale)]
    assert found == []


@pytest.mark.parametrize("order", [("en", "zh_Hans"), ("zh_Hans", "en")])
def test_no_refusal_holds_a_word_of_the_other_language(told: Told, order: tuple[str, str]) -> None:
    found = []
    for locale in order:
        clients = {user: told.client(locale, user) for user in ("ada", "vic", "rei")}
        tokens = {user: _token(client) for user, client in clients.items()}
        for user, method, address, form, status in REFUSALS:
            body = {"csrf": tokens[user], **form} if method != "GET" else None
            answer = clients[user].open(address, method=method, data=body)
            assert answer.status_code == status, (method, address, form, answer.status_code)
            found += [(locale, address, form, text) for text in foreign(answer.text, locale)]
    assert found == []


@pytest.mark.parametrize("locale", ["en", "zh_Hans"])
def test_a_console_that_cannot_answer_says_so_in_the_readers_language(
    told: Told, locale: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = told.client(locale)

    def fail(*_: Any, **__: Any) -> Any:
        raise ValueError("secret detail")

    monkeypatch.setattr("processor.console.screens.pairs.list_pairs", fail)
    answer = client.get("/pairs")
    assert answer.status_code == 500 and "secret" not in answer.text
    assert foreign(answer.text, locale) == []

    def away(*_: Any) -> Any:
        raise OperationalError("SELECT 1", {}, Exception("gone"))

    monkeypatch.setattr(told.bench.control, "find_session", away)
    answer = client.get("/pairs")
    assert answer.status_code == 503
    assert foreign(answer.text, locale) == []


def test_a_literal_is_worded_for_every_page_anew(told: Told) -> None:
    """Whatever filter is used: none may be one that Jinja asks once, when it compiles the template."""
    environment = told.bench.app.jinja_env
    for name in formats._FILTERS:
        assert getattr(environment.filters[name], "jinja_pass_arg", None) is not None, name
    template = environment.from_string("{{ 'base'|word }} {{ 0.5|share }} {{ 'loss'|name_of }}")
    said = []
    for language in ("en", "zh"):
        with told.bench.app.test_request_context("/", headers={"Accept-Language": language}):
            said.append(template.render())
    assert said == ["base model 50% loss", "基础模型 50% 损失"]


def test_the_check_finds_what_it_is_for() -> None:
    assert foreign("<p>基础模型 base model</p>", "zh_Hans")
    assert foreign('<p title="not JSON">好</p>', "zh_Hans")
    assert foreign("<p>Base 模型</p>", "en")
    assert foreign("<td><code>http_404</code> ad-111111111111 <pre>raw words</pre> 好 δέμα</td>", "zh_Hans") == []


def _login_pages(told: Told, locale: str) -> list[str]:
    client = told.client(locale, user=None)
    pages = [client.get("/login").text]
    # Each language from an address of its own: too many wrong passwords of one are refused.
    origin = {"REMOTE_ADDR": f"10.0.0.{1 + ['en', 'zh_Hans'].index(locale)}"}
    answers = [
        client.post("/login", data={"name": f"x-{locale}", "password": "9"}, environ_overrides=origin)
        for _ in range(12)
    ]
    assert {answer.status_code for answer in answers} == {401, 429}
    return [*pages, answers[0].text, answers[-1].text]


def _token(client: FlaskClient) -> str:
    match = re.search(r'name="csrf" value="([0-9a-f]{64})"', client.get("/adapters").text)
    assert match
    return match[1]
