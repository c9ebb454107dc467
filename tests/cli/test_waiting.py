"""Commands that follow something: they outlast a restart of the console, and give up on one that is gone."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli import runs as waiting
from cli.main import cli
from cli.runs import follow_run, wait_for_run
from contract.errors import ThumbwheelError
from runtime.data_api import Api


class Answers:
    """Answers of a console, one after the other; the last one stays. None breaks the connection."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.posts = 0

    def of(self, path: str) -> Any:
        return self.next()

    def next(self) -> Any:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def serve(answers: Answers, port: int) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = answers.of(self.path)
            if answer is None:
                self.close_connection = True
                return
            status, body = answer if isinstance(answer, tuple) else (200, answer)
            text = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def do_POST(self) -> None:
            answers.posts += 1
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.fixture
def console(free_port: Callable[[], int]) -> Iterator[Callable[[Answers], str]]:
    """Serves answers; returns the address."""
    started: list[ThreadingHTTPServer] = []

    def start(answers: Answers) -> str:
        started.append(serve(answers, free_port()))
        return f"http://127.0.0.1:{started[-1].server_port}"

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "POLL_S", 0.02)
    monkeypatch.setattr(waiting, "START_SECONDS", 0.5)
    monkeypatch.setattr(waiting, "AWAY_SECONDS", 0.5)


def runs(*items: dict[str, Any]) -> dict[str, Any]:
    return {"items": list(items), "next": None}


RUNNING = {"run_id": "r-1", "request_id": "w-1", "state": "running", "step": 3, "total_steps": 6}
FINISHED = RUNNING | {"state": "finished", "adapter_id": "ad-1"}


def test_a_run_is_followed_through_a_restart_of_the_console(console: Callable[[Answers], str]) -> None:
    away = (503, {"error": {"code": "away", "message": "not yet"}})
    answers = Answers(runs(), runs(RUNNING), None, away, runs(RUNNING), runs(FINISHED))
    shown: list[tuple[int, int]] = []
    run = follow_run(Api(console(answers), "k", "default"), "w-1", lambda step, total, _: shown.append((step, total)))
    assert run["adapter_id"] == "ad-1" and (3, 6) in shown


def test_a_run_is_not_followed_for_ever_when_the_console_is_gone(console: Callable[[Answers], str]) -> None:
    api = Api(console(Answers(runs(RUNNING), None)), "k", "default")
    with pytest.raises(ThumbwheelError, match="cannot be reached"):
        follow_run(api, "w-1", lambda *_: None)


def test_a_wish_that_nobody_answers_is_said(console: Callable[[Answers], str]) -> None:
    with pytest.raises(ThumbwheelError, match="No run answered"):
        wait_for_run(Api(console(Answers(runs())), "k", "default"), "w-1")


class Steps(Answers):
    """Answers by address: a run that has finished, and the adapter it made."""

    def __init__(self, state: str, reason: str | None) -> None:
        super().__init__(runs(FINISHED))
        self.state, self.reason = state, reason

    def of(self, path: str) -> Any:
        if path.startswith("/api/v1/models"):
            history = [{"reason": None}, {"reason": self.reason}]
            return runs({"adapter_id": "ad-1", "state": self.state, "history": history})
        return {"request_id": "w-1"} if path.startswith("/api/v1/requests") else runs(FINISHED)


@pytest.mark.parametrize(
    ("state", "status"), [("held", 3), ("challenger", 0), ("registered", 0)]
)  # fmt: skip
@pytest.mark.parametrize("as_json", [False, True])
def test_a_run_whose_adapter_is_held_says_so_and_why_and_has_a_status_of_its_own(
    console: Callable[[Answers], str], state: str, status: int, as_json: bool, tmp_path: Path
) -> None:
    why = "Held by its guards. ends: 0.1 against 0.9 of the base (limit: at least base - 0.05)"
    address = console(Steps(state, why if state == "held" else None))
    (tmp_path / "dev.toml").write_text('service = "tw_svc_x"\n')
    environment = {
        "THUMBWHEEL_HOME": str(tmp_path), "THUMBWHEEL_CONSOLE_BIND": address.removeprefix("http://"),
        "THUMBWHEEL_SERVICE_KEY": "tw_svc_x",
    }  # fmt: skip
    said = CliRunner().invoke(cli, ["train", *(["--json"] if as_json else [])], env=environment)
    assert said.exit_code == status, said.output
    if as_json:
        told = json.loads(said.output)["adapter"]
        assert told == {"state": state, "reason": why if state == "held" else None}
    else:
        assert f"r-1: finished, adapter ad-1, {state}" in said.output
        assert (f"error: The adapter ad-1 is held: {why}" in said.output) == (state == "held")
        assert ("hint: `thumbwheel evaluate ad-1`" in said.output) == (state == "held")


def test_a_wish_waits_while_another_run_goes_on(console: Callable[[Answers], str]) -> None:
    other = RUNNING | {"request_id": "w-0"}
    answers = Answers(*[runs(other)] * 40, runs(other | {"state": "finished"}, RUNNING))
    assert wait_for_run(Api(console(answers), "k", "default"), "w-1")["run_id"] == "r-1"


def test_a_patient_get_is_asked_again_and_a_broken_post_is_not(console: Callable[[Answers], str]) -> None:
    answers = Answers(None, (503, {}), {"ok": 1})
    assert Api(console(answers), "k", "default", patience_s=10).get("/x") == {"ok": 1}
    broken = Answers(None)
    with pytest.raises(ThumbwheelError):
        Api(console(broken), "k", "default", patience_s=10).post("/x", {})
    assert broken.posts == 1


def test_a_post_waits_for_a_service_that_is_not_listening_yet(free_port: Callable[[], int]) -> None:
    port, answers, started = free_port(), Answers({"ok": 1}), []

    def later() -> None:
        time.sleep(0.7)
        started.append(serve(answers, port))

    thread = threading.Thread(target=later)
    thread.start()
    assert Api(f"http://127.0.0.1:{port}", "k", "default", patience_s=10).post("/x", {}) == {"ok": 1}
    thread.join()
    started[0].shutdown()
    started[0].server_close()


def test_a_refusal_that_is_no_json_keeps_its_status(console: Callable[[Answers], str]) -> None:
    with pytest.raises(ThumbwheelError, match="answered 418") as refused:
        Api(console(Answers((418, "teapot"))), "k", "default", patience_s=10).get("/x")
    assert refused.value.status == 418
