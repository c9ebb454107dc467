"""Candidate ids that prove where they came from, made offline from a secret key.

`tw2.<key_id>.<random>.<mac>`: HMAC-SHA256 over project, interaction id, the random part and the id of the actor the
reply is shown to, joined by 0x1f, cut to 12 bytes, base64url without padding; without an actor it begins with `tw1`
and covers the first three. The HMAC's key is derived from the secret key.
"""

from __future__ import annotations

import hmac
import secrets
from base64 import urlsafe_b64encode
from hashlib import sha256

_DERIVATION = b"thumbwheel candidate v1"
_MAC_BYTES = 12
_RANDOM_BYTES = 9


def sign(
    secret_key: str, key_id: str, interaction_id: str, project: str = "default", actor_id: str | None = None
) -> str:
    """Return a new signed candidate id for one reply of this interaction; with an actor, only their feedback counts."""
    key = hmac.new(secret_key.encode(), _DERIVATION, sha256).digest()
    random = secrets.token_urlsafe(_RANDOM_BYTES)
    signed = (project, interaction_id, random) if actor_id is None else (project, interaction_id, random, actor_id)
    text = "\x1f".join(signed).encode()
    mac = urlsafe_b64encode(hmac.new(key, text, sha256).digest()[:_MAC_BYTES]).decode().rstrip("=")
    return f"{'tw1' if actor_id is None else 'tw2'}.{key_id}.{random}.{mac}"
