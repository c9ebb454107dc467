"""The command line as a person meets it: one line per error, JSON when asked, nothing half done."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cli.home import ensure_dev_keys, find_running, owned
from cli.main import cli
from contract.errors import ThumbwheelError
from contract.signing import signing_key
from contract.topics import EVENTS, RUNS
from control_store.control import Control
from eventlog.log import Entry
from eventlog.opening import open_log
from runtime.settings import Settings
from tests.console import greek
from tests.console.bench import open_bench
from tests.processor.tables.test_damage import damage


@pytest.fixture
def run(home: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a command in an empty home."""
    monkeypatch.setenv("THUMBWHEEL_HOME", str(home))
    return lambda *arguments: CliRunner().invoke(cli, arguments)


def all_commands() -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for name, command in cli.commands.items():
        found.append((name,))
        found += [(name, inner) for inner in getattr(command, "commands", {})]
    return found


@pytest.mark.parametrize("command", all_commands(), ids=" ".join)
def test_every_command_explains_itself(run: Any, command: tuple[str, ...]) -> None:
    said: Result = run(*command, "--help")
    assert said.exit_code == 0
    assert len(said.output.splitlines()) > 3


def test_a_misspelt_command_is_met_with_the_right_one(run: Any) -> None:
    said = run("modles")
    assert said.exit_code != 0
    assert "thumbwheel models" in said.output


@pytest.mark.parametrize(
    ("name", "value"),
    [("THUMBWHEEL_COLOUR", "blue"), ("THUMBWHEEL_GATEWAY_BIND", "nowhere"), ("THUMBWHEEL_LOG", "mysql://x")],
)
def test_a_wrong_setting_is_named_in_one_line(run: Any, monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    said = run("keys", "list")
    assert said.exit_code == 1
    assert name in said.output and "Traceback" not in said.output
    assert len(said.output.strip().splitlines()) == 1


def test_a_printed_key_works_until_it_is_revoked(run: Any, home: Path) -> None:
    made = json.loads(run("keys", "create", "public", "--origin", "https://shop.example", "--json").output)
    control = Control.open(f"sqlite:///{home / 'control.db'}")
    found = control.find_key(made["key"])
    assert found is not None and found.origins == ("https://shop.example",)
    assert made["key_id"] in run("keys", "list").output
    assert made["key"] not in run("keys", "list", "--json").output
    assert run("keys", "revoke", made["key_id"]).exit_code == 0
    control.refresh()
    assert control.find_key(made["key"]) is None
    assert run("keys", "revoke", made["key_id"]).exit_code == 1


def test_a_key_is_rotated_with_an_overlap_and_the_audit_log_says_who_did_it(run: Any, home: Path) -> None:
    old = json.loads(run("keys", "create", "secret", "--name", "backend", "--json").output)
    new = json.loads(run("keys", "rotate", old["key_id"], "--overlap", "2h", "--json").output)
    assert new["replaces"] == old["key_id"] and new["key"].startswith("tw_sec_")
    control = Control.open(f"sqlite:///{home / 'control.db'}")
    assert control.find_key(old["key"]) is not None and control.find_key(new["key"]) is not None
    listed = {row["key_id"]: row for row in json.loads(run("keys", "list", "--json").output)}
    assert (listed[old["key_id"]]["state"], listed[new["key_id"]]["state"]) == ("expiring", "live")
    assert listed[old["key_id"]]["expires_at"] == new["old_expires_at"]
    assert run("keys", "revoke", old["key_id"]).exit_code == 0
    audit = json.loads(run("keys", "audit", "--json").output)
    assert [row["action"] for row in audit] == ["revoked", "rotated", "created"]
    assert all(row["changed_by"].startswith("command line: ") for row in audit)
    said = run("keys", "audit").output
    assert "rotated" in said and not any(made["key"] in said for made in (old, new))


@pytest.mark.parametrize("overlap", ["", "24", "1.5h", "-1h", "soon"])
def test_an_overlap_that_is_no_duration_rotates_nothing(run: Any, overlap: str) -> None:
    made = json.loads(run("keys", "create", "secret", "--json").output)
    said = run("keys", "rotate", made["key_id"], "--overlap", overlap)
    assert said.exit_code == 1 and "24h" in said.output
    assert [row["state"] for row in json.loads(run("keys", "list", "--json").output)] == ["live"]


def test_a_public_key_needs_an_origin(run: Any) -> None:
    said = run("keys", "create", "public")
    assert said.exit_code == 1 and "--origin" in said.output


def test_a_console_user_is_made_and_listed_without_the_password(run: Any, home: Path) -> None:
    assert run("users", "create", "ada", "--role", "reviewer", "--password", "correct horse").exit_code == 0
    assert "reviewer" in run("users", "list").output
    control = Control.open(f"sqlite:///{home / 'control.db'}")
    assert control.check_user("ada", "correct horse") is not None
    assert run("users", "create", "bob", "--password", "short").exit_code == 1


def test_commands_that_need_a_running_service_say_so(run: Any, home: Path) -> None:
    for command in (("models",), ("dataset", "build"), ("lineage", "x"), ("promote", "ad-000000000000")):
        said = run(*command)
        assert said.exit_code == 1
        assert "thumbwheel up" in said.output and "Traceback" not in said.output


def test_an_import_is_counted_before_it_is_done(run: Any, tmp_path: Path) -> None:
    file = tmp_path / "pairs.json"
    row = {"conversations": [{"from": "human", "value": "hi"}], "chosen": {"from": "gpt", "value": "hello"},
           "rejected": {"from": "gpt", "value": "go away"}}  # fmt: skip
    file.write_text(json.dumps([row, {"conversations": "nonsense"}]))
    said = json.loads(run("import", str(file), "--format", "sharegpt", "--dry-run", "--json").output)
    assert (said["rows"], said["imported"], said["quarantined"]) == (2, 1, 1)
    assert run("import", str(tmp_path / "missing.json"), "--format", "sharegpt").exit_code == 1


def lines(path: Path, *rows: dict[str, Any] | str) -> str:
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    return str(path)


def test_the_status_of_an_import_says_whether_all_was_taken(run: Any, tmp_path: Path) -> None:
    good, other = {"prompt": "q", "completion": "a"}, {"prompt": "q2", "completion": "a"}
    for rows, status in (((good,), 0), ((good, other), 0), ((good, "no row"), 3), (("no row",), 3), ((), 3)):
        file = lines(tmp_path / "f.jsonl", *rows)
        for options in (["--dry-run"], ["--json"], []):
            assert run("import", file, "--format", "trl", *options).exit_code == status, (rows, options)
    assert run("import", str(tmp_path / "missing"), "--format", "trl").exit_code == 1


def test_an_import_says_each_reason_once_and_what_to_do(run: Any, tmp_path: Path) -> None:
    file = lines(tmp_path / "f.jsonl", *[{"prompt": "q", "completion": " "}] * 30, *["[1]"] * 3, *["nothing"] * 30)
    said = run("import", file, "--format", "trl").output
    assert "0 of 63 rows imported, 0 unchanged, 0 repeated, 63 quarantined." in said
    assert "row 1: a reply is empty (29 more like it)" in said
    assert said.count("a reply is empty") == 1 and "33 more were refused for other reasons." in said
    pretty = tmp_path / "pretty.jsonl"
    pretty.write_text(json.dumps({"data": [{"prompt": "q"}]}, indent=1) * 2)
    said = run("import", str(pretty), "--format", "trl").output
    assert "1 row was not read." in said and said.count("hint: ") == 1


def test_an_import_says_that_it_may_start_training_and_what_stops_that(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"prompt": f"q{n}", "chosen": "a", "rejected": "b"} for n in range(3)]
    file = lines(tmp_path / "f.jsonl", *rows)
    assert "TRAIN_ON_IMPORT" not in run("import", file, "--format", "trl", "--dry-run").output
    said = run("import", file, "--format", "trl").output
    assert "counted towards a run" in said and "300" in said and "THUMBWHEEL_TRAIN_ON_IMPORT=false" in said
    assert "TRAIN_ON_IMPORT" not in run("import", file, "--format", "trl").output
    monkeypatch.setenv("THUMBWHEEL_TRAIN_MIN_PAIRS", "3")
    assert "enough for a run" in run("import", file, "--format", "trl", "--project", "second").output
    monkeypatch.setenv("THUMBWHEEL_TRAIN_ON_IMPORT", "false")
    assert "start no training" in run("import", file, "--format", "trl", "--project", "third").output


def test_a_corrected_file_is_imported_with_replace(run: Any, tmp_path: Path) -> None:
    row = {"prompt": "q", "chosen": "a", "rejected": "b", "annotator": "ann"}
    assert run("import", lines(tmp_path / "1", row), "--format", "trl").exit_code == 0
    corrected = lines(tmp_path / "2", {**row, "chosen": "b", "rejected": "a"})
    said = run("import", corrected, "--format", "trl")
    assert said.exit_code == 3 and "hint: Import with --replace" in said.output
    said = run("import", corrected, "--format", "trl", "--replace")
    assert said.exit_code == 0 and "1 of 1 rows imported (1 in the place of earlier ones)" in said.output
    assert "1 unchanged" in run("import", corrected, "--format", "trl").output


def test_doctor_looks_at_this_machine(run: Any) -> None:
    said = run("doctor", "--json")
    names = {finding["what"] for finding in json.loads(said.output.split("\nerror")[0])}
    assert {"Python", "home", "SQLite of the log", "base model", "log", "tables"} <= names


def test_doctor_names_a_damaged_block_of_the_tables(run: Any, home: Path) -> None:
    def tables() -> dict[str, str]:
        findings = json.loads(run("doctor", "--json").output.split("\nerror")[0])
        return next(finding for finding in findings if finding["what"] == "tables")

    assert tables()["state"] == "not made yet"
    with open_bench(home) as bench:
        greek.tell(bench)
    assert tables()["state"].endswith(" rows, whole")
    damage(home / "processor" / "thumbwheel.duckdb", "events")
    assert tables()["state"].startswith("bad: ") and "is damaged: Corrupt database file" in tables()["state"]
    assert tables()["hint"] == "Move it aside: the next start makes it again from the log."


def test_the_development_credentials_are_private_and_kept(home: Path) -> None:
    settings = Settings(home=home)
    first = ensure_dev_keys(settings)
    file = home / "dev.toml"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert ensure_dev_keys(settings) == first
    control = Control.of(settings)
    key = control.find_key(first.public)
    assert key is not None and "http://127.0.0.1:8703" in key.origins and "http://localhost:8703" in key.origins
    assert control.check_user(first.user, first.password) is not None
    (home / "control.db").unlink()
    again = ensure_dev_keys(settings)
    assert again != first
    assert Control.of(settings).find_key(again.secret) is not None


def test_one_home_runs_once(home: Path) -> None:
    settings = Settings(home=home)
    with owned(settings), pytest.raises(ThumbwheelError, match="already runs"), owned(settings):
        pass
    assert find_running(home) is None


def test_a_log_is_copied_once_and_what_cannot_be_copied_is_said_in_a_line(run: Any, home: Path, tmp_path: Path) -> None:
    source, target = f"sqlite:///{tmp_path / 'a.db'}", f"sqlite:///{tmp_path / 'b.db'}"
    log = open_log(source)
    log.append([Entry(EVENTS, "k", b"{}"), Entry(RUNS, "k", b"{}")])
    log.close()
    copied = json.loads(run("log", "copy", source, target, "--json").output)["copied"]
    assert (copied[EVENTS], copied[RUNS]) == (1, 1)
    for arguments, why in (
        ((source, target), "holds records"),
        ((source, source), "one log"),
        ((f"sqlite:///{tmp_path / 'nowhere.db'}", target), "no log at"),
        (("nonsense", target), "not a log address"),
    ):
        refused = run("log", "copy", *arguments)
        assert refused.exit_code == 1
        assert why in refused.output and len(refused.output.strip().splitlines()) == 1
    assert not (tmp_path / "nowhere.db").exists()


def test_wrong_origins_and_projects_make_no_key_and_the_list_shows_each_origin_whole(run: Any) -> None:
    for origin in ("*", "https://*", "https://shop.example/path", "shop.example"):
        said = run("keys", "create", "public", "--origin", origin)
        assert said.exit_code == 1 and "hint: " in said.output, origin
    assert run("keys", "create", "secret", "--project", "../x").exit_code == 1
    assert run("keys", "create", "secret", "--origin", "https://shop.example").exit_code == 1
    assert "No keys yet" in run("keys", "list").output
    origins = [f"https://a-rather-long-name-of-a-host-{n}.of-a-shop.example" for n in range(5)]
    arguments = [part for origin in (*origins, "https://*.shop.example", "null") for part in ("--origin", origin)]
    assert run("keys", "create", "public", "--name", "a name that is long as well", *arguments).exit_code == 0
    shown = run("keys", "list").output
    assert all(origin in shown for origin in origins) and "…" not in shown
    assert "scheme, host and port" in shown and "every host below shop.example" in shown and "sandboxed" in shown
    assert json.loads(run("keys", "list", "--json").output)[0]["origins"].split()[:5] == origins


@pytest.mark.parametrize("name", ["../else", "my shop", "", ".hidden", "a/b", "\u5546\u5e97"])
def test_a_project_whose_name_is_none_is_refused_before_anything_is_done(run: Any, name: str) -> None:
    said = run("import", "nothing.jsonl", "--project", name)
    assert said.exit_code == 1 and "is not a project name" in said.output and "hint:" in said.output


def test_the_control_key_is_rotated_and_the_command_says_where_it_is(run: Any, home: Path, tmp_path: Path) -> None:
    made = json.loads(run("keys", "create", "secret", "--json").output)
    service = Control.of(Settings(home=home))
    told = json.loads(run("keys", "rotate-control-key", "--json").output)
    assert told["keys"] == 1 and told["before"] != told["after"]
    service.refresh()
    assert service.signing_key("default", made["key_id"]) == signing_key(made["key"])
    said = run("keys", "rotate-control-key").output
    assert str(home / "control.key") in said and told["after"] in said
    (tmp_path / "short.key").write_text("abc")
    for name, why in (("short.key", "64 hexadecimal digits"), ("none.key", "There is no file")):
        refused = run("keys", "rotate-control-key", "--new-key-file", str(tmp_path / name))
        assert refused.exit_code == 1 and why in refused.output and "hint:" in refused.output
