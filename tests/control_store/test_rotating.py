"""The control key is replaced while services run; killed at any point, nothing that was signed is lost."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.errors import SettingsError, ThumbwheelError
from contract.signing import signing_key
from control_store.control import Control, CreatedKey
from control_store.engine import open_engine
from control_store.rotating import Rotated, rotate_control_key
from control_store.sealing import ControlKey, fingerprint
from runtime.settings import Settings

ROOT = Path(__file__).parents[2]
KEYS = 20


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    (tmp_path / "secrets").mkdir()
    return tmp_path / "secrets" / "control.key"


@pytest.fixture
def running(control_url: str, key_file: Path) -> Iterator[Control]:
    """The control store of a service that runs."""
    control = Control.open(control_url, control_key=ControlKey("", key_file))
    yield control
    control.close()


def rotate(control_url: str, key_file: Path, to: ControlKey | None = None) -> Rotated:
    engine = open_engine(control_url, ControlKey("", key_file))
    try:
        return rotate_control_key(engine, to)
    finally:
        engine.dispose()


def opens(control: Control, made: list[CreatedKey]) -> bool:
    return all(control.signing_key("shop", one.key_id) == signing_key(one.key) for one in made)


def test_a_good_control_key_is_replaced_and_running_services_go_on(
    running: Control, control_url: str, key_file: Path
) -> None:
    made = [running.create_key("shop", "secret") for _ in range(KEYS)]
    before = key_file.read_text()
    rotated = rotate(control_url, key_file)
    after = bytes.fromhex(key_file.read_text())
    assert key_file.read_text() != before and stat.S_IMODE(key_file.stat().st_mode) == 0o600
    assert rotated == Rotated(fingerprint(bytes.fromhex(before)), fingerprint(after), KEYS)
    running.refresh()
    assert opens(running, made)
    # The old key opens nothing any more.
    old = Control.open(control_url, control_key=ControlKey("", key_file))
    old.close()
    with pytest.raises(ThumbwheelError, match="this control store's is") as caught:
        Control.open(control_url, control_key=ControlKey(before.strip()))
    assert caught.value.code == "control_key_wrong"
    assert sorted(path.name for path in key_file.parent.iterdir()) == [".control.key.lock", "control.key"]


def test_a_service_that_has_not_noticed_makes_keys_for_the_new_control_key(
    running: Control, control_url: str, key_file: Path
) -> None:
    first = running.create_key("shop", "secret")
    rotate(control_url, key_file)
    later = running.create_key("shop", "secret")
    fresh = Control.open(control_url, control_key=ControlKey("", key_file))
    assert opens(fresh, [first, later])
    fresh.close()


def test_keys_made_while_it_is_rotated_again_and_again_can_all_be_opened(
    running: Control, control_url: str, key_file: Path
) -> None:
    made: list[CreatedKey] = []
    problems: list[BaseException] = []
    done = threading.Event()

    def make() -> None:
        try:
            while not done.is_set():
                made.append(running.create_key("shop", "secret"))
        except BaseException as error:  # noqa: BLE001  (told by the test)
            problems.append(error)

    maker = threading.Thread(target=make)
    maker.start()
    rotations = [rotate(control_url, key_file) for _ in range(8)]
    done.set()
    maker.join()
    assert problems == []
    assert [one.after for one in rotations[:-1]] == [one.before for one in rotations[1:]]
    fresh = Control.open(control_url, control_key=ControlKey("", key_file))
    assert made and opens(fresh, made)
    fresh.close()


@pytest.mark.parametrize(("at", "new"), [
    ("key_store.seal_anew", False), ("ControlKey.matching", True), ("os.replace", False), ("os.rename", True),
])  # fmt: skip
def test_killed_at_any_point_one_of_the_two_keys_is_in_force_and_at_hand(
    running: Control, control_url: str, key_file: Path, at: str, new: bool
) -> None:
    made = [running.create_key("shop", "secret") for _ in range(3)]
    before = key_file.read_text()
    program = KILLED.format(where=AT[at])
    ended = subprocess.run(
        [sys.executable, "-c", program, control_url, str(key_file)], cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)}, check=False, timeout=60,
    )  # fmt: skip
    assert ended.returncode == -signal.SIGKILL
    fresh = Control.open(control_url, control_key=ControlKey("", key_file))
    assert opens(fresh, made)
    assert (key_file.read_text() != before) == new, "opening it ends what was begun"
    running.refresh()
    assert opens(running, made)
    # And the next one works.
    rotate(control_url, key_file)
    running.refresh()
    assert opens(running, made)
    fresh.close()


KILLED = """
import os, signal, sys
from pathlib import Path
from control_store import key_store, rotating, sealing
from control_store.engine import open_engine

def die(*given, **named):
    os.kill(os.getpid(), signal.SIGKILL)

{where}
rotating.rotate_control_key(open_engine(sys.argv[1], sealing.ControlKey("", Path(sys.argv[2]))))
"""
# Before the new key is beside the old one; in the transaction; after it; with the new one already in place.
AT = {
    "os.replace": "os.replace = die",
    "key_store.seal_anew": "key_store.seal_anew = die",
    "ControlKey.matching": "ready = rotating.claim\nrotating.claim = lambda engine: (ready(engine), "
    "setattr(sealing.ControlKey, 'matching', die))[0]",
    "os.rename": "class Dying(rotating.Rotated):\n    __init__ = die\nrotating.Rotated = Dying",
}


def test_a_key_that_only_its_owner_can_change_is_replaced_by_one_from_a_file(
    running: Control, control_url: str, key_file: Path, tmp_path: Path
) -> None:
    made = [running.create_key("shop", "secret")]
    text, new = key_file.read_text().strip(), tmp_path / "new.key"
    engine = open_engine(control_url, ControlKey(text))
    with pytest.raises(ThumbwheelError, match="only you can change") as caught:
        rotate_control_key(engine)
    assert "--new-key-file" in caught.value.hint
    with pytest.raises(ThumbwheelError, match="There is no file"):
        rotate_control_key(engine, ControlKey("", new))
    for wrong in ("", "abc", text[:-2], "zz" * 32):
        new.write_text(wrong)
        with pytest.raises(SettingsError, match="64 hexadecimal"):
            rotate_control_key(engine, ControlKey("", new))
    new.write_text(text)
    with pytest.raises(ThumbwheelError, match="is the old one"):
        rotate_control_key(engine, ControlKey("", new))
    running.refresh()
    assert opens(running, made), "nothing has changed"
    new.write_text("c3" * 32)
    assert rotate_control_key(engine, ControlKey("", new)).keys == 1
    engine.dispose()
    fresh = Control.open(control_url, control_key=ControlKey("c3" * 32))
    assert opens(fresh, made)
    # A service that has the old one still goes on with what it knows.
    with pytest.raises(ThumbwheelError, match="this control store's is"):
        running.refresh()
    assert opens(running, made)
    fresh.close()


def test_a_lost_control_key_is_not_rotated(running: Control, control_url: str, key_file: Path) -> None:
    key_file.unlink()
    with pytest.raises(ThumbwheelError, match="are sealed") as caught:
        rotate(control_url, key_file)
    assert "reseal" in caught.value.hint and not list(key_file.parent.glob("control.key*"))


def test_signing_keys_that_were_lost_before_stay_lost_and_cost_no_others(home: Path) -> None:
    settings = Settings(home=home)
    control = Control.of(settings)
    lost = control.create_key("shop", "secret")
    control.close()
    (home / "control.key").unlink()
    assert [key.key_id for key in Control.reseal(settings)] == [lost.key_id]
    kept = Control.of(settings).create_key("shop", "secret")
    assert rotate(settings.control_url, settings.control_key_path).keys == 1
    control = Control.of(settings)
    assert opens(control, [kept]) and control.signing_key("shop", lost.key_id) is None
