"""What lies on the disk is its owner's alone: under any umask, and in homes that were there before."""

from __future__ import annotations

import fcntl
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.private import keep_private
from runtime.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
# Everything that keeps something, under the most permissive umask; the databases stay open, so that what SQLite and
# DuckDB put beside them is there.
FILL = """
import os, sys
from pathlib import Path
os.umask(0)
from runtime.settings import Settings
settings = Settings(home=Path(sys.argv[1]))
from runtime.private import keep_private
keep_private(settings)
from cli.home import announce, ensure_dev_keys, owned
from eventlog.log import Entry
from eventlog.opening import open_log
from eventlog.spool import claim
from processor.tables.store import Store
from runtime.files import write_whole
from control_store.control import Control
with owned(settings):
    ensure_dev_keys(settings)
    announce(settings, {})
    control = Control.of(settings)
    control.create_key("default", "secret")
    log = open_log(settings.log_url)
    log.append([Entry("thumbwheel.events.v1", "k", b"{}")], 5)
    claim(settings.home / "spool")
    store = Store.open(settings.home / "processor" / "thumbwheel.duckdb")
    store.set_meta({"a": "b"})
    write_whole(settings.home / "whole", b"x")
    (settings.home / "plain").write_text("x")
    for path in sorted(settings.home.rglob("*")):
        print(oct(path.lstat().st_mode & 0o777), path.relative_to(settings.home))
    print(oct(settings.home.stat().st_mode & 0o777), "home")
"""


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_what_a_process_makes_is_its_owner_s_alone_under_any_umask(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FILL, str(tmp_path / "home")], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = dict(reversed(line.split(" ", 1)) for line in done.stdout.splitlines())
    made = {
        "control.db",
        "processor/thumbwheel.duckdb",
        "processor/thumbwheel.duckdb.wal",
        "log/events.db-wal",
        "dev.toml",
    }
    assert made <= found.keys()
    assert {name: bits for name, bits in found.items() if int(bits, 8) & 0o077} == {}


def test_the_control_store_is_private_before_its_first_byte_whoever_opens_it(tmp_path: Path) -> None:
    """A library's user sets no umask."""
    program = (
        "import os, sys; os.umask(0); from control_store.control import Control; c = Control.open(sys.argv[1]); "
        "c.create_key('a', 'secret')"
    )
    path = tmp_path / "made" / "control.db"
    subprocess.run([sys.executable, "-c", program, f"sqlite:///{path}"], cwd=ROOT, check=True)
    assert (mode(path), mode(path.parent)) == (0o600, 0o700)


def test_a_home_that_is_there_is_tightened_with_one_line(home: Path, tmp_path: Path) -> None:
    before = os.umask(0o022)
    home.chmod(0o755)
    (home / "log").mkdir(mode=0o755)
    for name in ("control.db", "control.db-wal", "log/events.db"):
        (home / name).write_text("x")
        (home / name).chmod(0o644)
    (home / "private").write_text("x")
    (home / "private").chmod(0o600)
    elsewhere, named = tmp_path / "elsewhere", tmp_path / "named.db"
    for path in (elsewhere, named):
        path.write_text("x")
        path.chmod(0o644)
    (home / "link").symlink_to(elsewhere)
    spool = tmp_path / "spool"
    spool.mkdir()
    (spool / "spool.db").write_text("x")
    (spool / "spool.db").chmod(0o666)
    settings = Settings(home=home, control=f"sqlite:///{named}", collector_spool=str(spool))
    try:
        said = keep_private(settings)
        assert said.startswith("8 files and folders of ") and said.count("\n") == 0
        assert [mode(path) for path in (home, home / "log", spool)] == [0o700] * 3
        files = (home / "control.db", home / "control.db-wal", home / "log" / "events.db", named, spool / "spool.db")
        assert [mode(path) for path in files] == [0o600] * 5
        assert mode(elsewhere) == 0o644, "a link is not followed"
        assert keep_private(settings) == ""
    finally:
        os.umask(before)


@pytest.mark.parametrize("service", ["collector", "processor", "gateway", "trainer"])
def test_every_service_tightens_its_home_before_anything_else(
    service: str, home: Path, free_port: Callable[[], int]
) -> None:
    home.chmod(0o755)
    (home / "control.db").write_bytes(b"")
    (home / "control.db").chmod(0o644)
    (home / "run").mkdir()
    port = free_port()
    names = ("COLLECTOR", "CONSOLE", "GATEWAY")
    env = {name: value for name, value in os.environ.items() if not name.startswith("THUMBWHEEL_")}
    env |= {"THUMBWHEEL_HOME": str(home), **{f"THUMBWHEEL_{name}_BIND": f"127.0.0.1:{port}" for name in names}}
    # Nothing of it starts: its port is taken, or another trainer has the home.
    with socket.socket() as taken, (home / "run" / "trainer.lock").open("w") as lock:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run(
            [sys.executable, "-m", service], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False
        )
    assert done.returncode in (1, 2), done.stderr
    assert (mode(home), mode(home / "control.db")) == (0o700, 0o600)
    assert "could be read by other users" in done.stdout + done.stderr
