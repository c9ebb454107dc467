"""The control store: keys, console users, sessions. SQLite under the home by default, or PostgreSQL.

Neither events (secrets must not live in a log for ever) nor rebuildable. Written by console and command line,
read with a cache by collector and gateway, which go on with what they know while it is away.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar

import sqlalchemy as sa

from contract.errors import ThumbwheelError
from control_store import key_store, people
from control_store.engine import control_away, open_engine
from control_store.key_store import CreatedKey, KeyChange, SealsChanged, digest
from control_store.keys import EVERY_PROJECT, KINDS, Key, KeysFile
from control_store.migrating import load, migrate
from control_store.origins import check_origin, check_project
from control_store.people import ROLES, Session, User
from control_store.sealing import ControlKey, Seals, claim, forget, in_force
from runtime.settings import Settings

__all__ = ["KINDS", "ROLES", "Control", "CreatedKey", "Key", "KeyChange", "Session", "User"]

log = logging.getLogger(__name__)

T = TypeVar("T")

CACHE_SECONDS = 5.0
# A key made a moment ago by another process must work at once; at most one look a second.
UNKNOWN_SECONDS = 1.0
# What a request waits for a store that is slow, before it goes on with what is known.
PATIENCE_SECONDS = 1.0
SESSION_DAYS = 14
SESSION_IDLE = timedelta(hours=12)


class Control:
    """Keys, users and sessions. Thread-safe; open it after a fork."""

    def __init__(self, engine: sa.Engine, keys_file: KeysFile | None = None) -> None:
        self._engine = engine
        # How long a session may stay unused; none is no such end.
        self.session_idle = SESSION_IDLE
        self._keys_file = keys_file
        self._lock = threading.Lock()
        self._asking = threading.Lock()
        # Set once the reading that is under way has ended.
        self._reading: threading.Event | None = None
        self._seals: Seals | None = None
        self._away = False
        self._stored: dict[str, Key] = {}
        self._by_hash: dict[str, Key] = {}
        self._by_id: dict[tuple[str, str], Key] = {}
        self._read_at = float("-inf")

    @classmethod
    def of(cls, settings: Settings, *, patient: bool = False) -> Control:
        """Open the store that the settings name; `patient` as `open` has it."""
        control = cls.open(settings.control_url, settings.keys, control_key=ControlKey.of(settings), patient=patient)
        control.session_idle = timedelta(hours=settings.session_idle_hours)
        return control

    @classmethod
    def reseal(cls, settings: Settings) -> list[Key]:
        """Give the store a new control key after the old one was lost; return the keys that sign no more.

        They work on, but what they signed is verified no longer: rotate them. Raises ThumbwheelError for a control key
        that is not lost.
        """
        forget(open_engine(settings.control_url, ControlKey.of(settings)))
        control = cls.of(settings)
        return [key for key in control._stored.values() if key.kind != "public" and not key.signing_key]

    @classmethod
    def open(
        cls, url: str, keys_file: str = "", *, control_key: ControlKey | None = None, patient: bool = False
    ) -> Control:
        """Open the store, create its tables where missing, and read the keys.

        `patient`: a database that is away is no error; until it answers, `check` raises.

        `keys_file` (`THUMBWHEEL_KEYS`) names a mounted file of key hashes that serves beside the store, and alone
        while the store cannot be reached. `control_key` opens the signing keys in it; without one a file beside an
        SQLite database does. Raises ThumbwheelError, SettingsError for a file or the address.
        """
        control = cls(open_engine(url, control_key), KeysFile(keys_file) if keys_file else None)
        try:
            control.refresh()
        except sa.exc.SQLAlchemyError as error:
            away = url.startswith("postgres") and isinstance(error, sa.exc.OperationalError | sa.exc.TimeoutError)
            if control._keys_file is None and not (patient and away):
                raise ThumbwheelError(
                    "control_store", f"The control store cannot be opened: {_reason(error)}",
                    "Check THUMBWHEEL_CONTROL, and that the store runs.",
                ) from error  # fmt: skip
            if control._keys_file is None:
                log.warning("The control store is away; it is tried again. %s", _reason(error))
            else:
                log.warning("The control store is away; going on with the keys of %s.", control._keys_file.path)
            load()
            control._forget_nothing()
        return control

    @property
    def engine(self) -> sa.Engine:
        """Return the store's engine, for the other things kept there (`control_store.campaigns`)."""
        return self._engine

    def check(self) -> None:
        """Raise ControlUnavailable while no key can be known: the store has never been read, and no file has keys."""
        if self._seals is not None or self._keys_file is not None:
            return
        self._look_again(UNKNOWN_SECONDS)
        if self._seals is None:
            raise control_away()

    # -- keys

    def create_key(
        self, project: str, kind: str, origins: Sequence[str] = (), name: str = "", *, by: str = "thumbwheel"
    ) -> CreatedKey:
        """Create a key; its text is returned once and stored only as a hash. `by` goes into the audit log.

        Raises ThumbwheelError for an unknown kind, an origin that matches no page, a project that is no name.
        """
        if kind not in KINDS:
            raise ThumbwheelError("key_kind", f"Unknown kind of key {kind!r}.", f"Use one of {', '.join(KINDS)}.")
        project = EVERY_PROJECT if kind == "service" else check_project(project)
        kept = _kept(origins)
        created = self._with_seals(
            lambda seals: key_store.create(self._engine, seals, project, kind, kept, name, by)
        )  # fmt: skip
        self.refresh()
        return created

    def rotate_key(self, key_id: str, overlap: timedelta, *, by: str = "thumbwheel") -> tuple[CreatedKey, datetime]:
        """Create a key like this one and let this one expire after the overlap; return the new key and that time (UTC).

        Raises ThumbwheelError for a key that is not in the store, or does not go on for ever any more.
        """
        created = self._with_seals(lambda seals: key_store.rotate(self._engine, seals, key_id, overlap, by))
        self.refresh()
        return created

    def revoke_key(self, key_id: str, *, by: str = "thumbwheel") -> bool:
        """Revoke a key; False when there is none of that id. Other processes notice within the cache time."""
        done = key_store.revoke(self._engine, key_id, by)
        self.refresh()
        return done

    def set_origins(self, key_id: str, origins: Sequence[str], *, by: str = "thumbwheel") -> bool:
        """Let a key work from these origins and no others; False when there is none of that id.

        Other processes notice within the cache time. Raises ThumbwheelError for an origin that matches no page.
        """
        done = key_store.set_origins(self._engine, key_id, _kept(origins), by)
        self.refresh()
        return done

    def list_key_changes(self, project: str) -> list[KeyChange]:
        """Return what happened to the keys of a project and to service keys, newest first."""
        return key_store.list_changes(self._engine, project)

    def list_keys(self, project: str | None = None) -> list[Key]:
        """Return keys, oldest first, revoked ones too, and those of the mounted file."""
        keys = (self._mounted() | key_store.read_keys(self._engine)).values()
        found = [key for key in keys if project is None or key.project == project]
        return sorted(found, key=lambda key: (key.created_at, key.key_id))

    def find_key(self, text: str) -> Key | None:
        """Return the key of this text unless unknown, revoked or expired (cached).

        The text is compared with nothing: it is hashed, and its hash looked up. How long that takes says at most how
        a hash begins, from which nobody can tell a text. Raises ControlUnavailable for an unknown key while the store
        is away: it may be in there.
        """
        key_hash = digest(text)
        known = self._known().get(key_hash)
        if known is None:
            self._look_again(UNKNOWN_SECONDS)
            known = self._by_hash.get(key_hash)
        if known is None and (self._away or self._reading is not None):
            raise control_away()
        return known if known is not None and known.works(key_store.now()) else None

    def signing_key(self, project: str, key_id: str) -> bytes | None:
        """Return the signing key of a key of this project, of old ones too: what they signed may still come back.

        None for a public key: everybody knows its text, so everybody could sign with it.
        """
        self._known()
        key = self._by_id.get((project, key_id)) or self._by_id.get((EVERY_PROJECT, key_id))
        return (key.signing_key or None) if key and key.kind != "public" else None

    def projects(self) -> list[str]:
        """Return the projects that have a key, and `default`."""
        found = {key.project for key in self._known().values()} - {EVERY_PROJECT}
        return sorted(found | {"default"})

    def origins(self) -> frozenset[str]:
        """Return every origin that some working public key lists, as written there."""
        now, keys = key_store.now(), self._known().values()
        return frozenset(origin for key in keys if key.kind == "public" and key.works(now) for origin in key.origins)

    def _known(self) -> dict[str, Key]:
        if self._reading is not None or time.monotonic() - self._read_at > CACHE_SECONDS:
            self._look_again(CACHE_SECONDS)
        return self._by_hash

    def _mounted(self) -> dict[str, Key]:
        return self._keys_file.keys() if self._keys_file else {}

    def _look_again(self, every_s: float) -> None:
        """Read the keys in a thread unless that was tried within `every_s`, and wait `PATIENCE_SECONDS` for it.

        Several threads wait at a time. Before Python 3.13 a thread may not be joined by more than one: now and then
        an assertion in `threading` fails.
        """
        with self._asking:
            if self._reading is None and time.monotonic() - self._read_at > every_s:
                self._read_at = time.monotonic()
                self._reading = ended = threading.Event()
                threading.Thread(target=self._read_or_go_on, args=(ended,), name="control-read", daemon=True).start()
            reading, until = self._reading, self._read_at + PATIENCE_SECONDS
        if reading is not None:
            reading.wait(max(0.0, until - time.monotonic()))

    def _read_or_go_on(self, ended: threading.Event) -> None:
        try:
            self.refresh()
        except sa.exc.SQLAlchemyError as error:
            if not self._away:
                log.warning("The control store is away; going on with what is known. %s", _reason(error))
            self._forget_nothing()
        except ThumbwheelError as error:
            log.error("The control store is not used: %s", error.line())
            self._forget_nothing()
        finally:
            self._reading = None
            ended.set()

    def refresh(self) -> None:
        """Read all keys again; raises sqlalchemy's errors, and what is known stays."""
        with self._lock:
            self._stored = self._read()
            if self._away:
                log.warning("The control store is back.")
            self._take(away=False)

    def _read(self) -> dict[str, Key]:
        """Return the keys, opened with the control key that was in force before and after they were read."""
        seals = self._sealing()
        while True:
            found = key_store.read_keys(self._engine)
            with self._engine.connect() as connection:
                if in_force(connection) == seals.fingerprint:
                    return {text: _opened(key, seals) for text, key in found.items()}
            # It was rotated meanwhile.
            self._seals = seals = claim(self._engine)

    def _with_seals(self, write: Callable[[Seals], T]) -> T:
        """Return what `write` does; again where the control key was rotated meanwhile."""
        while True:
            try:
                return write(self._sealing())
            except SealsChanged:
                self._seals = claim(self._engine)

    def _sealing(self) -> Seals:
        if self._seals is None:
            migrate(self._engine)
            self._seals = claim(self._engine)
        return self._seals

    def _forget_nothing(self) -> None:
        with self._lock:
            self._take(away=True)

    def _take(self, away: bool) -> None:
        # The store wins, so that a key of the file can be taken over and revoked there.
        self._by_hash = self._mounted() | self._stored
        self._by_id = {(key.project, key.key_id): key for key in self._by_hash.values()}
        self._away = away
        self._read_at = time.monotonic()

    # -- users and sessions

    def create_user(self, name: str, password: str, role: str | None = "admin") -> User:
        """Create a console user, or set the password and role of one; None leaves the role of one as it is.

        That ends the sessions of who was there.
        """
        return people.create(self._engine, name, password, role)

    def list_users(self) -> list[User]:
        """Return the console users by name."""
        return people.list_all(self._engine)

    def check_user(self, name: str, password: str) -> User | None:
        """Return the user when the password is right and they may log in; takes equally long for unknown names."""
        return people.check(self._engine, name, password)

    def disable_user(self, name: str) -> None:
        """Bar a user and end their sessions; raises ThumbwheelError for an unknown name."""
        people.set_disabled(self._engine, name, True)

    def enable_user(self, name: str) -> None:
        """Let a user in again; raises ThumbwheelError for an unknown name."""
        people.set_disabled(self._engine, name, False)

    def remove_user(self, name: str) -> None:
        """Remove a user and end their sessions; raises ThumbwheelError for an unknown name."""
        people.remove(self._engine, name)

    def log_out_user(self, name: str, session_id: str | None = None) -> int:
        """End the sessions of a user, or one of them; return how many. Raises ThumbwheelError for an unknown one."""
        return people.log_out(self._engine, name, session_id)

    def list_sessions(self) -> list[Session]:
        """Return the live sessions, the one used last first."""
        return people.list_sessions(self._engine, self.session_idle)

    def create_session(self, user: User, address: str = "") -> str:
        """Return a new session token; only its hash is stored."""
        return people.start_session(self._engine, user, timedelta(days=SESSION_DAYS), self.session_idle, address)

    def find_session(self, token: str) -> User | None:
        """Return the user of a live session."""
        return people.find_session(self._engine, token, self.session_idle)

    def end_session(self, token: str) -> None:
        """Log out."""
        people.end_session(self._engine, token)

    def mac(self, text: str) -> str:
        """Return a code for a text that only who has the control key can make (HMAC-SHA-256, base64url)."""
        return self._sealing().mac(text)

    def close(self) -> None:
        """Release the connections."""
        self._engine.dispose()


def _kept(origins: Sequence[str]) -> str:
    """Return origins as the store keeps them, each once, one a line; raises ThumbwheelError for a wrong one."""
    return "\n".join(dict.fromkeys(check_origin(origin) for origin in origins))


def _opened(key: Key, seals: Seals) -> Key:
    """Return a stored key with its signing key; with none where that was sealed for another key or by another store."""
    return replace(key, signing_key=seals.open(key.key_id, key.signing_key) or b"")


def _reason(error: sa.exc.SQLAlchemyError) -> str:
    """Return the first line of what the database said."""
    return str(getattr(error, "orig", None) or error).strip().splitlines()[0]
