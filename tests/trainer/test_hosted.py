"""Hosted jobs in OpenAI's form: our requests against those of the `openai` client, and a run from rows to guards."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import openai
import pytest
from click.testing import CliRunner

from cli.main import cli
from contract.errors import ThumbwheelError
from gateway.aliases import Models
from gateway.upstream import Upstream
from inference.generation import Sampling as Drawn
from inference.replies import Generation, Sampling
from runtime.settings import Settings, SettingsError, load_settings
from tests.trainer import tiny
from tests.trainer.openai_vendor import KEY, Vendor, serving
from trainer.__main__ import backend_of
from trainer.backends.local import LocalBackend
from trainer.backends.run_folder import Work, goes_on, read_made
from trainer.guarding import guards
from trainer.hosted import program
from trainer.hosted.command import hosted_command
from trainer.hosted.http_wire import HttpWire
from trainer.hosted.openai_wire import OpenAIWire
from trainer.hosted.program import Asked, run
from trainer.hosted.zhipu import ZhipuWire
from trainer.loop import registry
from trainer.loop.registry import Aliases, Registry
from trainer.rows import open_dataset

BASE = "gpt-4o-mini"


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    with serving() as made:
        yield made


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a vendor in memory."""
    monkeypatch.setattr(program, "POLL_S", 0.01)


def wire(vendor: Vendor, key: str = KEY) -> OpenAIWire:
    return OpenAIWire(HttpWire(vendor.url, key))


def settings_for(vendor: Vendor, home: Path) -> Settings:
    return replace(
        Settings(), home=home, model_api=vendor.url, model_api_key=KEY, base_model=BASE, train_backend="openai",
        train_price=3.0,
    )  # fmt: skip


def asked(tmp_path: Path, method: str = "dpo", **params: Any) -> Asked:
    dataset = tmp_path / "ds"
    if not dataset.exists():
        tiny.mixed_dataset(dataset, pairs=12, thumbs=0, demonstrations=12)
    (tmp_path / "run-1").mkdir(exist_ok=True)
    return Asked("default", dataset, tmp_path / "run-1", method, {"confirm_cost": 5, **params}, BASE)


# -- our requests are the client's


@pytest.mark.parametrize("method", ["sft", "dpo"])
def test_our_requests_are_those_of_the_vendors_own_client(vendor: Vendor, tmp_path: Path, method: str) -> None:
    file = tmp_path / "train.jsonl"
    file.write_bytes(b'{"a": 1}\r\n--\r\n')
    settings = {"n_epochs": 2, "batch_size": "auto"} | ({"beta": 0.2} if method == "dpo" else {})
    ours = wire(vendor)
    file_id = ours.upload(file)
    job_id = ours.create(BASE, file_id, method, settings, "run-1")
    ours.job(job_id)
    ours.find("run-1", file_id)
    ours.reply(BASE, "hello", Drawn(max_tokens=5, temperature=0.5, top_p=0.9))
    ours.cancel(job_id)
    mine, vendor.seen = vendor.seen, []
    client = openai.OpenAI(base_url=vendor.url, api_key=KEY, max_retries=0)
    theirs = client.files.create(file=("train.jsonl", file.read_bytes()), purpose="fine-tune").id
    kind: Any = {"sft": "supervised", "dpo": "dpo"}[method]
    job = client.fine_tuning.jobs.create(
        model=BASE, training_file=theirs, metadata={"run_id": "run-1"},
        method={"type": kind, kind: {"hyperparameters": settings}},
    )  # type: ignore[call-overload]  # fmt: skip
    client.fine_tuning.jobs.retrieve(job.id)
    client.fine_tuning.jobs.list(limit=100)
    client.chat.completions.create(
        model=BASE, messages=[{"role": "user", "content": "hello"}], max_tokens=5, temperature=0.5, top_p=0.9
    )
    client.fine_tuning.jobs.cancel(job.id)
    client.close()
    said = json.dumps(vendor.seen, default=bytes.decode).replace(theirs, file_id).replace(job.id, job_id)
    assert json.loads(json.dumps(mine, default=bytes.decode)) == json.loads(said)


def test_zhipus_requests_are_those_of_its_own_client_and_its_answers_are_read_by_it(tmp_path: Path) -> None:
    zhipuai = pytest.importorskip("zhipuai")
    file = tmp_path / "train.jsonl"
    file.write_bytes(b'{"messages": []}')
    settings = {"n_epochs": 2, "learning_rate_multiplier": "auto"}
    with serving() as vendor:
        vendor.dialect = "zhipu"
        ours = ZhipuWire(HttpWire(vendor.url, KEY))
        file_id = ours.upload(file)
        job_id = ours.create("glm-4-flash", file_id, "sft", settings, "run-1")
        states = [ours.job(job_id).state for _ in range(4)]
        assert ours.find("run-1", "") == job_id
        ours.cancel(job_id)
        mine, vendor.seen = vendor.seen, []
        client = zhipuai.ZhipuAI(api_key=KEY, base_url=vendor.url, max_retries=0)
        theirs = client.files.create(file=("train.jsonl", file.read_bytes()), purpose="fine-tune").id
        job = client.fine_tuning.jobs.create(
            model="glm-4-flash", training_file=theirs, request_id="run-1", hyperparameters=settings
        )
        for _ in range(4):
            client.fine_tuning.jobs.retrieve(job.id)
        client.fine_tuning.jobs.list(limit=100)
        client.fine_tuning.jobs.cancel(job.id)
        client.close()
        said = json.dumps(vendor.seen, default=bytes.decode).replace(theirs, file_id).replace(job.id, job_id)
        assert json.loads(json.dumps(mine, default=bytes.decode)) == json.loads(said)
    assert states == ["running", "running", "ended", "ended"]


@pytest.mark.parametrize(
    ("job", "state"),
    [
        ({"status": "anything"}, "running"), ({"status": "succeeded"}, "running"),
        ({"status": "?", "finished_at": 1, "fine_tuned_model": "glm:1"}, "ended"),
        ({"status": "?", "finished_at": 1}, "failed"), ({"status": "cancelled"}, "failed"),
        ({"status": "?", "error": {"code": "1", "message": "bad rows"}, "fine_tuned_model": "glm:1"}, "failed"),
    ],
)  # fmt: skip
def test_a_job_of_zhipu_has_ended_when_it_has_a_finishing_time(vendor: Vendor, job: dict[str, Any], state: str) -> None:
    vendor.trouble = [(200, json.dumps(job).encode())]
    assert ZhipuWire(HttpWire(vendor.url, KEY)).job("ftjob-1").state == state


def test_zhipu_takes_demonstrations_by_api_and_no_pairs(vendor: Vendor, tmp_path: Path) -> None:
    ours = program.wire_of(replace(settings_for(vendor, tmp_path), train_backend="zhipu"))
    assert isinstance(ours, ZhipuWire)
    with pytest.raises(ThumbwheelError, match="cannot train dpo") as refused:
        program.prepare(asked(tmp_path, "dpo"), ours.form)
    assert refused.value.hint == "Use sft."
    assert program.prepare(asked(tmp_path, "auto"), ours.form)[1].method == "sft"
    with pytest.raises(ThumbwheelError, match=r"beta=0\.1 is no setting"):
        program.hyperparameters({"beta": 0.1}, "dpo", ours.form)


def test_a_field_the_form_does_not_have_is_refused_by_the_stand_in(vendor: Vendor) -> None:
    vendor.files["file-1"] = b""
    with pytest.raises(ThumbwheelError, match="answered with 400"):
        wire(vendor).create(BASE, "file-1", "sft", {"beta": 0.1}, "run-1")


# -- rows


def test_rows_are_in_the_vendors_forms_and_cut_replies_are_left_out(tmp_path: Path) -> None:
    rng = random.Random(1)
    pairs = [tiny.preference_row(i, rng, chosen=tiny.assistant(f"reply {i}")) for i in range(12)]
    pairs[3]["truncated_chosen"] = True
    pairs[4]["weight"] = 0.0
    dataset = open_dataset(tiny.write_dataset(tmp_path / "ds", {"preference": {"train": pairs}}))
    packed = program.pack(dataset, "auto", 0, tmp_path / "train.jsonl", OpenAIWire.form)
    lines = [json.loads(line) for line in packed.file.read_text().splitlines()]
    assert (packed.method, packed.rows, packed.dropped) == ("dpo", 10, {"not_drawn_by_weight": 1, "cut_reply": 1})
    assert lines[0] == {
        "input": {"messages": pairs[0]["prompt"]}, "preferred_output": pairs[0]["chosen"],
        "non_preferred_output": pairs[0]["rejected"],
    }  # fmt: skip
    assert not any(line["preferred_output"] == pairs[3]["chosen"] for line in lines)
    sft = program.pack(open_dataset(tiny.mixed_dataset(tmp_path / "d2", pairs=9, demonstrations=12)), "auto", 0,
                       tmp_path / "sft.jsonl", OpenAIWire.form)  # fmt: skip
    first = json.loads(sft.file.read_text().splitlines()[0])["messages"]
    assert (sft.method, [message["role"] for message in first]) == ("sft", ["user", "assistant"])


@pytest.mark.parametrize(
    ("method", "params", "says"),
    [
        ("kto", {}, "A hosted job there cannot train kto"),
        ("dpo", {"lr": 1e-4}, "lr=0.0001 is no setting of a hosted job"),
        ("dpo", {"n_epochs": True}, "n_epochs=True is no setting"), ("dpo", {"beta": -1}, "beta=-1 is no setting"),
        ("dpo", {"confirm_cost": None}, "would cost about 0.01, and nothing is confirmed"),
        ("dpo", {"confirm_cost": True}, "and True is confirmed"),
        ("dpo", {"confirm_cost": float("nan")}, "and nan is confirmed"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_before_anybody_is_called(
    vendor: Vendor, tmp_path: Path, method: str, params: dict[str, Any], says: str
) -> None:
    with pytest.raises(ThumbwheelError, match=says):
        run(asked(tmp_path, method, **params), settings_for(vendor, tmp_path), wire(vendor))
    assert not vendor.seen


def test_too_few_rows_and_an_unknown_price_are_refused(vendor: Vendor, tmp_path: Path) -> None:
    with pytest.raises(ThumbwheelError, match="What a hosted job costs is not known"):
        run(asked(tmp_path), replace(settings_for(vendor, tmp_path), train_price=0.0), wire(vendor))
    few = replace(asked(tmp_path), dataset=tiny.mixed_dataset(tmp_path / "few", pairs=4))
    with pytest.raises(ThumbwheelError, match="takes at least 10 rows; there are 4 for dpo"):
        run(few, settings_for(vendor, tmp_path), wire(vendor))
    assert not vendor.seen


def test_a_job_that_costs_more_than_was_confirmed_is_not_created(vendor: Vendor, tmp_path: Path) -> None:
    dear = replace(settings_for(vendor, tmp_path), train_price=1e6)
    with pytest.raises(ThumbwheelError, match=r"would cost about [\d.]+, and 5 is confirmed") as refused:
        run(asked(tmp_path), dear, wire(vendor))
    assert "confirm_cost" in (refused.value.hint or "")
    assert not vendor.seen


# -- a run


def test_a_run_leaves_a_remote_model_with_its_reply_guards(vendor: Vendor, tmp_path: Path) -> None:
    run(asked(tmp_path, n_epochs=2), settings_for(vendor, tmp_path), wire(vendor))
    made = read_made(tmp_path / "run-1")
    assert (made.remote_model, made.adapter) == (f"ft:{BASE}:shop:ftjob-1", None)
    job = vendor.calls("/fine_tuning/jobs")[0]
    assert (job["model"], job["metadata"]) == (BASE, {"run_id": "run-1"})
    assert job["method"] == {"type": "dpo", "dpo": {"hyperparameters": {"n_epochs": 2}}}
    assert vendor.files["file-1"] == (tmp_path / "run-1" / "work" / "train.jsonl").read_bytes()
    weights = [guard.name for guard in guards.GUARDS if guard.tier == guards.WEIGHTS]
    assert made.guards["not_measured"] == made.result["metrics"]["not_measured"] == weights
    assert made.result["passed"] is True
    asked_of = [body["model"] for body in vendor.calls("/chat/completions")]
    assert {model: asked_of.count(model) for model in set(asked_of)} == {BASE: 32, made.remote_model: 32}


def test_a_model_that_answers_nothing_is_held(vendor: Vendor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = OpenAIWire.reply

    def reply(self: OpenAIWire, model: str, prompt: str, sampling: Any) -> Any:
        found = answer(self, model, prompt, sampling)
        return replace(found, text="") if model.startswith("ft:") else found

    monkeypatch.setattr(OpenAIWire, "reply", reply)
    result = run(asked(tmp_path), settings_for(vendor, tmp_path), wire(vendor))
    assert result["passed"] is False
    assert any(reason.startswith("not_empty") for reason in result["reasons"])


def test_a_paid_model_that_gives_no_replies_is_registered_and_held(vendor: Vendor, tmp_path: Path) -> None:
    wanted, settings = asked(tmp_path), settings_for(vendor, tmp_path)
    answer = wire(vendor)
    answer.reply = lambda *_: answer._http.call("GET", "/nowhere")  # type: ignore[assignment, method-assign]
    result = run(wanted, settings, answer)
    assert result["passed"] is False and result["remote_model"].startswith("ft:")
    assert result["reasons"][0].startswith("no replies: GET /nowhere was answered with 400")
    assert read_made(wanted.out).guards["not_measured"] == [guard.name for guard in guards.GUARDS]


@pytest.mark.parametrize("trouble", [(429, b"{}"), (500, b"<html>oops</html>"), (503, b"\xff\xfe"), (502, b"")])
def test_a_vendor_that_is_away_for_the_moment_is_asked_again(
    vendor: Vendor, tmp_path: Path, trouble: tuple[int, bytes]
) -> None:
    ours = wire(vendor)
    vendor.files["file-1"] = b""
    job_id = ours.create(BASE, "file-1", "sft", {}, "run-1")
    vendor.trouble = [trouble] * 3
    assert program.wait(ours, job_id).state == "ended"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 418, 422, 500, 503, 599])
@pytest.mark.parametrize("body", [b"", b"[]", b'{"error": 3}', b"\xff not text", b"x" * 5000, KEY.encode()])
def test_whatever_a_vendor_refuses_with_is_one_line_without_the_key(vendor: Vendor, status: int, body: bytes) -> None:
    vendor.trouble = [(status, body)]
    with pytest.raises(ThumbwheelError, match=f"was answered with {status}") as refused:
        wire(vendor).job("ftjob-1")
    assert KEY not in refused.value.line() and len(refused.value.line()) < 500
    assert "\n" not in refused.value.line()
    assert KEY not in repr(HttpWire(vendor.url, KEY))


@pytest.mark.parametrize("body", [b"[]", b"", b"<html>", b'"text"', b"{}", b'{"id": 7}'])
def test_an_answer_in_another_form_is_an_error_and_no_crash(vendor: Vendor, tmp_path: Path, body: bytes) -> None:
    file = tmp_path / "train.jsonl"
    file.write_bytes(b"{}")
    for ask in (
        lambda ours: ours.upload(file), lambda ours: ours.create(BASE, "file-1", "sft", {}, "run-1"),
        lambda ours: ours.reply(BASE, "hi", Drawn()),
    ):  # fmt: skip
        vendor.trouble = [(200, body)]
        with pytest.raises(ThumbwheelError) as refused:
            ask(wire(vendor))
        assert refused.value.code == "vendor_unreadable"


@pytest.mark.parametrize("end", ["failed", "cancelled"])
def test_a_job_that_fails_there_fails_the_run(vendor: Vendor, tmp_path: Path, end: str) -> None:
    vendor.moves = ["running", end]
    with pytest.raises(ThumbwheelError, match=f"The vendor's job ftjob-1 {end}"):
        run(asked(tmp_path), settings_for(vendor, tmp_path), wire(vendor))
    assert not (tmp_path / "run-1" / "DONE").exists()


# -- killed and resumed


@pytest.mark.parametrize("before", ["create", "note", "end"])
def test_a_run_that_is_killed_pays_for_one_job(
    vendor: Vendor, tmp_path: Path, before: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any) -> Any:
        raise KeyboardInterrupt

    create = OpenAIWire.create
    wanted = asked(tmp_path)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        if before == "end":
            patch.setattr(OpenAIWire, "job", killed)
        else:
            # Before the vendor hears of it, or after: the answer is lost on the way.
            patch.setattr(OpenAIWire, "create", killed if before == "create" else lambda *a: killed(create(*a)))
        run(wanted, settings_for(vendor, tmp_path), wire(vendor))
    assert goes_on(wanted.out) == "from its job at the vendor"
    unconfirmed = replace(wanted, params={})  # It was confirmed when it began.
    run(unconfirmed, settings_for(vendor, tmp_path), wire(vendor))
    assert (len(vendor.files), len(vendor.jobs)) == (1, 1)
    assert read_made(wanted.out).remote_model == f"ft:{BASE}:shop:ftjob-1"


@pytest.mark.slow
def test_the_program_is_stopped_resumed_and_says_nothing_of_the_key(
    vendor: Vendor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked(tmp_path)
    vendor.moves = ["running"]
    for name, value in (
        ("HOME", str(tmp_path / "home")), ("MODEL_API", vendor.url), ("MODEL_API_KEY", KEY), ("BASE_MODEL", BASE),
        ("TRAIN_BACKEND", "openai"), ("TRAIN_PRICE", "3"),
    ):  # fmt: skip
        monkeypatch.setenv(f"THUMBWHEEL_{name}", value)
    work = Work("default", "dpo", {"confirm_cost": 5}, tmp_path / "ds", tmp_path / "run-1", BASE, tmp_path)
    fast = "import sys; from trainer.hosted import program; program.POLL_S = 0.05; sys.exit(program.main())"

    def command(asked: Work) -> list[str]:
        made = hosted_command(asked)
        return ["env", f"PYTHONPATH={os.getcwd()}", made[0], "-c", fast, *made[3:]]

    backend = LocalBackend(command)
    backend.start(work)
    while "ftjob-1" not in vendor.jobs or not any(path.endswith("/ftjob-1") for _, path, _ in vendor.seen):
        assert backend.look(work.folder).state == "running", (work.folder / "job.log").read_text()
    backend.stop(work.folder)
    assert not any(path.endswith("/cancel") for _, path, _ in vendor.seen)
    vendor.moves = ["succeeded"]
    backend.start(replace(work, resume=bool(goes_on(work.folder))))
    end = time.monotonic() + 240
    while (found := backend.look(work.folder)).state == "running" and time.monotonic() < end:
        time.sleep(0.1)
    assert found.state == "ended", (work.folder / "job.log").read_text()
    assert backend.fetch(work.folder).remote_model == f"ft:{BASE}:shop:ftjob-1"
    assert len(vendor.jobs) == 1
    assert KEY not in " ".join(command(work))
    for file in (tmp_path / "run-1").rglob("*"):
        assert not file.is_file() or KEY.encode() not in file.read_bytes(), file


@pytest.mark.slow
def test_a_dry_run_writes_the_rows_and_calls_nobody(tmp_path: Path) -> None:
    asked(tmp_path)
    environment = {**os.environ, "PYTHONPATH": ".", "THUMBWHEEL_BASE_MODEL": BASE, "THUMBWHEEL_HOME": str(tmp_path)}
    command = hosted_command(Work("default", "sft", {}, tmp_path / "ds", tmp_path / "run-1", BASE, tmp_path))
    command = [*command[: command.index("--parent")], "--dry-run"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)
    told = json.loads(done.stdout)
    assert (told["rows"], told["method"], told["cost"], told["model"]) == (12, "sft", None, BASE)
    assert len((tmp_path / "run-1" / "work" / "train.jsonl").read_text().splitlines()) == 12
    assert sys.executable == command[0] and not (tmp_path / "run-1" / "work" / "vendor.json").exists()


def test_commands_plan_a_job_and_cancel_one(vendor: Vendor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.mixed_dataset(tmp_path / "datasets" / "default" / "ds-1", pairs=12)
    for name, value in (
        ("HOME", str(tmp_path)), ("MODEL_API", vendor.url), ("MODEL_API_KEY", KEY), ("BASE_MODEL", BASE),
        ("TRAIN_PRICE", "3"),
    ):  # fmt: skip
        monkeypatch.setenv(f"THUMBWHEEL_{name}", value)
    done = CliRunner().invoke(cli, ["hosted", "plan", "ds-1", "--out", str(tmp_path / "out")])
    assert done.exit_code == 0 and f"12 rows for dpo on {BASE}" in done.output, done.output
    assert not vendor.seen
    assert "has no job at a vendor" in CliRunner().invoke(cli, ["hosted", "cancel", "run-1"]).output
    vendor.files["file-1"] = b""
    job_id = wire(vendor).create(BASE, "file-1", "sft", {}, "run-1")
    noted = tmp_path / "runs" / "default" / "run-1" / "work" / "vendor.json"
    noted.parent.mkdir(parents=True)
    noted.write_text(json.dumps({"job_id": job_id}))
    done = CliRunner().invoke(cli, ["hosted", "cancel", "run-1"])
    assert done.exit_code == 0, done.output
    assert wire(vendor).job(job_id).state == "failed"


# -- continued, served


def test_a_champion_at_the_vendor_is_continued_and_one_of_ours_is_not(tmp_path: Path) -> None:
    reg = Registry(tmp_path / "models" / "default", "default")
    reg.store(registry.register(Aliases(), "ad-aaaaaaaaaaaa", kind="remote", remote_model="ft:1"))
    start, remote = reg.start("ad-aaaaaaaaaaaa")
    assert (start, remote, reg.start("base"), reg.start(None)) == (None, "ft:1", (None, None), (None, None))
    work = Work("default", "dpo", {}, tmp_path, tmp_path, BASE, tmp_path, start_remote=remote)
    command = hosted_command(work)
    assert command[command.index("--model") + 1] == "ft:1"
    with pytest.raises(ThumbwheelError, match="cannot continue ad-b: its weights are here"):
        hosted_command(replace(work, start=tmp_path / "ad-b", start_remote=None))


def test_the_gateway_asks_the_vendor_two_and_two_and_sees_when_another_model_answers(
    vendor: Vendor, tmp_path: Path
) -> None:
    reg = Registry(tmp_path / "models" / "default", "default")
    reg.store(registry.challenge(
        registry.register(Aliases(), "ad-aaaaaaaaaaaa", kind="remote", remote_model="ft:1"), "ad-aaaaaaaaaaaa"
    ))  # fmt: skip
    models = Models(tmp_path)
    assert "ad-aaaaaaaaaaaa" in models.names("default")
    upstream = Upstream(vendor.url, BASE, KEY, remote=models.remote)
    mixed = ["base", "ad-aaaaaaaaaaaa", "ad-aaaaaaaaaaaa", "base"]
    request = Generation([{"role": "user", "content": "hi"}], mixed, Sampling(max_tokens=5))
    assert len(upstream.generate(request)) == 4
    assert sorted(body["model"] for body in vendor.calls("/chat/completions")) == ["ft:1", "ft:1", BASE, BASE]
    vendor.answers_as = BASE
    with pytest.raises(ThumbwheelError, match=f"ft:1 was asked for, and '{BASE}' answered") as refused:
        upstream.generate(request)
    assert (refused.value.code, refused.value.status) == ("upstream_wrong_model", 502)
    upstream.close()


def test_the_settings_choose_the_vendor_and_say_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="needs THUMBWHEEL_MODEL_API"):
        load_settings({"THUMBWHEEL_TRAIN_BACKEND": "openai"}, tmp_path)
    with pytest.raises(SettingsError, match="THUMBWHEEL_TRAIN_PRICE is negative"):
        load_settings({"THUMBWHEEL_TRAIN_PRICE": "-1"}, tmp_path)
    backend = backend_of(replace(Settings(), train_backend="openai", model_api="http://x/v1"))
    work = Work("default", "dpo", {}, tmp_path, tmp_path, BASE, tmp_path)
    assert isinstance(backend, LocalBackend) and "trainer.hosted.program" in backend._command(work)
