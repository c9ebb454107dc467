"""Keys over time: rotated with an overlap, expired also while the store is away, and every change written down."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NoReturn

import pytest
import sqlalchemy as sa

from contract import signing as signing_module
from contract.errors import ThumbwheelError
from contract.signing import sign_candidate, signing_key, verify_candidate
from control_store import control as control_module
from control_store import key_store
from control_store.control import Control
from tests.postgresql import CONTROL_KEY

DAY = timedelta(days=1)


@pytest.fixture
def control(control_url: str) -> Iterator[Control]:
    opened = Control.open(control_url, control_key=CONTROL_KEY)
    yield opened
    opened.close()


def later(monkeypatch: pytest.MonkeyPatch, by: timedelta) -> None:
    """Let the control store's clock run ahead."""
    monkeypatch.setattr(key_store, "now", lambda: datetime.now(UTC).replace(tzinfo=None) + by)


def test_a_rotated_key_and_its_successor_both_work_until_the_overlap_ends(
    control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = control.create_key("shop", "public", ["https://shop.example", "null"], "web")
    new, expires = control.rotate_key(old.key_id, DAY)
    found = control.find_key(new.key)
    assert found is not None and found.key_id != old.key_id
    assert (found.project, found.kind, found.name) == ("shop", "public", "web")
    assert found.origins == ("https://shop.example", "null")
    assert abs(expires - (datetime.now(UTC).replace(tzinfo=None) + DAY)) < timedelta(minutes=1)
    later(monkeypatch, DAY - timedelta(minutes=1))
    assert control.find_key(old.key) is not None
    later(monkeypatch, DAY + timedelta(minutes=1))
    assert control.find_key(old.key) is None
    assert control.find_key(new.key) is not None


def test_what_a_rotated_key_signed_stays_valid_after_it_expired(
    control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = control.create_key("shop", "secret")
    new, _ = control.rotate_key(old.key_id, DAY)
    ids = [sign_candidate(signing_key(made.key), made.key_id, "shop", "i-1") for made in (old, new)]
    for by in (timedelta(0), 2 * DAY):
        later(monkeypatch, by)
        assert all(verify_candidate(control.signing_key, "shop", "i-1", name, "u-1") for name in ids)


def test_a_key_expires_also_while_the_store_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    control = Control.open(f"sqlite:///{tmp_path}/control.db")
    old = control.create_key("shop", "public", ["https://old.example"])
    control.rotate_key(old.key_id, DAY)
    other = control.create_key("shop", "secret")
    control.close()
    (tmp_path / "control.db").write_bytes(b"broken" * 1000)
    monkeypatch.setattr(control_module, "CACHE_SECONDS", -1.0)
    assert control.find_key(old.key) is not None
    later(monkeypatch, 2 * DAY)
    assert control.find_key(old.key) is None
    assert control.find_key(other.key) is not None


def test_an_expired_key_s_origins_are_no_longer_answered(control: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    old = control.create_key("shop", "public", ["https://old.example"])
    control.rotate_key(old.key_id, DAY)
    control.revoke_key(control.list_keys()[-1].key_id)
    assert control.origins() == {"https://old.example"}
    later(monkeypatch, 2 * DAY)
    assert control.origins() == frozenset()


def test_a_key_of_the_mounted_file_expires_too(
    control_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "tw_sec_mounted"
    entry = {
        "key_id": "kfile", "kind": "secret", "key_sha256": key_store.digest(text),
        "signing_key": signing_key(text).hex(), "expires_at": (datetime.now(UTC) + DAY).isoformat(),
    }  # fmt: skip
    (tmp_path / "keys.json").write_text(json.dumps([entry]))
    control = Control.open(control_url, str(tmp_path / "keys.json"), control_key=CONTROL_KEY)
    assert control.find_key(text) is not None
    later(monkeypatch, 2 * DAY)
    assert control.find_key(text) is None


def test_a_key_is_rotated_once_however_many_try_at_a_time(control: Control, control_url: str) -> None:
    made = control.create_key("shop", "secret")
    outcomes: list[str] = []

    def rotate() -> None:
        mine = Control.open(control_url, control_key=CONTROL_KEY)
        try:
            outcomes.append(mine.rotate_key(made.key_id, DAY)[0].key_id)
        except ThumbwheelError as error:
            outcomes.append(error.code)
        mine.close()

    threads = [threading.Thread(target=rotate) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("unknown_key") == 3
    assert len(control.list_keys()) == 2


@pytest.mark.parametrize("how", ["unknown", "revoked", "rotated"])
def test_a_key_that_does_not_go_on_for_ever_cannot_be_rotated(control: Control, how: str) -> None:
    made = control.create_key("shop", "secret")
    if how == "revoked":
        control.revoke_key(made.key_id)
    elif how == "rotated":
        control.rotate_key(made.key_id, DAY)
    before = len(control.list_keys()), len(control.list_key_changes("shop"))
    with pytest.raises(ThumbwheelError, match="could be rotated") as caught:
        control.rotate_key("knobody" if how == "unknown" else made.key_id, DAY)
    assert caught.value.hint
    assert (len(control.list_keys()), len(control.list_key_changes("shop"))) == before


def test_every_change_is_written_down_with_who_and_when_and_without_secrets(control: Control) -> None:
    first = control.create_key("shop", "public", ["https://shop.example"], "web", by="ada")
    second, expires = control.rotate_key(first.key_id, DAY, by="bo")
    control.revoke_key(second.key_id, by="cy")
    control.revoke_key(second.key_id, by="too late")
    service = control.create_key("shop", "service", by="ada")
    control.create_key("bank", "secret", by="eve")
    changes = control.list_key_changes("shop")
    assert [(c.action, c.key_id, c.changed_by) for c in changes] == [
        ("created", service.key_id, "ada"), ("revoked", second.key_id, "cy"), ("rotated", first.key_id, "bo"),
        ("created", first.key_id, "ada"),
    ]  # fmt: skip
    assert (changes[2].successor, changes[2].expires_at) == (second.key_id, expires)
    assert all(datetime.now(UTC).replace(tzinfo=None) - change.at < timedelta(minutes=1) for change in changes)
    with control.engine.connect() as stored:
        rows = str(stored.execute(sa.text("SELECT * FROM key_changes")).fetchall())
    for made in (first, second, service):
        assert made.key not in rows and key_store.digest(made.key) not in rows


def test_a_store_made_before_keys_could_expire_is_taken_over(control_url: str, control: Control) -> None:
    made = control.create_key("shop", "secret")
    with control.engine.begin() as stored:
        stored.execute(sa.text("ALTER TABLE keys DROP COLUMN expires_at"))
        stored.execute(sa.text("DROP TABLE key_changes"))
        stored.execute(sa.text("DROP TABLE alembic_version"))
    opened = Control.open(control_url, control_key=CONTROL_KEY)
    assert opened.find_key(made.key) is not None
    assert opened.rotate_key(made.key_id, DAY)[0].key
    opened.close()


class Untouched(str):
    """A text that may be hashed by SHA-256 after encoding, and compared with nothing."""

    def __eq__(self, other: object) -> NoReturn:
        raise AssertionError("a key's text was compared")

    def __hash__(self) -> int:
        raise AssertionError("a key's text was looked up")


def test_a_key_s_text_is_compared_with_nothing_only_its_digest_is_looked_up(control: Control) -> None:
    made = control.create_key("shop", "secret")
    assert control.find_key(Untouched(made.key)) is not None
    assert control.find_key(Untouched(made.key[:-1] + "~")) is None
    assert set(control._by_hash) == {key_store.digest(made.key)}


def test_a_candidate_s_signature_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    key = signing_key("tw_sec_x")
    right = sign_candidate(key, "k1", "shop", "i-1")
    compared: list[tuple[str, str]] = []
    real = signing_module.hmac.compare_digest
    monkeypatch.setattr(signing_module.hmac, "compare_digest", lambda a, b: compared.append((a, b)) or real(a, b))
    assert verify_candidate(lambda project, key_id: key, "shop", "i-1", right, "u-1")
    assert not verify_candidate(lambda project, key_id: key, "shop", "i-1", right[:-1] + "~", "u-1")
    assert [given for given, _ in compared] == [right.split(".")[3], right.split(".")[3][:-1] + "~"]


def test_a_key_is_given_other_origins_and_the_audit_log_says_who_did_it(control: Control) -> None:
    made = control.create_key("shop", "public", ["https://shop.example"])
    assert control.set_origins(made.key_id, ["https://new.example/", "https://NEW.example", "null"], by="ada")
    found = control.find_key(made.key)
    assert found is not None and found.origins == ("https://new.example", "null")
    assert control.origins() == {"https://new.example", "null"}
    latest = control.list_key_changes("shop")[0]
    assert (latest.action, latest.key_id, latest.changed_by) == ("origins", made.key_id, "ada")
    with pytest.raises(ThumbwheelError, match="has a path"):
        control.set_origins(made.key_id, ["https://shop.example/chat"])
    assert not control.set_origins("k-unknown", [])
    control.revoke_key(made.key_id)
    assert not control.set_origins(made.key_id, ["https://shop.example"])
    assert [one.action for one in control.list_key_changes("shop")] == ["revoked", "origins", "created"]
