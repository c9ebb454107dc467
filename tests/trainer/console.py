"""A stand-in for the console's data API, after its documentation: wishes and facts come from a real log."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from contract.envelope import Actor
from contract.events import decode_stored, stamp
from contract.facts import RequestPromote, RequestRollBack, RequestTrain
from contract.ids import uuid7
from contract.topics import RUNS
from eventlog.log import Log, append_all
from trials.rule import Rule, Tally, decide

KEY = "tw_svc_test"
WISHES = {"train": RequestTrain, "promote": RequestPromote, "roll_back": RequestRollBack}


class Console:
    """What the API answers; tests set `support`, `readiness` and `datasets`."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.url = ""
        self.support: list[dict[str, Any]] = []
        self.readiness: dict[str, Any] = {"new_pairs": 0, "new_unpaired": 0}
        self.datasets: list[str] = []
        self.built: list[dict[str, Any]] = []
        self.projects: list[str] = []
        self.away = False
        self.training: dict[str, Any] = {}

    def wish(self, kind: str, **fields: Any) -> str:
        """Append a wish as the console does; return its id."""
        event = WISHES[kind](
            event_id=str(uuid7()), occurred_at=datetime.now(UTC), actor=Actor(id="boss", kind="expert"), **fields
        )
        append_all(self.log, [stamp(event, project="default", key_id="k", via="console")])
        return event.event_id

    def events(self, family: str = "") -> list[dict[str, Any]]:
        """Return everything in the runs topic, as dictionaries, in order."""
        end = self.log.end_offset(RUNS, 0)
        reader = self.log.reader({(RUNS, 0): 0})
        found: list[dict[str, Any]] = []
        while len(found) < end:
            found.extend(msgspec.to_builtins(decode_stored(record.value)) for record in reader.poll(1000, 0.5))
        reader.close()
        return [event for event in found if event["type"].startswith(family)]

    def types(self, family: str = "") -> list[str]:
        """Return the types of the facts, in order, without progress."""
        return [event["type"] for event in self.events(family) if event["type"] != "run.progress"]

    def answer(self, method: str, path: str, query: dict[str, str], body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Return (status, body) of a call."""
        if path == "requests":
            answered = {event.get("request_id") for event in self.events() if event.get("request_id")}
            items = [
                {**event, "body": event, "handled": event["event_id"] in answered} for event in self.events("request.")
            ]
            return 200, {"items": items, "next": None}
        if path == "facts":
            seen = {event["event_id"]: event for event in self.events(query.get("type", ""))}
            return 200, {"items": list(seen.values()), "next": None}
        if path == "projects":
            return 200, {"items": [{"project": name, "events": 1} for name in self.projects], "next": None}
        if path == "support":
            return 200, {"items": [decided(item) for item in self.support], "next": None}
        if path == "readiness":
            return 200, self.readiness
        if path == "training":
            return 200, {"settings": self.training}
        if path == "datasets" and method == "POST":
            self.built.append(body)
            if not self.datasets:
                error = {
                    "code": "nothing_trainable",
                    "message": "No row is left to train on.",
                    "hint": "Collect picks.",
                }
                return 409, {"error": error}
            return 201, {"dataset_id": self.datasets[0]}
        return 404, {"error": {"code": "unknown_address", "message": path, "hint": ""}}


@contextmanager
def serving(console: Console) -> Iterator[Console]:
    """Serve the stand-in on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer({})

        def do_POST(self) -> None:
            self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def _answer(self, body: dict[str, Any]) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            status, answer = 503, {"error": {"code": "busy", "message": "Away.", "hint": ""}}
            if self.headers["Authorization"] != f"Bearer {KEY}":
                status, answer = 401, {"error": {"code": "unknown_key", "message": "No.", "hint": ""}}
            elif not console.away:
                status, answer = console.answer(self.command, parts.path.removeprefix("/api/v1/"), query, body)
            data = json.dumps(answer, default=str).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            """Keep the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    console.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield console
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def decided(item: dict[str, Any]) -> dict[str, Any]:
    """Return a support item with the state that the real rule gives its counts."""
    found = decide(Tally.of_one_rater(item["wins"], item["losses"]), Rule(k=item["k"]))
    return {"state": found.state, "reason": {"key": found.reason.key, **found.reason.numbers}, **item}
