"""POST /v1/events as a plain WSGI callable: Flask's own cost is several times that of the rest of this request."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from http import HTTPStatus

import msgspec

from collector import metrics
from collector.access import check_origin, find_key, key_text
from collector.body import read_body
from collector.cors import Cors, Headers
from collector.errors import Refused, fault, not_json, wrong_method
from collector.intake import ACCEPTED, RETRY, Answer, Intake, Judgement, read_batch
from collector.limits import Rates, Slots
from collector.requests import KEY_ID, PROJECT, REFUSED, REQUEST_ID, App, Environ, StartResponse
from control_store.control import Control
from runtime.deadline import BodyEnded

log = logging.getLogger(__name__)

_STATUS = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


class EventsRoute:
    """Answers one address and passes everything else on."""

    def __init__(
        self, other: App, path: str, intake: Intake, *, control: Control, cors: Cors, rates: Rates, slots: Slots
    ) -> None:
        self._other = other
        self._path = path
        self._intake = intake
        self._control = control
        self._cors = cors
        self._rates = rates
        self._slots = slots

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """WSGI (PEP 3333)."""
        if environ.get("PATH_INFO") != self._path:
            return self._other(environ, start_response)
        origin = environ.get("HTTP_ORIGIN")
        method = environ["REQUEST_METHOD"]
        if method == "OPTIONS":
            start_response(_STATUS[204], self._cors.preflight(origin))
            return [b""]
        status, headers, body = self._answer(environ, method)
        headers += self._cors.headers(origin)
        headers += (("Content-Type", "application/json"), ("Content-Length", str(len(body))))
        start_response(_STATUS[status], headers)
        return [body]

    def _answer(self, environ: Environ, method: str) -> tuple[int, Headers, bytes]:
        try:
            if method != "POST":
                raise wrong_method("POST")
            answer = self._take(environ)
        except (Refused, BodyEnded) as error:
            environ[REFUSED] = error.code
            return error.status, _refusal_headers(error), msgspec.json.encode(error.as_dict())
        except Exception as error:  # noqa: BLE001  (whatever it is, the client gets an answer; content is never logged)
            fields = {"request_id": environ.get(REQUEST_ID)}
            log.error("A request failed: %s at %s", type(error).__name__, _place(error), extra={"fields": fields})
            environ[REFUSED] = "internal_error"
            return 500, [], msgspec.json.encode(fault().as_dict())
        statuses = answer.statuses
        later = [("Retry-After", str(answer.retry_after))] if RETRY in statuses else []
        return 202 if statuses == {ACCEPTED} else 207, later, answer.body

    def _take(self, environ: Environ) -> Answer:
        body = read_body(
            environ["wsgi.input"].read, _length(environ), environ.get("CONTENT_TYPE", ""),
            environ.get("HTTP_CONTENT_ENCODING", "").lower(),
        )  # fmt: skip
        with self._slots.one():
            metrics.add_in_flight(1)
            try:
                judgement = self._judge(environ, body)
                # Not kept while the log is waited for, see Judgement.
                del body
                return self._intake.append(judgement)
            finally:
                metrics.add_in_flight(-1)

    def _judge(self, environ: Environ, body: bytes) -> Judgement:
        batch = read_batch(body)
        key = find_key(self._control, key_text(environ.get("HTTP_AUTHORIZATION", ""), batch.key))
        environ[KEY_ID], environ[PROJECT] = key.key_id, key.project
        check_origin(key, environ.get("HTTP_ORIGIN"))
        self._rates.take(key.key_id, len(batch.events))
        return self._intake.judge(batch, body, key)


def _length(environ: Environ) -> int | None:
    """Return Content-Length; None for a chunked body, 0 for none at all."""
    text = environ.get("CONTENT_LENGTH")
    if text:
        if not text.isdigit():
            raise not_json("Content-Length is no number")
        return int(text)
    return None if environ.get("HTTP_TRANSFER_ENCODING") or environ.get("wsgi.input_terminated") else 0


def _refusal_headers(error: Refused | BodyEnded) -> Headers:
    headers = [] if error.retry_after is None else [("Retry-After", str(error.retry_after))]
    if error.status == 405:
        headers.append(("Allow", "POST, OPTIONS"))
    return headers


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "?"
