"""The control store's migrations: an empty store, many processes at once, and that the code and the tables agree."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import sqlalchemy as sa
from alembic.script import ScriptDirectory

from control_store import campaigns, drafts, guests, key_store, leases, migrating, people, sealing
from control_store.engine import open_engine
from control_store.migrating import HEAD, migrate

REPOSITORY = Path(__file__).parents[2]
MIGRATE = (
    "import sys; from control_store.engine import open_engine; from control_store.migrating import migrate; "
    "migrate(open_engine(sys.argv[1]))"
)
TABLES = [
    *key_store.metadata.tables.values(),
    *people.metadata.tables.values(),
    *sealing.metadata.tables.values(),
    *campaigns._metadata.tables.values(),
    *leases.metadata.tables.values(),
    *drafts.metadata.tables.values(),
    *guests.metadata.tables.values(),
]


def test_an_empty_store_gets_the_tables_that_the_code_uses(control_url: str) -> None:
    engine = open_engine(control_url)
    migrate(engine)
    migrate(engine)
    looked = sa.inspect(engine)
    for table in TABLES:
        there = {column["name"]: bool(column["nullable"]) for column in looked.get_columns(table.name)}
        assert there == {column.name: bool(column.nullable) for column in table.columns}, table.name
        keys = looked.get_pk_constraint(table.name)["constrained_columns"]
        assert keys == [column.name for column in table.primary_key], table.name
    unique = [found["column_names"] for found in looked.get_unique_constraints("keys")]
    assert unique == [["key_hash"]], "two keys never share a hash"
    engine.dispose()


def test_many_processes_may_make_it_at_once(control_url: str) -> None:
    running = [
        subprocess.Popen([sys.executable, "-c", MIGRATE, control_url], cwd=REPOSITORY, stderr=subprocess.PIPE)
        for _ in range(6)
    ]
    said = [process.communicate(timeout=60)[1].decode() for process in running]
    assert [process.returncode for process in running] == [0] * 6, said
    engine = open_engine(control_url)
    with engine.connect() as connection:
        assert connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalars().all() == [HEAD]
    engine.dispose()


def test_the_head_is_the_newest_step_and_steps_are_numbered() -> None:
    scripts = ScriptDirectory(str(Path(migrating.__file__).parent / "migrations"))
    assert scripts.get_heads() == [HEAD]
    assert sorted(step.revision for step in scripts.walk_revisions()) == [f"{n:04d}" for n in range(1, int(HEAD) + 1)]


def test_a_store_that_is_up_to_date_is_opened_without_alembic(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/control.db"
    migrate(open_engine(url))
    program = f"{MIGRATE}; sys.exit('alembic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program, url], cwd=REPOSITORY, check=False).returncode == 0
