"""A private PostgreSQL for tests: initdb into a folder of its own, on a free port, as an unprivileged user."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path
from uuid import uuid4

import sqlalchemy as sa

from control_store.sealing import ControlKey
from tests.kafka_broker import free_port

PASSWORD = "only-for-tests"
# A store on PostgreSQL has no folder beside it to keep one in.
CONTROL_KEY = ControlKey("5a" * 32)
OTHERS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


def programs() -> Path | None:
    """Return the folder of initdb and pg_ctl: Debian keeps them out of PATH. None where PostgreSQL is absent."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    if found:
        return found[-1].parent
    named = shutil.which("pg_ctl")
    return Path(named).resolve().parent if named else None


class PostgreSQL:
    """One cluster; can be stopped and started again on the same port."""

    def __init__(self, folder: Path) -> None:
        """Use `programs()`; the cluster is removed by `remove`."""
        self._bin = folder
        self._port = free_port()
        self._emptied: list[str] = []
        # Not under pytest's folders, which only root may enter; the server refuses to run as root.
        self._home = Path(tempfile.mkdtemp(prefix="thumbwheel-pg-"))
        self._user = "nobody" if os.getuid() == 0 else None
        if self._user:
            os.chown(self._home, pwd.getpwnam(self._user).pw_uid, -1)

    def create(self) -> PostgreSQL:
        """Make the cluster and start it."""
        password = self._home / "password"
        password.write_text(PASSWORD)
        if self._user:
            os.chown(password, pwd.getpwnam(self._user).pw_uid, -1)
        self._run(
            "initdb", "--pgdata", "data", "--username", "tw", "--pwfile", "password", "--auth", "scram-sha-256",
            "--encoding", "UTF8", "--no-sync",
        )  # fmt: skip
        return self.start()

    def start(self) -> PostgreSQL:
        """Start it and wait until it answers."""
        options = f"-h 127.0.0.1 -p {self._port} -k {self._home} -F"
        self._run("pg_ctl", "start", "-D", "data", "-w", "-t", "60", "-l", "server.log", "-o", options)
        return self

    def stop(self) -> None:
        """End it at once, connections and all."""
        self._run("pg_ctl", "stop", "-D", "data", "-m", "immediate", "-w")

    def database(self) -> str:
        """Return the address of an empty database: one that was given back, else a new one."""
        return self._emptied.pop() if self._emptied else self._create_database()

    def give_back(self, url: str) -> None:
        """Empty a database for the next test, which is faster than making one, unless somebody still uses it."""
        engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            others = connection.execute(sa.text(OTHERS)).scalar_one()
            if not others:
                connection.execute(sa.text("DROP SCHEMA public CASCADE"))
                connection.execute(sa.text("CREATE SCHEMA public"))
                self._emptied.append(url)
        engine.dispose()

    def _create_database(self) -> str:
        name = f"tw_{uuid4().hex[:12]}"
        engine = sa.create_engine(self._url("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(sa.text(f"CREATE DATABASE {name}"))
        engine.dispose()
        return self._url(name).replace("+psycopg", "")

    def _url(self, name: str) -> str:
        return f"postgresql+psycopg://tw:{PASSWORD}@127.0.0.1:{self._port}/{name}"

    def files(self) -> Path:
        """Return the folder everything is stored in, the write-ahead log too."""
        return self._home / "data"

    def remove(self) -> None:
        """Stop and delete."""
        if (self.files() / "postmaster.pid").exists():
            self.stop()
        shutil.rmtree(self._home, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        with (self._home / "output.txt").open("ab") as output:
            done = subprocess.run(
                [str(self._bin / program), *arguments], cwd=self._home, user=self._user, stdout=output, stderr=output,
                stdin=subprocess.DEVNULL, timeout=120, check=False,
            )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{program}: {(self._home / 'output.txt').read_text()[-2000:]}")
