"""Candidate ids that a client cannot make up: HMAC over project, interaction id and a random part.

Format: `tw1.<key_id>.<random>.<mac>`, base64url without padding. The signing key is derived from a secret key,
so that an SDK that holds the secret key makes the same ids offline. An id says nothing about the model.
"""

from __future__ import annotations

import hmac
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256

FindSigningKey = Callable[[str, str], bytes | None]

_DERIVATION = b"thumbwheel candidate v1"
# A multiple of three: base64 without padding.
_MAC_BYTES = 12
_RANDOM_BYTES = 9


def signing_key(secret_key: str) -> bytes:
    """Return the 32-byte signing key of a secret API key."""
    return hmac.new(secret_key.encode(), _DERIVATION, sha256).digest()


@lru_cache(maxsize=1024)
def _keyed(key: bytes) -> hmac.HMAC:
    return hmac.new(key, digestmod=sha256)


def _mac(key: bytes, project: str, interaction_id: str, random: str) -> str:
    # A copy of a keyed HMAC costs half as much as a new one.
    keyed = _keyed(key).copy()
    keyed.update("\x1f".join((project, interaction_id, random)).encode())
    return urlsafe_b64encode(keyed.digest()[:_MAC_BYTES]).decode()


def sign_candidate(key: bytes, key_id: str, project: str, interaction_id: str) -> str:
    """Return a new signed candidate id for this interaction."""
    random = secrets.token_urlsafe(_RANDOM_BYTES)
    return f"tw1.{key_id}.{random}.{_mac(key, project, interaction_id, random)}"


def verify_candidate(find_signing_key: FindSigningKey, project: str, interaction_id: str, candidate_id: str) -> bool:
    """Say whether the id was signed for this interaction by a key of this project.

    `find_signing_key(project, key_id)` returns the signing key or None.
    """
    parts = candidate_id.split(".")
    if len(parts) != 4 or parts[0] != "tw1" or not candidate_id.isascii():
        return False
    key = find_signing_key(project, parts[1])
    return key is not None and hmac.compare_digest(parts[3], _mac(key, project, interaction_id, parts[2]))
