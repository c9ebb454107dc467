"""One request to the collector over a kept connection, proxies of the environment included. No retries here."""

from __future__ import annotations

import codecs
import http.client
import json
import ssl
import threading
import time
from base64 import b64encode
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from thumbwheel.version import VERSION

MAX_ANSWER_BYTES = 1024 * 1024
# Looking up a host imports this codec. A child forked while another thread did would wait for that import for ever.
codecs.lookup("idna")


class Answer(NamedTuple):
    """A collector's answer. `status` 0 means that none came; `retry_after` in seconds, 0 when absent."""

    status: int
    retry_after: float
    body: dict[str, Any]


NO_ANSWER = Answer(0, 0.0, {})


class Transport:
    """Sends bodies to one address, one connection a thread. Make a new one after a fork."""

    def __init__(self, url: str, key: str, timeout: float) -> None:
        """`timeout` in seconds holds for connecting and for each read."""
        self._url = urlsplit(url)
        self._timeout = timeout
        self._local = threading.local()
        self._headers = {
            "Authorization": f"Bearer {key}",
            "Content-Type": "application/json",
            "User-Agent": f"thumbwheel-python/{VERSION}",
        }

    def post(self, body: bytes, timeout: float | None = None) -> Answer:
        """Send and return the answer; NO_ANSWER on any network error.

        A kept connection that the other side closed meanwhile is opened anew, once; events are idempotent.
        """
        return self._ask("POST", body, timeout)

    def get(self, timeout: float | None = None) -> Answer:
        """Fetch and return the answer; as `post` otherwise."""
        return self._ask("GET", None, timeout)

    def _ask(self, method: str, body: bytes | None, timeout: float | None) -> Answer:
        kept = getattr(self._local, "connection", None) is not None
        try:
            return self._exchange(method, body, timeout)
        except (ConnectionError, http.client.RemoteDisconnected, http.client.BadStatusLine):
            self.close()
            if not kept:
                return NO_ANSWER
        except (OSError, http.client.HTTPException, ValueError):
            self.close()
            return NO_ANSWER
        try:
            return self._exchange(method, body, timeout)
        except (OSError, http.client.HTTPException, ValueError):
            self.close()
            return NO_ANSWER

    def close(self) -> None:
        """Close this thread's connection."""
        connection = getattr(self._local, "connection", None)
        self._local.connection = None
        if connection is not None:
            connection.close()

    def _exchange(self, method: str, body: bytes | None, timeout: float | None) -> Answer:
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection, self._local.target, self._local.extra = self._connect()
            self._local.connection = connection
        seconds = self._timeout if timeout is None else max(0.05, min(timeout, self._timeout))
        connection.timeout = seconds
        if connection.sock is not None:
            connection.sock.settimeout(seconds)
        connection.request(method, self._local.target, body=body, headers={**self._headers, **self._local.extra})
        response = connection.getresponse()
        text = response.read(MAX_ANSWER_BYTES)
        if response.will_close or response.read(1):
            self.close()
        return Answer(response.status, retry_after(response.getheader("Retry-After")), _parse(text))

    def _connect(self) -> tuple[http.client.HTTPConnection, str, dict[str, str]]:
        """Return a connection, what to ask it for, and headers that a proxy needs."""
        url = self._url
        host = url.hostname or ""
        path = url.path or "/"
        proxy_text = "" if proxy_bypass(host) else getproxies().get(url.scheme, "")
        if not proxy_text:
            return self._open(url.scheme, host, url.port), path, {}
        proxy = urlsplit(proxy_text if "://" in proxy_text else f"http://{proxy_text}")
        login = _proxy_login(proxy)
        connection = self._open(url.scheme, proxy.hostname or "", proxy.port or 8080)
        if url.scheme == "https":
            connection.set_tunnel(host, url.port or 443, login)
            return connection, path, {}
        return connection, f"http://{url.netloc}{path}", login

    def _open(self, scheme: str, host: str, port: int | None) -> http.client.HTTPConnection:
        if scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=self._timeout, context=ssl.create_default_context())
        return http.client.HTTPConnection(host, port, timeout=self._timeout)


def _proxy_login(proxy: SplitResult) -> dict[str, str]:
    if not proxy.username:
        return {}
    login = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": "Basic " + b64encode(login.encode()).decode()}


def _parse(text: bytes) -> dict[str, Any]:
    """Return the JSON object of an answer; an empty one where a proxy answered something else."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def retry_after(header: str | None) -> float:
    """Return `Retry-After` as seconds from now: a number or an HTTP date; 0 when absent, past or unreadable."""
    if not header:
        return 0.0
    text = header.strip()
    if text.isdigit():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return 0.0
