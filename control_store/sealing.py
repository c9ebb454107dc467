"""In: the control key, which lies outside the control store. Out: signing keys sealed for the store, and opened again.

AES-256-GCM (NIST SP 800-38D), bound to the key's id: whoever reads the store, a copy or a backup of it finds nothing to
sign a candidate with. The store keeps a fingerprint of the control key, so that a wrong one is told from damage.

    seals = claim(engine)              # the engine knows its control key, see `control_store.engine`
    stored = seals.seal("k1", signing_key)
"""

from __future__ import annotations

import hmac
import os
import secrets
from base64 import urlsafe_b64encode
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path

import sqlalchemy as sa

from contract.errors import SettingsError, ThumbwheelError
from runtime.files import write_whole
from runtime.settings import Settings

OPTION = "control_key"
KEY_BYTES = 32
PLAIN_BYTES = 32
_NONCE_BYTES = 12
_MADE_WITH = "`openssl rand -hex 32` makes one."
metadata = sa.MetaData()
fingerprints = sa.Table(
    "control_key", metadata,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("fingerprint", sa.String(16), nullable=False),
)  # fmt: skip


class ControlKeyError(ThumbwheelError):
    """The control key is not there, or is not the one the store was sealed with."""

    status = 503


@dataclass(frozen=True, repr=False)
class ControlKey:
    """Where the control key comes from: its text, or a file, which is made when a store is first sealed."""

    text: str = ""
    file: Path | None = None

    @classmethod
    def of(cls, settings: Settings) -> ControlKey:
        """Return the one the settings name."""
        return cls(settings.control_key, settings.control_key_path)

    @classmethod
    def beside(cls, url: str) -> ControlKey:
        """Return that of a store without settings: a file beside an SQLite database, else none."""
        path = url.removeprefix("sqlite:///")
        if path == url:
            return cls()
        return (
            cls(secrets.token_hex(KEY_BYTES)) if path in ("", ":memory:") else cls("", Path(path).with_suffix(".key"))
        )

    @property
    def place(self) -> str:
        """Return where it is, as an error names it."""
        return "THUMBWHEEL_CONTROL_KEY" if self.text or self.file is None else str(self.file)

    def read(self) -> bytes | None:
        """Return the key, None where there is none; raises SettingsError for what is no key."""
        if self.text:
            return self._parse(self.text)
        try:
            return self._parse(self.file.read_text("ascii")) if self.file else None
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise self._wrong(f"cannot be read: {error}") from error

    def make(self) -> bytes:
        """Return the key, made first where there is none; of several processes at once one makes it."""
        if (found := self.read()) is not None:
            return found
        if self.file is None:
            raise ControlKeyError(
                "control_key", "The control store has no control key, and there is no file to keep one in.",
                f"Set THUMBWHEEL_CONTROL_KEY; {_MADE_WITH}", "THUMBWHEEL_CONTROL_KEY",
            )  # fmt: skip
        made = self.file.with_name(f".{self.file.name}-{secrets.token_hex(4)}")
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(secrets.token_hex(KEY_BYTES) + "\n")
                file.flush()
                os.fsync(file.fileno())
            with suppress(FileExistsError):
                os.link(made, self.file)
        except OSError as error:
            raise self._wrong(f"cannot be made: {error}") from error
        finally:
            made.unlink(missing_ok=True)
        found = self.read()
        assert found is not None
        return found

    def matching(self, wanted: str) -> bytes | None:
        """Return the key of this fingerprint, None where there is none; raises SettingsError for what is no key.

        Looks for the successor of a rotation that was killed, or has just ended, too.
        """
        for look in (self.read, partial(self._settled, wanted), self.read):
            found = look()
            if found is not None and fingerprint(found) == wanted:
                return found
        return None

    def prepare(self, key: bytes) -> None:
        """Put a successor beside the file, durably; raises ControlKeyError where the key is in no file of ours."""
        place = self._beside(fingerprint(key))
        if place is None:
            raise ControlKeyError(
                "control_key_set", f"The control key is set in {self.place}, which only you can change.",
                f"Name a file with the new one: --new-key-file FILE; {_MADE_WITH}", "THUMBWHEEL_CONTROL_KEY",
            )  # fmt: skip
        try:
            write_whole(place, (key.hex() + "\n").encode(), durable=True)
        except OSError as error:
            raise self._wrong(f"cannot be replaced: {error}") from error

    def drop(self, key: bytes) -> None:
        """Remove a successor that the store was not sealed for."""
        if (place := self._beside(fingerprint(key))) is not None:
            place.unlink(missing_ok=True)

    def _settled(self, wanted: str) -> bytes | None:
        """Return the successor of this fingerprint, once it is in the file's place."""
        place = self._beside(wanted)
        try:
            found = self._parse(place.read_text("ascii")) if place else None
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise self._wrong(f"has a successor, {place}, that cannot be read: {error}") from error
        if found is not None and fingerprint(found) == wanted and place and self.file:
            # Another process may be doing the same; a folder that cannot be written keeps both files.
            with suppress(OSError):
                os.replace(place, self.file)
        return found

    def _beside(self, successor: str) -> Path | None:
        """Return where a successor is kept until the store is sealed for it: a name of its own, so none is lost."""
        return self.file.with_name(f"{self.file.name}.{successor}") if self.file and not self.text else None

    def _parse(self, text: str) -> bytes:
        try:
            key = bytes.fromhex(text.strip())
        except ValueError:
            key = b""
        if len(key) != KEY_BYTES:
            raise self._wrong("is no control key: it is not 64 hexadecimal digits")
        return key

    def _wrong(self, why: str) -> SettingsError:
        return SettingsError("control_key", f"{self.place} {why}.", _MADE_WITH, "THUMBWHEEL_CONTROL_KEY")


class Seals:
    """Seals and opens with one control key. Thread-safe."""

    def __init__(self, key: bytes) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._cipher = AESGCM(key)
        self.fingerprint = fingerprint(key)
        self._mac_key = hmac.digest(key, b"thumbwheel control mac v1", "sha256")

    def seal(self, key_id: str, plain: bytes) -> bytes:
        """Return what the store keeps for this key."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, plain, key_id.encode())

    def open(self, key_id: str, sealed: bytes) -> bytes | None:
        """Return what was sealed for this key; None for anything else."""
        from cryptography.exceptions import InvalidTag

        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], key_id.encode())
        except (InvalidTag, ValueError):
            return None

    def mac(self, text: str) -> str:
        """Return a code for a text that only who has the control key can make (HMAC-SHA-256, base64url)."""
        made = hmac.digest(self._mac_key, text.encode("utf-8", "surrogatepass"), "sha256")
        return urlsafe_b64encode(made).rstrip(b"=").decode()


def fingerprint(key: bytes) -> str:
    """Return what tells control keys apart and gives nothing away."""
    return hmac.new(key, b"thumbwheel control key v1", sha256).hexdigest()[:16]


def claim(engine: sa.Engine) -> Seals:
    """Return the seals of a store whose tables are there; the first to claim one decides which control key it has.

    Raises ControlKeyError where the key is missing or another one, SettingsError where it is none, sqlalchemy's errors.
    """
    looked = False
    while True:
        try:
            with engine.begin() as connection:
                return claim_in(connection)
        except sa.exc.IntegrityError:
            continue  # Another process was first: its fingerprint counts.
        except ControlKeyError:
            if looked:
                raise
            looked = True  # A rotation may have come between the look at the store and that at the key.


def forget(engine: sa.Engine) -> None:
    """Forget which control key the store has; raises ThumbwheelError where it is at hand."""
    try:
        claim(engine)
    except ControlKeyError:
        with engine.begin() as connection:
            connection.execute(fingerprints.delete())
        return
    raise ThumbwheelError("not_lost", "The control key is not lost: it fits.", "Leave it as it is.")


def claim_in(connection: sa.Connection) -> Seals:
    """Do that in a transaction."""
    control_key: ControlKey = connection.get_execution_options()[OPTION]
    wanted = connection.execute(sa.select(fingerprints.c.fingerprint)).scalar()
    if wanted is None:
        key = control_key.make()
        connection.execute(fingerprints.insert().values(number=1, fingerprint=fingerprint(key)))
        return Seals(key)
    found = control_key.matching(wanted)
    if found is not None:
        return Seals(found)
    found = control_key.read()
    if found is None:
        raise ControlKeyError(
            "control_key_missing",
            f"The signing keys in the control store are sealed, and their control key is not at {control_key.place}.",
            "Put that file back (a backup of the home holds it), or set THUMBWHEEL_CONTROL_KEY or _FILE; "
            "thumbwheel keys reseal goes on without it.", "THUMBWHEEL_CONTROL_KEY",
        )  # fmt: skip
    raise ControlKeyError(
        "control_key_wrong",
        f"The control key of {control_key.place} is {fingerprint(found)}; this control store's is {wanted}.",
        "Use the control key of this store, every service the same one; thumbwheel keys reseal goes on without it.",
        "THUMBWHEEL_CONTROL_KEY",
    )  # fmt: skip


def in_force(connection: sa.Connection, *, held: bool = False) -> str | None:
    """Return the fingerprint of the control key the store is sealed for.

    `held`: it stays that until the transaction ends; in SQLite it does once that has written something.
    """
    asked = sa.select(fingerprints.c.fingerprint)
    return connection.execute(asked.with_for_update(read=True) if held else asked).scalar()
