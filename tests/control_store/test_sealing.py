"""Signing keys are sealed under a key outside the store: who reads the store signs nothing; a lost key is told."""

from __future__ import annotations

import sqlite3
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from contract.errors import SettingsError, ThumbwheelError
from contract.signing import sign_candidate, signing_key, verify_candidate
from control_store import key_store
from control_store.control import Control, CreatedKey
from control_store.engine import open_engine
from control_store.sealing import ControlKey, Seals, fingerprint
from runtime.settings import Settings, load_settings
from tests.postgresql import CONTROL_KEY

OTHER = ControlKey("a5" * 32)


@pytest.fixture
def sealed(home: Path) -> Iterator[tuple[Control, CreatedKey]]:
    control = Control.of(Settings(home=home))
    yield control, control.create_key("shop", "secret")
    control.close()


def test_reading_the_store_does_not_make_a_verified_vote(home: Path, sealed: tuple[Control, CreatedKey]) -> None:
    control, made = sealed
    control.close()
    rows = sqlite3.connect(home / "control.db").execute("SELECT key_id, signing_key, key_hash FROM keys").fetchall()
    read = b"".join(file.read_bytes() for file in home.glob("control.db*"))
    assert signing_key(made.key) not in read and made.key_id.encode() in read
    candidates = [bytes(rows[0][1]), bytes(rows[0][1])[12:44], rows[0][2].encode(), bytes.fromhex(rows[0][2])]
    candidates += [read[at : at + 32] for at in range(0, len(read) - 32)]
    for stolen in set(candidates):
        forged = sign_candidate(stolen, made.key_id, "shop", "i-1")
        if verify_candidate(control.signing_key, "shop", "i-1", forged, "u-1"):
            pytest.fail("a signing key could be read from the store")
    honest = sign_candidate(signing_key(made.key), made.key_id, "shop", "i-1")
    assert verify_candidate(control.signing_key, "shop", "i-1", honest, "u-1")


def test_the_control_key_is_a_private_file_outside_the_store(home: Path, sealed: tuple[Control, CreatedKey]) -> None:
    path = home / "control.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text().strip() not in (home / "control.db").read_bytes().decode("latin-1")
    assert Control.of(Settings(home=home)).signing_key("shop", sealed[1].key_id) == signing_key(sealed[1].key)


def test_a_sealed_key_put_in_another_key_s_place_signs_nothing(home: Path, sealed: tuple[Control, CreatedKey]) -> None:
    control, mine = sealed
    other = control.create_key("bank", "secret")
    with control.engine.begin() as connection:
        connection.execute(sa.text(
            "UPDATE keys SET signing_key = (SELECT signing_key FROM keys WHERE key_id = :mine) WHERE key_id = :other"
        ), {"mine": mine.key_id, "other": other.key_id})  # fmt: skip
    control.refresh()
    assert control.signing_key("bank", other.key_id) is None
    empty = sign_candidate(b"", other.key_id, "bank", "i-1")
    assert not verify_candidate(control.signing_key, "bank", "i-1", empty, "u-1")
    assert control.find_key(other.key) is not None, "the key itself works on"


def test_signing_keys_of_an_earlier_release_are_sealed_in_place_and_nothing_of_them_is_left(home: Path) -> None:
    settings = Settings(home=home)
    control = Control.of(settings)
    made = [control.create_key("shop", "secret") for _ in range(40)]
    control.close()
    in_the_clear(home / "control.db", made)
    assert signing_key(made[7].key) in (home / "control.db").read_bytes()
    (home / "control.key").unlink()
    opened = Control.of(settings)
    read = b"".join(file.read_bytes() for file in home.glob("control.db*"))
    for key in made:
        assert opened.signing_key("shop", key.key_id) == signing_key(key.key)
        assert signing_key(key.key) not in read


def test_an_earlier_release_s_annotators_keep_what_they_could_do(home: Path) -> None:
    control = Control.of(Settings(home=home))
    control.create_user("ann", "correct horse", "annotator")
    control.close()
    in_the_clear(home / "control.db", [])
    control = Control.of(Settings(home=home))
    assert [user.role for user in control.list_users()] == ["viewer"]


def in_the_clear(path: Path, made: list[CreatedKey]) -> None:
    """Turn a store into one of the release before."""
    with sqlite3.connect(path) as store:
        for key in made:
            store.execute("UPDATE keys SET signing_key = ? WHERE key_id = ?", (signing_key(key.key), key.key_id))
        store.execute("DROP TABLE control_key")
        for table, column in (("users", "disabled_at"), ("sessions", "created_at"), ("sessions", "used_at"),
                              ("sessions", "address")):  # fmt: skip
            store.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        store.execute("UPDATE alembic_version SET version_num = '0001'")
    store.close()


@pytest.mark.parametrize(("how", "code", "named"), [
    ("missing", "control_key_missing", "control.key"), ("another", "control_key_wrong", "5a"),
    ("cut", "control_key", "64 hexadecimal"), ("empty", "control_key", "64 hexadecimal"),
    ("folder", "control_key", "cannot be read"), ("setting", "control_key_wrong", "THUMBWHEEL_CONTROL_KEY"),
])  # fmt: skip
def test_a_control_key_that_is_not_there_or_wrong_is_an_error_with_a_hint(
    home: Path, sealed: tuple[Control, CreatedKey], how: str, code: str, named: str
) -> None:
    path, settings = home / "control.key", Settings(home=home)
    text = path.read_text()
    path.unlink()
    if how == "folder":
        path.mkdir()
    elif how == "setting":
        settings = Settings(home=home, control_key="5a" * 32)
    elif how != "missing":
        path.write_text({"another": "5a" * 32, "cut": text[:40], "empty": ""}[how])
    with pytest.raises(ThumbwheelError) as caught:
        Control.of(settings)
    assert caught.value.code == code and caught.value.hint
    shown = caught.value.line()
    assert named in shown or fingerprint(bytes.fromhex("5a" * 32)) in shown
    assert text.strip() not in shown


def test_a_store_that_comes_back_with_another_control_key_is_not_taken(
    home: Path, sealed: tuple[Control, CreatedKey]
) -> None:
    """A running service goes on with what it knows."""
    control, made = sealed
    fresh = Control(open_engine(f"sqlite:///{home / 'control.db'}", OTHER))
    fresh._read_or_go_on(threading.Event())
    assert fresh.signing_key("shop", made.key_id) is None
    assert control.signing_key("shop", made.key_id) is not None


@pytest.mark.parametrize("given", ["text", "file"])
def test_several_processes_on_several_machines_share_it_through_a_setting(
    control_url: str, tmp_path: Path, given: str
) -> None:
    (tmp_path / "mounted").write_text(CONTROL_KEY.text)
    env = {"THUMBWHEEL_CONTROL": control_url}
    env |= {"THUMBWHEEL_CONTROL_KEY": CONTROL_KEY.text} if given == "text" else {
        "THUMBWHEEL_CONTROL_KEY_FILE": str(tmp_path / "mounted")
    }  # fmt: skip
    first = Control.of(load_settings(env | {"THUMBWHEEL_HOME": str(tmp_path / "a")}, tmp_path))
    second = Control.of(load_settings(env | {"THUMBWHEEL_HOME": str(tmp_path / "b")}, tmp_path))
    made = first.create_key("shop", "secret")
    second.refresh()
    assert second.signing_key("shop", made.key_id) == signing_key(made.key)
    assert not list(tmp_path.glob("?/control.key"))
    first.close(), second.close()


def test_a_store_without_a_folder_needs_the_setting(postgresql: object, tmp_path: Path) -> None:
    url = postgresql.database()  # type: ignore[attr-defined]
    with pytest.raises(ThumbwheelError, match="no control key") as caught:
        Control.open(url)
    assert "openssl rand -hex 32" in caught.value.hint
    made = Control.of(Settings(home=tmp_path, control=url))
    assert (tmp_path / "control.key").exists(), "one machine keeps it in its home"
    made.close()
    with pytest.raises(ThumbwheelError) as missing:
        Control.of(Settings(home=tmp_path / "another", control=url))
    assert missing.value.code == "control_key_missing"
    postgresql.give_back(url)  # type: ignore[attr-defined]


def test_seals_are_never_the_same_and_open_for_their_key_only() -> None:
    seals, plain = Seals(bytes(32)), bytes(range(32))
    assert seals.seal("k1", plain) != seals.seal("k1", plain)
    assert seals.open("k1", seals.seal("k1", plain)) == plain
    assert seals.open("k2", seals.seal("k1", plain)) is None
    for damaged in (b"", b"x" * 11, b"x" * 60, plain):
        assert seals.open("k1", damaged) is None


def test_the_text_of_a_control_key_is_never_shown() -> None:
    assert "5a" * 8 not in repr(CONTROL_KEY)
    with pytest.raises(SettingsError) as caught:
        ControlKey("5a" * 31).read()
    assert "5a" * 8 not in caught.value.line()


def test_a_lost_control_key_is_replaced_and_each_key_says_that_it_must_be_rotated(
    home: Path, sealed: tuple[Control, CreatedKey]
) -> None:
    control, made = sealed
    control.close()
    (home / "control.key").unlink()
    public = control.create_key("shop", "public")
    assert [key.key_id for key in Control.reseal(Settings(home=home))] == [made.key_id]
    again = Control.of(Settings(home=home))
    assert again.find_key(public.key) is not None
    assert again.find_key(made.key) is not None and again.signing_key("shop", made.key_id) is None
    new, _ = again.rotate_key(made.key_id, key_store.timedelta(0))
    assert again.signing_key("shop", new.key_id) == signing_key(new.key)
    assert Control.of(Settings(home=home)).signing_key("shop", new.key_id) is not None
    with pytest.raises(ThumbwheelError, match="is not lost"):
        Control.reseal(Settings(home=home))
