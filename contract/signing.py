"""Candidate ids that a client cannot make up: HMAC over project, interaction id and a random part.

Format: `tw2.<key_id>.<random>.<mac>` where the reply is issued for an actor, whose id the MAC covers too: only that
actor's feedback is verified. `tw1.<key_id>.<random>.<mac>` where it is issued for nobody in particular: anybody's is.
Base64url without padding. The signing key is derived from a secret key, so that an SDK that holds the secret key makes
the same ids offline. An id says nothing about the model, and nothing about the actor.
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


def _mac(key: bytes, *signed: str) -> str:
    # By hand, since `hmac.digest` looks its algorithm up in OpenSSL each time, under a lock of the process: a collector
    # of many threads took half as many batches of 50 signed candidates (bench.collector).
    keyed = _keyed(key)
    inner, outer = keyed[0].copy(), keyed[1].copy()
    inner.update("\x1f".join(signed).encode())
    outer.update(inner.digest())
    return b2a_base64(outer.digest()[:_MAC_BYTES], newline=False).translate(_URL_SAFE).decode()


def sign_candidate(key: bytes, key_id: str, project: str, interaction_id: str, actor_id: str | None = None) -> str:
    """Return a new signed candidate id for this interaction, and for this actor where one is named."""
    random = secrets.token_urlsafe(_RANDOM_BYTES)
    if actor_id is None:
        return f"tw1.{key_id}.{random}.{_mac(key, project, interaction_id, random)}"
    return f"tw2.{key_id}.{random}.{_mac(key, project, interaction_id, random, actor_id)}"


def is_issued_for_actor(candidate_id: str) -> bool:
    """Say whether an id is of the form that is issued for one actor; says nothing about its signature."""
    return candidate_id.startswith("tw2.")


def verify_candidate(
    find_signing_key: FindSigningKey, project: str, interaction_id: str, candidate_id: str, actor_id: str
) -> bool:
    """Say whether the id was signed for this interaction by a key of this project, and not for another actor.

    `find_signing_key(project, key_id)` returns the signing key or None.
    """
    parts = candidate_id.split(".")
    if len(parts) != 4 or parts[0] not in ("tw1", "tw2") or not candidate_id.isascii():
        return False
    key = find_signing_key(project, parts[1])
    if key is None:
        return False
    of_actor = (actor_id,) if parts[0] == "tw2" else ()
    return hmac.compare_digest(parts[3], _mac(key, project, interaction_id, parts[2], *of_actor))
