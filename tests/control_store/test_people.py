"""Console users and their sessions: what ends a session, and who may not log in."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from contract.errors import ThumbwheelError
from control_store import key_store
from control_store.control import Control, User
from runtime.settings import Settings, load_settings
from tests.postgresql import CONTROL_KEY

PASSWORD = "correct horse"


@pytest.fixture
def control(control_url: str) -> Iterator[Control]:
    opened = Control.open(control_url, control_key=CONTROL_KEY)
    yield opened
    opened.close()


@pytest.fixture
def ann(control: Control) -> User:
    return control.create_user("ann", PASSWORD, "viewer")


def later(monkeypatch: pytest.MonkeyPatch, by: timedelta) -> None:
    """Let the control store's clock run ahead."""
    monkeypatch.setattr(key_store, "now", lambda: datetime.now(UTC).replace(tzinfo=None) + by)


def test_a_changed_password_ends_that_user_s_sessions_and_nobody_else_s(control: Control, ann: User) -> None:
    bob = control.create_user("bob", PASSWORD)
    mine, theirs = [control.create_session(ann) for _ in range(2)], control.create_session(bob)
    control.create_user("ann", "another horse", None)
    assert [control.find_session(token) for token in mine] == [None, None]
    assert control.find_session(theirs) == bob
    assert [user.role for user in control.list_users()] == ["viewer", "admin"], "the role stays unless told"


def test_who_is_disabled_is_logged_out_and_stays_out_until_enabled(control: Control, ann: User) -> None:
    token = control.create_session(ann)
    control.disable_user("ann")
    assert control.find_session(token) is None and control.check_user("ann", PASSWORD) is None
    assert control.create_user("ann", "another horse").disabled, "a new password lets nobody in"
    assert control.check_user("ann", "another horse") is None
    control.enable_user("ann")
    assert control.check_user("ann", "another horse") is not None and control.find_session(token) is None


def test_a_session_made_while_a_user_is_being_disabled_is_none(control: Control, ann: User) -> None:
    control.disable_user("ann")
    assert control.find_session(control.create_session(ann)) is None


def test_who_is_removed_is_gone_with_their_sessions(control: Control, ann: User) -> None:
    token = control.create_session(ann)
    control.remove_user("ann")
    control.create_user("ann", PASSWORD)
    assert control.find_session(token) is None, "another person of that name does not get them"


def test_a_session_ends_when_it_is_not_used(control: Control, ann: User, monkeypatch: pytest.MonkeyPatch) -> None:
    token = control.create_session(ann)
    for hours in (11, 22, 33):
        later(monkeypatch, timedelta(hours=hours))
        assert control.find_session(token) == ann, "used within twelve hours"
    later(monkeypatch, timedelta(hours=45, minutes=1))
    assert control.find_session(token) is None
    assert control.list_sessions() == []


def test_a_session_that_is_used_every_hour_ends_after_two_weeks(
    control: Control, ann: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = control.create_session(ann)
    for hours in range(0, 14 * 24, 8):
        later(monkeypatch, timedelta(hours=hours))
        assert control.find_session(token) == ann
    later(monkeypatch, timedelta(days=14, minutes=1))
    assert control.find_session(token) is None


def test_the_idle_end_is_a_setting_and_none_when_zero(home: object, monkeypatch: pytest.MonkeyPatch) -> None:
    short = load_settings({"THUMBWHEEL_HOME": str(home), "THUMBWHEEL_SESSION_IDLE_HOURS": "0.5"})
    control = Control.of(short)
    token = control.create_session(control.create_user("ann", PASSWORD))
    endless = Control.of(Settings(home=short.home, session_idle_hours=0))
    later(monkeypatch, timedelta(minutes=31))
    assert control.find_session(token) is None
    later(monkeypatch, timedelta(days=13))
    assert endless.find_session(token) is not None
    with pytest.raises(ThumbwheelError, match="SESSION_IDLE_HOURS"):
        load_settings({"THUMBWHEEL_SESSION_IDLE_HOURS": "-1"})


def test_sessions_are_listed_without_what_would_open_them_and_ended_one_by_one(control: Control, ann: User) -> None:
    tokens = [control.create_session(ann, f"192.0.2.{n}") for n in range(3)]
    listed = control.list_sessions()
    assert {(one.user, one.address) for one in listed} == {("ann", f"192.0.2.{n}") for n in range(3)}
    assert not any(token in repr(listed) or key_store.digest(token) in repr(listed) for token in tokens)
    (first,) = [one for one in listed if one.address == "192.0.2.0"]
    assert control.log_out_user("ann", first.session_id) == 1
    assert [control.find_session(token) is None for token in tokens] == [True, False, False]
    assert control.log_out_user("ann") == 2 and control.list_sessions() == []


@pytest.mark.parametrize("do", ["disable_user", "enable_user", "remove_user", "log_out_user"])
def test_an_unknown_name_is_an_error_with_a_hint(control: Control, ann: User, do: str) -> None:
    with pytest.raises(ThumbwheelError, match="no user 'bob'") as caught:
        getattr(control, do)("bob")
    assert "users list" in caught.value.hint


def test_a_session_of_another_user_is_not_ended_by_its_id(control: Control, ann: User) -> None:
    token = control.create_session(control.create_user("bob", PASSWORD))
    (bobs,) = control.list_sessions()
    with pytest.raises(ThumbwheelError, match="no session"):
        control.log_out_user("ann", bobs.session_id)
    assert control.find_session(token) is not None
