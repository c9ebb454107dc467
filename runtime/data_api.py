"""In: the address of one of our services, a key, a project. Out: what its HTTP API answers; a refusal is an error.

    api = Api("http://127.0.0.1:8701", key, "default")
    api.get("/api/v1/readiness")
    api.of("support-desk").items("/api/v1/pairs", trainable="true")

The one client of the data API: the trainer and the command line use it. Standard library only.
"""

from __future__ import annotations

import json
import time
import tomllib
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from contract.errors import SettingsError, ThumbwheelError
from runtime.settings import Settings

# Building a dataset reads and writes all its rows.
TIMEOUT_S = 300.0
RETRY_S = 0.5
# The service, or a proxy in front of it, cannot answer now.
_AWAY = (429, 502, 503, 504)


class ApiAway(ThumbwheelError):
    """The service cannot be reached, or answers that it cannot answer now; ask again later."""

    status = 503


class Api:
    """One service, one key, one project; a service key is of every project."""

    def __init__(self, url: str, key: str, project: str = "default", *, patience_s: float = 0.0) -> None:
        """`patience_s`: how long a GET, or a POST that nobody listens to, is tried again while the service restarts."""
        self.url = url.rstrip("/")
        self._key = key
        self.project = project
        self._patience_s = patience_s

    def of(self, project: str) -> Api:
        """Return the same service for another project."""
        return Api(self.url, self._key, project, patience_s=self._patience_s)

    def get(self, path: str, **query: Any) -> Any:
        """GET and return the JSON. Raises ApiAway, and ThumbwheelError as the service said it."""
        return self._ask("GET", path, query, None)

    def post(self, path: str, body: Any) -> Any:
        """POST JSON and return the JSON. Raises ApiAway, and ThumbwheelError as the service said it."""
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
            except ApiAway as error:
                # What a broken POST has done is not known; one that met no listener has done nothing.
                again = error.status == 503 if method == "GET" else error.code == "not_listening"
                if not again or time.monotonic() > deadline:
                    raise
            time.sleep(RETRY_S)

    def _ask_once(self, method: str, path: str, query: dict[str, Any], body: Any) -> Any:
        wanted = {name: value for name, value in query.items() if value is not None} | {"project": self.project}
        request = Request(
            f"{self.url}{path}?{urlencode(wanted, doseq=True)}", None if body is None else json.dumps(body).encode(),
            {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}, method=method,
        )  # fmt: skip
        request.add_header("X-Thumbwheel-Project", self.project)
        try:
            with urlopen(request, timeout=TIMEOUT_S) as response:
                return json.loads(response.read())
        except HTTPError as error:
            raise _refusal(error) from error
        except (OSError, HTTPException, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise ApiAway(
                "not_listening" if isinstance(reason, ConnectionRefusedError) else "unreachable",
                f"{self.url} cannot be reached: {reason}.", "Is `thumbwheel up` running?", status=503,
            ) from error  # fmt: skip


def _refusal(error: HTTPError) -> ThumbwheelError:
    kind = ApiAway if error.code in _AWAY else ThumbwheelError
    try:
        body = json.loads(error.read())["error"]
        return kind(body["code"], body["message"], body.get("hint") or "", body.get("field"), error.code)
    except (OSError, HTTPException, ValueError, KeyError, TypeError):
        return kind("http_error", f"The service answered {error.code}.", "Look at its log.", status=error.code)


def find_service_key(settings: Settings) -> str:
    """Return the service key: THUMBWHEEL_SERVICE_KEY, else the one in HOME/dev.toml. Raises SettingsError."""
    if settings.service_key:
        return settings.service_key
    file = settings.home / "dev.toml"
    if file.exists():
        try:
            key = tomllib.loads(file.read_text("utf-8")).get("keys", {}).get("service")
        except (OSError, tomllib.TOMLDecodeError) as error:
            raise SettingsError(
                "settings_file", f"{file} cannot be read: {error}", "Remove it; a start makes a new one."
            ) from error
        if key:
            return str(key)
    raise SettingsError(
        "missing_setting", f"No service key: neither THUMBWHEEL_SERVICE_KEY nor {file}.",
        "Run `thumbwheel up`, or create one: thumbwheel keys create service.", "THUMBWHEEL_SERVICE_KEY",
    )  # fmt: skip
