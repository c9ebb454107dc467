"""Candidate ids that a client cannot make up: HMAC over project, interaction id and a random part.

Format: `tw1.<key_id>.<random>.<mac>`, base64url without padding. The signing key is derived from a secret key,
so that an SDK that holds the secret key makes the same ids offline. An id says nothing about the model.
"""

from __future__ import annotations

import hmac
import secrets
from binascii import b2a_base64
from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hashlib import _Hash

FindSigningKey = Callable[[str, str], bytes | None]

_DERIVATION = b"thumbwheel candidate v1"
_BLOCK_BYTES = 64
# A multiple of three: base64 without padding.
_MAC_BYTES = 12
_RANDOM_BYTES = 9
_URL_SAFE = bytes.maketrans(b"+/", b"-_")


def signing_key(secret_key: str) -> bytes:
    """Return the 32-byte signing key of a secret API key."""
    return hmac.new(secret_key.encode(), _DERIVATION, sha256).digest()


@lru_cache(maxsize=1024)
def _keyed(key: bytes) -> tuple[_Hash, _Hash]:
    """Return what HMAC (RFC 2104) hashes before a message, and before the digest of that."""
    block = key.ljust(_BLOCK_BYTES, b"\0")
    return sha256(bytes(byte ^ 0x36 for byte in block)), sha256(bytes(byte ^ 0x5C for byte in block))


def _mac(key: bytes, project: str, interaction_id: str, random: str) -> str:
    # Copies of two keyed hashes cost two thirds of one of a keyed `hmac.HMAC`, and a new one of that twice as much.
    keyed = _keyed(key)
    inner, outer = keyed[0].copy(), keyed[1].copy()
    inner.update(f"{project}\x1f{interaction_id}\x1f{random}".encode())
    outer.update(inner.digest())
    return b2a_base64(outer.digest()[:_MAC_BYTES], newline=False).translate(_URL_SAFE).decode()


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
