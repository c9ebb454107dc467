"""Who may write what, and from where: keys and origins."""

from __future__ import annotations

import re
from collections.abc import Sequence

from collector.errors import keys_away, no_key, wrong_origin
from contract.curation.checks import ANNOTATING
from contract.topics import PUBLIC_TYPES, SECRET_TYPES
from control_store.control import Control, Key
from control_store.engine import ControlUnavailable

_HOST = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*\Z")


def key_text(authorization: str, in_body: str | None) -> str:
    """Return the key of a request: the header's, else the body's; raises 401 when there is none."""
    scheme, _, text = authorization.partition(" ")
    if scheme.lower() == "bearer" and text.strip():
        return text.strip()
    if in_body:
        return in_body
    raise no_key()


def find_key(control: Control, text: str) -> Key:
    """Return the key; raises 401 when unknown or revoked, 503 when only the control store that is away could tell.

    Service keys may not write events over HTTP.
    """
    try:
        key = control.find_key(text)
    except ControlUnavailable as error:
        raise keys_away(error) from error
    if key is None or key.kind == "service":
        raise no_key()
    return key


def check_origin(key: Key, origin: str | None) -> None:
    """Raise 403 when a public key is used from an origin that is not its own.

    No Origin, or `null` (native apps, sandboxed frames), only where the key lists `null`. Secret keys are for
    servers, which send none.
    """
    if key.kind != "public":
        return
    if not origin_allowed(key.origins, origin):
        raise wrong_origin(origin or "none")


def origin_allowed(allowed: Sequence[str], origin: str | None) -> bool:
    """Say whether an origin is among exact ones or `https://*.example.com`."""
    if origin is None or origin == "null":
        return "null" in allowed
    origin = origin.lower()
    if origin in allowed:
        return True
    for pattern in allowed:
        scheme, found, domain = pattern.partition("://*.")
        if found and origin.startswith(scheme + "://") and origin.endswith("." + domain):
            host = origin[len(scheme) + 3 : -len(domain) - 1]
            if _HOST.match(host):
                return True
    return False


def allowed_types(key: Key) -> frozenset[str]:
    """Return the event types this key may write."""
    return SECRET_TYPES if key.kind == "secret" else PUBLIC_TYPES


def plainly_allowed(key: Key) -> frozenset[str]:
    """Return the event types of which this key may write any; a page's annotations are looked at alone."""
    return allowed_types(key) - (ANNOTATING if key.kind == "public" else frozenset())
