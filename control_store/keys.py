"""API keys as the services know them, and the mounted file of key hashes (`THUMBWHEEL_KEYS`).

The file is a JSON list; no key's text is in it, but its signing keys are secrets:

    [{"key_id": "kshop", "project": "shop", "kind": "secret", "key_sha256": "<64 hex>", "signing_key": "<64 hex>",
      "origins": [], "name": "shop backend"}]

`key_sha256` is the SHA-256 of the key's text, `signing_key` is `contract.signing.signing_key` of it (a public key
needs none). A service key is of every project. `expires_at` (RFC 3339) may be there too: the key then works until then.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from contract.errors import SettingsError, ThumbwheelError
from control_store.origins import check_origin

log = logging.getLogger(__name__)

KINDS = {"public": "tw_pub_", "secret": "tw_sec_", "service": "tw_svc_"}
EVERY_PROJECT = "*"


@dataclass(frozen=True)
class Key:
    """An API key as the services know it; the key's text is never stored."""

    key_id: str
    project: str
    kind: str
    name: str
    origins: tuple[str, ...]
    signing_key: bytes
    created_at: datetime
    revoked: bool
    expires_at: datetime | None = None

    def works(self, now: datetime) -> bool:
        """Say whether the key is neither revoked nor expired at this time (UTC, naive)."""
        return not self.revoked and (self.expires_at is None or now < self.expires_at)

    def state(self, now: datetime) -> str:
        """Return live, expiring (rotated, still working), expired or revoked."""
        if self.revoked or not self.works(now):
            return "revoked" if self.revoked else "expired"
        return "live" if self.expires_at is None else "expiring"


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    key_id: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9_-]{1,32}$")]
    kind: Literal["public", "secret", "service"]
    key_sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-fA-F]{64}$")]
    project: Annotated[str, msgspec.Meta(pattern="^[!-~]{1,128}$")] = "default"
    signing_key: Annotated[str, msgspec.Meta(pattern="^([0-9a-fA-F]{64})?$")] = ""
    origins: tuple[str, ...] = ()
    name: str = ""
    expires_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


class KeysFile:
    """The mounted file; read again when it changes, what was read stays while it cannot be."""

    def __init__(self, path: str | Path) -> None:
        """Read the file; raises SettingsError that names what is wrong with it."""
        self.path = Path(path)
        self._stamp = self._look()
        self._keys = self._read()

    def keys(self) -> dict[str, Key]:
        """Return the keys by the SHA-256 of their text (hex)."""
        try:
            stamp = self._look()
            if stamp != self._stamp:
                self._keys = self._read()
                self._stamp = stamp
        except SettingsError as error:
            log.warning("%s The keys read before stay in force.", error.message)
        return self._keys

    def _look(self) -> tuple[int, int, int]:
        try:
            found = os.stat(self.path)
        except OSError as error:
            raise self._wrong(error.strerror or str(error)) from error
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _read(self) -> dict[str, Key]:
        try:
            entries = msgspec.json.decode(self.path.read_bytes(), type=list[_Entry])
        except OSError as error:
            raise self._wrong(error.strerror or str(error)) from error
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise self._wrong(str(error)) from error
        read_at = datetime.now(UTC).replace(tzinfo=None)
        for entry in entries:
            self._look_at_origins(entry)
            if entry.kind != "public" and not entry.signing_key:
                raise self._wrong(f"{entry.key_id} has no signing_key")
        return {entry.key_sha256.lower(): _key(entry, read_at) for entry in entries}

    def _look_at_origins(self, entry: _Entry) -> None:
        """Say which origins of a key match no page: it goes on with the others."""
        for origin in entry.origins:
            try:
                meant = check_origin(origin)
            except ThumbwheelError as error:
                log.warning("THUMBWHEEL_KEYS=%s: %s matches no page. %s", self.path, entry.key_id, error.line())
            else:
                if meant != origin:
                    log.warning("THUMBWHEEL_KEYS=%s: %s: write %s for %r.", self.path, entry.key_id, meant, origin)

    def _wrong(self, why: str) -> SettingsError:
        return SettingsError(
            "keys_file", f"THUMBWHEEL_KEYS={self.path} cannot be used: {why}.",
            "It is a JSON list of keys with key_id, project, kind, key_sha256, signing_key, origins, name, expires_at.",
            "THUMBWHEEL_KEYS",
        )  # fmt: skip


def _key(entry: _Entry, read_at: datetime) -> Key:
    return Key(
        key_id=entry.key_id, project=EVERY_PROJECT if entry.kind == "service" else entry.project, kind=entry.kind,
        name=entry.name, origins=entry.origins, signing_key=bytes.fromhex(entry.signing_key), created_at=read_at,
        revoked=False, expires_at=entry.expires_at and entry.expires_at.astimezone(UTC).replace(tzinfo=None),
    )  # fmt: skip
