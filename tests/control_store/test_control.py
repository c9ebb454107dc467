"""The control store: keys that are stored as hashes, users, sessions, and the mounted file of key hashes."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from contract.errors import SettingsError, ThumbwheelError
from contract.signing import sign_candidate, signing_key, verify_candidate
from control_store import control as control_module
from control_store.control import Control
from control_store.engine import ControlUnavailable
from tests.postgresql import CONTROL_KEY


@pytest.fixture
def url(control_url: str) -> str:
    return control_url


@pytest.fixture
def control(url: str) -> Iterator[Control]:
    opened = Control.open(url, control_key=CONTROL_KEY)
    yield opened
    opened.close()


@pytest.fixture
def no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every look-up reads the store and the file again."""
    monkeypatch.setattr(control_module, "CACHE_SECONDS", -1.0)


# -- keys


def test_requests_wait_together_for_keys_that_are_read_again(
    control: Control, no_cache: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, read, joiners = control.create_key("shop", "secret").key, control_module.key_store.read_keys, []

    def slowly(engine: sa.Engine) -> Any:
        time.sleep(0.2)
        return read(engine)

    # Two that join one thread may both fail before Python 3.13, with an assertion of its own.
    monkeypatch.setattr(threading.Thread, "join", lambda *_: joiners.append(threading.current_thread()))
    monkeypatch.setattr(control_module.key_store, "read_keys", slowly)
    with ThreadPoolExecutor(8) as pool:
        asking = [pool.submit(control.find_key, key) for _ in range(8)]
        found = [one.result(timeout=30) for one in asking]
        waited = list(joiners)
        monkeypatch.undo()
    assert all(one is not None and one.project == "shop" for one in found)
    assert waited == []


def test_a_key_is_found_by_its_text_with_its_project_and_origins(control: Control) -> None:
    made = control.create_key("shop", "public", ["https://shop.example", "https://*.shop.example"], "web")
    key = control.find_key(made.key)
    assert key is not None and made.key.startswith("tw_pub_")
    assert (key.key_id, key.project, key.kind, key.name) == (made.key_id, "shop", "public", "web")
    assert key.origins == ("https://shop.example", "https://*.shop.example")
    assert control.find_key(made.key + "x") is None and control.find_key("") is None


def test_a_key_s_text_is_nowhere_on_the_disk(
    control: Control, url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    made = control.create_key("shop", "secret")
    control.close()
    on_sqlite = url.startswith("sqlite")
    folder = tmp_path / "home" if on_sqlite else request.getfixturevalue("postgresql").files()
    files = [file.read_bytes() for file in folder.rglob("*") if file.is_file()]
    assert any(made.key_id.encode() in body for body in files)
    assert not any(made.key.encode() in body for body in files)


def test_a_key_of_an_unknown_kind_is_refused(control: Control) -> None:
    with pytest.raises(ThumbwheelError, match="Unknown kind") as caught:
        control.create_key("shop", "master")
    assert "public, secret, service" in caught.value.hint


def test_a_revoked_key_is_not_found_but_what_it_signed_stays_valid(control: Control) -> None:
    made = control.create_key("shop", "secret")
    candidate = sign_candidate(signing_key(made.key), made.key_id, "shop", "i-1")
    assert control.revoke_key(made.key_id) and not control.revoke_key(made.key_id)
    assert control.find_key(made.key) is None
    assert verify_candidate(control.signing_key, "shop", "i-1", candidate, "u-1")
    assert [key.revoked for key in control.list_keys("shop")] == [True]


def test_a_service_key_serves_every_project(control: Control) -> None:
    made = control.create_key("shop", "service")
    key = control.find_key(made.key)
    assert key is not None and key.project == "*"
    assert control.signing_key("any", made.key_id) == signing_key(made.key)


def test_a_public_key_signs_no_candidates(control: Control) -> None:
    made = control.create_key("shop", "public")
    forged = sign_candidate(signing_key(made.key), made.key_id, "shop", "i-1")
    assert not verify_candidate(control.signing_key, "shop", "i-1", forged, "u-1")


def test_another_project_s_key_does_not_verify(control: Control) -> None:
    made = control.create_key("shop", "secret")
    candidate = sign_candidate(signing_key(made.key), made.key_id, "bank", "i-1")
    assert not verify_candidate(control.signing_key, "bank", "i-1", candidate, "u-1")


def test_a_key_made_by_another_process_works_within_a_second(
    control: Control, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert control.find_key("tw_sec_unknown") is None
    made = Control.open(url, control_key=CONTROL_KEY).create_key("shop", "secret")
    monkeypatch.setattr(control, "_read_at", control._read_at - 1.1)
    assert control.find_key(made.key) is not None


def test_known_keys_work_while_the_store_is_broken(tmp_path: Path, no_cache: None) -> None:
    control = Control.open(f"sqlite:///{tmp_path}/control.db")
    made = control.create_key("shop", "secret")
    assert control.find_key(made.key) is not None
    control.close()
    (tmp_path / "control.db").write_bytes(b"broken" * 1000)
    assert control.find_key(made.key) is not None
    assert control.signing_key("shop", made.key_id) is not None


def test_projects_are_those_with_keys_and_default(control: Control) -> None:
    assert control.projects() == ["default"]
    control.create_key("shop", "public")
    control.create_key("any", "service")
    assert control.projects() == ["default", "shop"]


def test_a_store_that_cannot_be_opened_is_an_error_with_a_hint(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(ThumbwheelError) as caught:
        Control.open(f"sqlite:///{tmp_path}/folder")
    assert "THUMBWHEEL_CONTROL" in caught.value.hint


# -- users and sessions


def test_a_user_logs_in_with_the_right_password_only(control: Control) -> None:
    control.create_user("ann", "correct horse", "annotator")
    user = control.check_user("ann", "correct horse")
    assert user is not None and user.role == "annotator"
    assert control.check_user("ann", "correct hors") is None
    assert control.check_user("bob", "correct horse") is None


def test_an_unknown_name_takes_as_much_hashing_as_a_wrong_password(
    control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    control.create_user("ann", "correct horse")
    work: list[tuple[int, dict[str, int]]] = []
    scrypt = hashlib.scrypt

    def counted(password: bytes, *, salt: bytes, **cost: int) -> bytes:
        work.append((len(salt), cost))
        return scrypt(password, salt=salt, **cost)

    monkeypatch.setattr(hashlib, "scrypt", counted)
    assert control.check_user("ann", "correct hors") is None
    assert control.check_user("bob", "correct hors") is None
    assert len(work) == 2
    assert work[0] == work[1]


def test_starting_hashes_no_password() -> None:
    # It would keep every process of ours waiting for a tenth of a second.
    program = "import hashlib\nhashlib.scrypt = None\nimport control_store.control"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


def test_setting_a_password_again_replaces_it_and_the_role(control: Control) -> None:
    control.create_user("ann", "first password", "viewer")
    control.create_user("ann", "second password", "admin")
    assert control.check_user("ann", "first password") is None
    assert [(user.name, user.role) for user in control.list_users()] == [("ann", "admin")]


@pytest.mark.parametrize(("name", "password", "role"), [
    ("", "long enough", "admin"), ("ann", "short", "admin"), ("ann", "long enough", "king"),
])  # fmt: skip
def test_a_user_without_name_password_or_role_is_refused(control: Control, name: str, password: str, role: str) -> None:
    with pytest.raises(ThumbwheelError) as caught:
        control.create_user(name, password, role)
    assert caught.value.hint


def test_a_session_ends_when_told_or_when_it_expires(control: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    user = control.create_user("ann", "correct horse")
    token = control.create_session(user)
    assert control.find_session(token) == user and control.find_session(token + "x") is None
    control.end_session(token)
    assert control.find_session(token) is None
    monkeypatch.setattr(control_module, "SESSION_DAYS", -1)
    assert control.find_session(control.create_session(user)) is None


# -- the mounted file


def entry(text: str, **changes: Any) -> dict[str, Any]:
    return {
        "key_id": "kfile", "project": "shop", "kind": "secret", "key_sha256": hashlib.sha256(text.encode()).hexdigest(),
        "signing_key": signing_key(text).hex(), "origins": ["https://shop.example"], "name": "mounted",
    } | changes  # fmt: skip


@pytest.fixture
def keys_file(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps([entry("tw_sec_mounted")]))
    return path


def test_a_key_of_the_mounted_file_works_beside_the_store(url: str, keys_file: Path) -> None:
    control = Control.open(url, str(keys_file), control_key=CONTROL_KEY)
    made = control.create_key("bank", "public")
    key = control.find_key("tw_sec_mounted")
    assert key is not None and (key.key_id, key.project, key.origins) == ("kfile", "shop", ("https://shop.example",))
    assert control.find_key(made.key) is not None
    candidate = sign_candidate(signing_key("tw_sec_mounted"), "kfile", "shop", "i-1")
    assert verify_candidate(control.signing_key, "shop", "i-1", candidate, "u-1")
    assert control.projects() == ["bank", "default", "shop"]
    assert {listed.key_id for listed in control.list_keys()} == {"kfile", made.key_id}
    assert [listed.key_id for listed in control.list_keys("bank")] == [made.key_id]


def test_a_changed_file_is_read_again_also_when_it_was_swapped_as_kubernetes_does(
    url: str, tmp_path: Path, no_cache: None
) -> None:
    for number, text in enumerate(("tw_sec_old", "tw_sec_new")):
        (tmp_path / f"data-{number}").write_text(json.dumps([entry(text)]))
    mounted = tmp_path / "keys.json"
    mounted.symlink_to(tmp_path / "data-0")
    control = Control.open(url, str(mounted), control_key=CONTROL_KEY)
    assert control.find_key("tw_sec_old") is not None
    (tmp_path / "next").symlink_to(tmp_path / "data-1")
    os.replace(tmp_path / "next", mounted)
    assert control.find_key("tw_sec_old") is None
    assert control.find_key("tw_sec_new") is not None


@pytest.mark.parametrize("content", [None, "", "{", "[{}]"])
def test_a_file_that_becomes_unreadable_leaves_the_keys_in_force(
    url: str, keys_file: Path, no_cache: None, content: str | None
) -> None:
    control = Control.open(url, str(keys_file), control_key=CONTROL_KEY)
    if content is None:
        keys_file.unlink()
    else:
        keys_file.write_text(content)
    assert control.find_key("tw_sec_mounted") is not None


@pytest.mark.parametrize(("body", "named"), [
    (None, "No such file"), ("{", "array"), ("{}", "array"), (json.dumps([entry("a", kind="master")]), "kind"),
    (json.dumps([entry("a", key_sha256="abc")]), "key_sha256"), (json.dumps([entry("a", signing_key="")]), "kfile"),
    (json.dumps([entry("a", project="two words")]), "project"), (json.dumps([entry("a", key="tw_sec_a")]), "key"),
    (json.dumps([entry("a", key_id="a.b")]), "key_id"), ("[" * 5000, "cannot be used"), ("\udcff", "cannot be used"),
])  # fmt: skip
def test_a_wrong_file_stops_the_start_with_a_line_that_names_it(
    url: str, tmp_path: Path, body: str | None, named: str
) -> None:
    path = tmp_path / "keys.json"
    if body is not None:
        path.write_bytes(body.encode("utf-8", "surrogateescape"))
    with pytest.raises(SettingsError, match="THUMBWHEEL_KEYS") as caught:
        Control.open(url, str(path), control_key=CONTROL_KEY)
    assert named in caught.value.message and caught.value.field == "THUMBWHEEL_KEYS"


def test_the_file_alone_serves_while_the_store_is_away_and_beside_it_once_it_is_there(
    tmp_path: Path, keys_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "folder").mkdir()
    control = Control.open(f"sqlite:///{tmp_path}/folder", str(keys_file))
    assert control.find_key("tw_sec_mounted") is not None
    with pytest.raises(ControlUnavailable):
        control.find_key("tw_sec_other")
    (tmp_path / "folder").rmdir()
    monkeypatch.setattr(control_module, "UNKNOWN_SECONDS", -1.0)
    assert control.find_key("tw_sec_other") is None
    assert control.find_key(control.create_key("shop", "secret").key) is not None


def test_a_key_that_is_in_both_is_revoked_through_the_store(url: str, tmp_path: Path) -> None:
    control = Control.open(url, control_key=CONTROL_KEY)
    made = control.create_key("shop", "secret")
    path = tmp_path / "keys.json"
    path.write_text(json.dumps([entry(made.key, key_id=made.key_id)]))
    both = Control.open(url, str(path), control_key=CONTROL_KEY)
    assert both.find_key(made.key) is not None
    both.revoke_key(made.key_id)
    assert both.find_key(made.key) is None
