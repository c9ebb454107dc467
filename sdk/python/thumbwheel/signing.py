"""Signed candidate ids, made offline from a secret key, as the gateway makes them."""

from __future__ import annotations

import hmac
import secrets
from base64 import urlsafe_b64encode
from hashlib import sha256

_DERIVATION = b"thumbwheel candidate v1"


def sign_candidate(secret_key: str, key_id: str, project: str, interaction_id: str) -> str:
    """Return a new candidate id that the collector accepts as verified for this interaction.

    `key_id` is what `thumbwheel keys create` printed beside the key.
    """
    signing_key = hmac.new(secret_key.encode(), _DERIVATION, sha256).digest()
    random = secrets.token_urlsafe(9)
    text = "\x1f".join((project, interaction_id, random)).encode()
    mac = urlsafe_b64encode(hmac.new(signing_key, text, sha256).digest()[:12]).decode().rstrip("=")
    return f"tw1.{key_id}.{random}.{mac}"
