"""The data API and the gateway, asked over HTTP with standard library means; a refusal becomes a ThumbwheelError."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import Any

from cli.home import find_running, read_dev_keys
from contract.errors import ThumbwheelError
from runtime.settings import Settings

TIMEOUT_S = 300.0
RETRY_S = 0.5


class Api:
    """One service, one key, one project.

    patience_s: how long a GET, or a POST that nobody listens to, is tried again while the service restarts.
    """

    def __init__(self, url: str, key: str, project: str, *, patience_s: float = 0.0) -> None:
        self.url = url.rstrip("/")
        self._key = key
        self.project = project
        self._patience_s = patience_s

    def get(self, path: str, **query: Any) -> Any:
        """GET and return the JSON; raises ThumbwheelError as the service said it."""
        return self._ask("GET", path, query, None)

    def post(self, path: str, body: Any) -> Any:
        """POST JSON and return the JSON; raises ThumbwheelError as the service said it."""
        return self._ask("POST", path, {}, body)

    def items(self, path: str, **query: Any) -> list[Any]:
        """GET every page of a list."""
        found: list[Any] = []
        while True:
            page = self.get(path, **query)
            found += page["items"]
            if not page.get("next"):
                return found
            query["cursor"] = page["next"]

    def _ask(self, method: str, path: str, query: dict[str, Any], body: Any) -> Any:
        deadline = time.monotonic() + self._patience_s
        while True:
            try:
                return self._ask_once(method, path, query, body)
            except ThumbwheelError as error:
                # What a broken POST has done is not known; one that met no listener has done nothing.
                again = error.status == 503 if method == "GET" else error.code == "not_listening"
                if not again or time.monotonic() > deadline:
                    raise
            time.sleep(RETRY_S)

    def _ask_once(self, method: str, path: str, query: dict[str, Any], body: Any) -> Any:
        wanted = {name: value for name, value in query.items() if value is not None} | {"project": self.project}
        address = f"{self.url}{path}?{urllib.parse.urlencode(wanted, doseq=True)}"
        request = urllib.request.Request(address, None if body is None else json.dumps(body).encode(), method=method)
        request.add_header("Authorization", f"Bearer {self._key}")
        request.add_header("X-Thumbwheel-Project", self.project)
        request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
                return json.loads(response.read())
        except urllib.error.HTTPError as error:
            raise _refusal(error) from error
        except (OSError, HTTPException, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise ThumbwheelError(
                "not_listening" if isinstance(reason, ConnectionRefusedError) else "unreachable",
                f"{self.url} cannot be reached: {reason}.", "Is `thumbwheel up` running?", status=503,
            ) from error  # fmt: skip


def _refusal(error: urllib.error.HTTPError) -> ThumbwheelError:
    try:
        body = json.loads(error.read())["error"]
        return ThumbwheelError(body["code"], body["message"], body.get("hint", ""), body.get("field"), error.code)
    except (OSError, HTTPException, ValueError, KeyError, TypeError):
        return ThumbwheelError(
            "http_error", f"The service answered {error.code}.", "Look at its log.", status=error.code
        )


def data_api(settings: Settings, project: str) -> Api:
    """Return the data API of the `up` that runs in this home, or of THUMBWHEEL_CONSOLE_URL."""
    running = find_running(settings.home)
    url = settings.console_url or (running or {}).get("console") or settings.console_bind.url
    return Api(url, _key(settings), project)


def _key(settings: Settings) -> str:
    if settings.service_key:
        return settings.service_key
    keys = read_dev_keys(Path(settings.home))
    if keys is None:
        raise ThumbwheelError(
            "no_key",
            f"No service key: {settings.home} has no dev.toml.",
            "Run `thumbwheel up`, or set THUMBWHEEL_SERVICE_KEY.",
        )
    return keys.service
