"""Console users and their sessions in the control store; passwords and sessions' tokens only as hashes.

A session ends when its person logs out, when it was not used for a while or is two weeks old, when the password is
changed, and when the person is disabled or removed.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from contract.errors import ThumbwheelError
from control_store import key_store
from control_store.key_store import digest

ROLES = ("viewer", "annotator", "reviewer", "manager", "admin")
# Whose answers a person's are in a task; being logged in makes nobody an expert.
TIERS = ("crowd", "agent", "expert")
# What a session is called where people see it: enough of its hash to tell sessions apart.
SESSION_ID_LENGTH = 12
# That a session is used is written down at most so often: not with every request of a page.
NOTE_USE = timedelta(minutes=1)
LEAST_PASSWORD = 8

metadata = sa.MetaData()
_users = sa.Table(
    "users", metadata,
    sa.Column("name", sa.String(128), primary_key=True),
    sa.Column("password", sa.String(300), nullable=False),
    sa.Column("role", sa.String(16), nullable=False),
    sa.Column("created_at", sa.DateTime, nullable=False),
    sa.Column("disabled_at", sa.DateTime),
    sa.Column("tier", sa.String(16)),
)  # fmt: skip
_sessions = sa.Table(
    "sessions", metadata,
    sa.Column("token_hash", sa.String(64), primary_key=True),
    sa.Column("user", sa.String(128), nullable=False),
    sa.Column("expires_at", sa.DateTime, nullable=False),
    sa.Column("created_at", sa.DateTime),
    sa.Column("used_at", sa.DateTime),
    sa.Column("address", sa.String(64)),
)  # fmt: skip


@dataclass(frozen=True)
class User:
    """A console user; role is one of ROLES, tier of TIERS. Who is disabled cannot log in."""

    name: str
    role: str
    disabled: bool = False
    tier: str = "agent"


@dataclass(frozen=True)
class Session:
    """A live session, as people see it; times are UTC. It ends at `expires_at`, or unused for the idle time before."""

    session_id: str
    user: str
    created_at: datetime
    used_at: datetime
    expires_at: datetime
    address: str


def hash_password(password: str) -> str:
    """Return a salted scrypt hash (RFC 7914; n=2^14, r=8, p=1)."""
    salt = secrets.token_bytes(16)
    return f"scrypt${salt.hex()}${hashlib.scrypt(password.encode(), salt=salt, n=2**14, r=8, p=1).hex()}"


def _password_matches(password: str, stored: str) -> bool:
    _, salt, wanted = stored.split("$")
    found = hashlib.scrypt(password.encode(), salt=bytes.fromhex(salt), n=2**14, r=8, p=1).hex()
    return hmac.compare_digest(found, wanted)


# Of the form of a stored password, and that of none: it takes as long to compare with.
_NOBODY = f"scrypt${secrets.token_hex(16)}${secrets.token_hex(64)}"


def create(engine: sa.Engine, name: str, password: str, role: str | None) -> User:
    """Create a user, or set the password (and the role, where given) of one, which ends that user's sessions."""
    if role is not None and role not in ROLES:
        raise ThumbwheelError("user_role", f"Unknown role {role!r}.", f"Use one of {', '.join(ROLES)}.")
    if not 0 < len(name) <= 128 or len(password) < LEAST_PASSWORD:
        hint = f"Use {LEAST_PASSWORD} characters or more."
        raise ThumbwheelError("user_password", "A user needs a name and a password.", hint)
    values = {"password": hash_password(password)} | ({"role": role} if role else {})
    with engine.begin() as connection:
        if not connection.execute(_users.update().where(_users.c.name == name).values(**values)).rowcount:
            row = {"role": "viewer", "created_at": key_store.now()} | values
            connection.execute(_users.insert().values(name=name, **row))
        connection.execute(_sessions.delete().where(_sessions.c.user == name))
        return _user(connection.execute(sa.select(_users).where(_users.c.name == name)).one())


def list_all(engine: sa.Engine) -> list[User]:
    """Return the users by name."""
    with engine.connect() as connection:
        return [_user(row) for row in connection.execute(sa.select(_users).order_by(_users.c.name))]


def check(engine: sa.Engine, name: str, password: str) -> User | None:
    """Return the user when the password is right and they may log in; takes equally long for unknown names."""
    with engine.connect() as connection:
        row = connection.execute(sa.select(_users).where(_users.c.name == name)).first()
    matches = _password_matches(password, row.password if row else _NOBODY)
    return _user(row) if row and matches and row.disabled_at is None else None


def set_disabled(engine: sa.Engine, name: str, disabled: bool) -> None:
    """Bar a user, which ends their sessions, or let them in again. Raises ThumbwheelError for an unknown name."""
    with engine.begin() as connection:
        values = {"disabled_at": key_store.now() if disabled else None}
        _found(connection.execute(_users.update().where(_users.c.name == name).values(**values)).rowcount, name)
        if disabled:
            connection.execute(_sessions.delete().where(_sessions.c.user == name))


def set_tier(engine: sa.Engine, name: str, tier: str) -> None:
    """Say whose answers a user's are in tasks; raises ThumbwheelError for an unknown tier or name."""
    if tier not in TIERS:
        raise ThumbwheelError("user_tier", f"Unknown tier {tier!r}.", f"Use one of {', '.join(TIERS)}.")
    with engine.begin() as connection:
        _found(connection.execute(_users.update().where(_users.c.name == name).values(tier=tier)).rowcount, name)


def find(engine: sa.Engine, name: str) -> User | None:
    """Return the user of a name."""
    with engine.connect() as connection:
        row = connection.execute(sa.select(_users).where(_users.c.name == name)).first()
    return None if row is None else _user(row)


def remove(engine: sa.Engine, name: str) -> None:
    """Remove a user and their sessions; what they did stays. Raises ThumbwheelError for an unknown name."""
    with engine.begin() as connection:
        _found(connection.execute(_users.delete().where(_users.c.name == name)).rowcount, name)
        connection.execute(_sessions.delete().where(_sessions.c.user == name))


def log_out(engine: sa.Engine, name: str, session_id: str | None) -> int:
    """End the sessions of a user, or one of them; return how many. Raises ThumbwheelError for an unknown name or id."""
    which = [_sessions.c.user == name]
    if session_id is not None:
        which.append(sa.func.substr(_sessions.c.token_hash, 1, SESSION_ID_LENGTH) == session_id)
    with engine.begin() as connection:
        _found(connection.execute(sa.select(sa.func.count()).where(_users.c.name == name)).scalar() or 0, name)
        ended = connection.execute(_sessions.delete().where(*which)).rowcount
    if session_id is not None and not ended:
        raise ThumbwheelError(
            "unknown_session", f"{name} has no session {session_id!r}.", "thumbwheel users sessions lists them."
        )
    return ended


def list_sessions(engine: sa.Engine, idle: timedelta) -> list[Session]:
    """Return the live sessions, the one used last first."""
    wanted = sa.select(_sessions).where(*_live(idle)).order_by(_sessions.c.used_at.desc(), _sessions.c.token_hash)
    with engine.connect() as connection:
        return [
            Session(
                row.token_hash[:SESSION_ID_LENGTH], row.user, row.created_at, row.used_at, row.expires_at,
                row.address or "",
            )
            for row in connection.execute(wanted)
        ]  # fmt: skip


def start_session(engine: sa.Engine, user: User, lasts: timedelta, idle: timedelta, address: str) -> str:
    """Return a new session's token; only its hash is stored."""
    token, now = secrets.token_urlsafe(32), key_store.now()
    row = {"token_hash": digest(token), "user": user.name, "address": address[:64]}
    with engine.begin() as connection:
        connection.execute(_sessions.delete().where(sa.not_(sa.and_(*_live(idle)))))
        connection.execute(_sessions.insert().values(**row, created_at=now, used_at=now, expires_at=now + lasts))
    return token


def find_session(engine: sa.Engine, token: str, idle: timedelta) -> User | None:
    """Return the user of a live session, and note that it is used."""
    now, token_hash = key_store.now(), digest(token)
    query = (
        sa.select(_users, _sessions.c.used_at)
        .join(_sessions, _sessions.c.user == _users.c.name)
        .where(_sessions.c.token_hash == token_hash, _users.c.disabled_at.is_(None), *_live(idle))
    )
    with engine.connect() as connection:
        row = connection.execute(query).first()
    if row is None:
        return None
    if now - row.used_at >= NOTE_USE:
        with engine.begin() as connection:
            connection.execute(_sessions.update().where(_sessions.c.token_hash == token_hash).values(used_at=now))
    return _user(row)


def end_session(engine: sa.Engine, token: str) -> None:
    """Log out."""
    with engine.begin() as connection:
        connection.execute(_sessions.delete().where(_sessions.c.token_hash == digest(token)))


def _live(idle: timedelta) -> list[sa.ColumnElement[bool]]:
    now = key_store.now()
    lives = [_sessions.c.expires_at > now]
    return [*lives, _sessions.c.used_at > now - idle] if idle else lives


def _found(rows: int, name: str) -> None:
    if not rows:
        raise ThumbwheelError("unknown_user", f"There is no user {name!r}.", "thumbwheel users list shows them.")


def _user(row: sa.Row[tuple[object, ...]]) -> User:
    return User(row.name, row.role, row.disabled_at is not None, row.tier or "agent")
