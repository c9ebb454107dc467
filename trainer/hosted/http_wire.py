"""JSON over HTTP to a vendor: a method, a path and a body in; the decoded answer out, or an error without the key.

Whatever a vendor answers with an error status is one error here, whatever its body looks like: its words are shown,
cut short, with the key taken out in case they repeat it.
"""

from __future__ import annotations

import http.client
import json
import uuid
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from contract.errors import ThumbwheelError

TIMEOUT_S = 120
SHOWN = 300


@dataclass(frozen=True)
class HttpWire:
    """A vendor's address and the key for it; the key is in no representation of this."""

    url: str
    key: str = field(repr=False)

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Send a JSON body, or none, and return the decoded answer. Raises ThumbwheelError."""
        content = None if body is None else json.dumps(body).encode()
        kind = {} if body is None else {"Content-Type": "application/json"}
        return self._send(method, path, content, kind)

    def upload(self, path: str, fields: Mapping[str, str], file: Path) -> dict[str, Any]:
        """Send a form with one file and return the decoded answer. Raises ThumbwheelError."""
        boundary = uuid.uuid4().hex
        parts = [
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
            for name, value in fields.items()
        ]
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{file.name}"\r\n'
        parts += [f"{head}Content-Type: application/octet-stream\r\n\r\n".encode(), file.read_bytes()]
        content = b"".join([*parts, f"\r\n--{boundary}--\r\n".encode()])
        return self._send("POST", path, content, {"Content-Type": f"multipart/form-data; boundary={boundary}"})

    def _send(self, method: str, path: str, content: bytes | None, headers: Mapping[str, str]) -> dict[str, Any]:
        parts = urlsplit(self.url.rstrip("/"))
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        try:
            with closing(kind(parts.hostname or "", parts.port, timeout=TIMEOUT_S)) as connection:
                connection.request(
                    method, parts.path + path, content, {**headers, "Authorization": f"Bearer {self.key}"}
                )
                answer = connection.getresponse()
                said = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise ThumbwheelError(
                "vendor_away", f"{parts.netloc} cannot be reached: {error}.", "Is THUMBWHEEL_MODEL_API its address?"
            ) from error
        if not 200 <= answer.status < 300:
            raise self._refused(method, path, answer.status, said)
        return self._decoded(path, said)

    def _decoded(self, path: str, said: bytes) -> dict[str, Any]:
        try:
            found = json.loads(said)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise ThumbwheelError(
                "vendor_unreadable", f"The answer to {path} is no JSON object: {self._shown(said)}",
                "Is THUMBWHEEL_MODEL_API the address of its API, up to and with /v1?",
            )  # fmt: skip
        return found

    def _refused(self, method: str, path: str, status: int, said: bytes) -> ThumbwheelError:
        # The status goes along: what is away for a moment (429, 5xx) is asked again by whoever polls.
        return ThumbwheelError(
            "vendor_refused", f"{method} {path} was answered with {status}: {self._shown(said)}",
            "The vendor's documentation says what that means.", status=status,
        )  # fmt: skip

    def _shown(self, said: bytes) -> str:
        text = " ".join(said.decode("utf-8", errors="replace").split())
        return (text.replace(self.key, "[key]") if self.key else text)[:SHOWN]
