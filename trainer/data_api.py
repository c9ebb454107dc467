"""The console's data API as the trainer uses it: wishes, readiness, support, facts, datasets. Standard library only."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from contract.errors import SettingsError, ThumbwheelError
from runtime.settings import Settings

TIMEOUT_S = 30.0
# Building a dataset reads and writes all its rows.
BUILD_TIMEOUT_S = 300.0


class ApiAway(ThumbwheelError):
    """The console cannot be reached, or answers that it cannot answer now; ask again later."""

    status = 503


class DataApi:
    """A client with the service key, which is of every project."""

    def __init__(self, url: str, key: str) -> None:
        self.url = url.rstrip("/") + "/api/v1/"
        self._key = key

    def get(self, path: str, project: str, **query: str) -> dict[str, Any]:
        """Return the answer to `GET /api/v1/<path>`. Raises ApiAway, ThumbwheelError."""
        return self._ask(Request(f"{self.url}{path}?{urlencode({'project': project, **query})}"), TIMEOUT_S)

    def build_dataset(self, project: str, filters: Mapping[str, Any]) -> dict[str, Any]:
        """Return the manifest of a dataset built with these filters. Raises ApiAway, ThumbwheelError (409 no rows)."""
        request = Request(
            f"{self.url}datasets?{urlencode({'project': project})}", json.dumps(dict(filters)).encode(),
            {"Content-Type": "application/json"}, method="POST",
        )  # fmt: skip
        return self._ask(request, BUILD_TIMEOUT_S)

    def _ask(self, request: Request, timeout_s: float) -> dict[str, Any]:
        request.add_header("Authorization", f"Bearer {self._key}")
        try:
            with urlopen(request, timeout=timeout_s) as answer:
                body: dict[str, Any] = json.loads(answer.read())
                return body
        except HTTPError as error:
            raise _refused(error) from error
        except (URLError, OSError, HTTPException, ValueError) as error:
            raise ApiAway(
                "console_away", f"The console at {self.url} cannot be reached: {error}", "Is it running?"
            ) from error


def _refused(error: HTTPError) -> ThumbwheelError:
    try:
        body = json.loads(error.read())["error"]
    except (ValueError, KeyError, TypeError, OSError):
        body = {"code": "http", "message": f"The console answered {error.code}.", "hint": ""}
    kind = ApiAway if error.code in (429, 502, 503, 504) else ThumbwheelError
    return kind(body["code"], body["message"], body.get("hint") or "", body.get("field"), error.code)


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
        "Create one: thumbwheel keys create service.", "THUMBWHEEL_SERVICE_KEY",
    )  # fmt: skip
