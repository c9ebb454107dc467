"""Settings: where they come from, which wins, and the line that names a wrong one."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.errors import SettingsError
from runtime.settings import (
    Bind,
    Settings,
    check_processor,
    load_settings,
    parse_bind,
    parse_bytes,
    without_secrets,
)  # fmt: skip


def refusal(folder: Path, **env: str) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        load_settings({f"THUMBWHEEL_{name}": value for name, value in env.items()}, folder)
    assert caught.value.hint
    return caught.value


def test_with_nothing_set_everything_lies_under_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load_settings({})
    assert settings.home == tmp_path / "data"
    assert settings.log_url == f"sqlite:///{tmp_path}/data/log/events.db"
    assert settings.control_url == f"sqlite:///{tmp_path}/data/control.db"
    assert settings.collector_bind.url == "http://127.0.0.1:8700"


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "thumbwheel.toml").write_text('home = "/srv/a"\npartitions = 4\ncollector_bind = "0.0.0.0:9000"\n')
    settings = load_settings({"THUMBWHEEL_HOME": "/srv/b"}, tmp_path)
    assert (settings.home, settings.partitions) == (Path("/srv/b"), 4)
    assert settings.collector_bind == Bind("0.0.0.0", 9000)
    assert settings.collector_bind.url == "http://127.0.0.1:9000"


@pytest.mark.parametrize("value", ["sqlite:////srv/log.db", "kafka://a:9092,b:9092?security_protocol=SSL"])
def test_a_log_address_is_taken_as_it_is(tmp_path: Path, value: str) -> None:
    assert load_settings({"THUMBWHEEL_LOG": value}, tmp_path).log_url == value


@pytest.mark.parametrize(
    ("text", "on"), [("true", True), ("1", True), ("Yes", True), ("false", False), ("0", False), ("OFF ", False)]
)
def test_a_switch_is_on_or_off(tmp_path: Path, text: str, on: bool) -> None:
    assert load_settings({"THUMBWHEEL_TRAIN_ON_IMPORT": text}, tmp_path).train_on_import is on
    (tmp_path / "thumbwheel.toml").write_text(f"train_on_import = {str(on).lower()}")
    assert load_settings({}, tmp_path).train_on_import is on
    assert "true or false" in refusal(tmp_path, TRAIN_ON_IMPORT="perhaps").hint


def test_an_unknown_setting_is_named_and_the_known_ones_are_listed(tmp_path: Path) -> None:
    error = refusal(tmp_path, HOEM="/srv")
    assert "THUMBWHEEL_HOEM" in error.message and "THUMBWHEEL_HOME" in error.hint


def test_an_unknown_name_in_the_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "thumbwheel.toml").write_text("hoem = 'x'\n")
    assert "hoem in thumbwheel.toml" in refusal(tmp_path).message


@pytest.mark.parametrize(("name", "value"), [
    ("COLLECTOR_BIND", "8700"), ("COLLECTOR_BIND", "host:0"), ("COLLECTOR_BIND", "host:99999"), ("GATEWAY_BIND", ""),
    ("PARTITIONS", "many"), ("TRAIN_EVERY_DAYS", "weekly"), ("LOG", "postgres://x"), ("PROMOTE_MIN_RATE", "1.5"),
    ("PROCESSOR_MEMORY", "much"), ("PROCESSOR_MEMORY", "-1GiB"), ("PROCESSOR_MEMORY", "255MiB"),
])  # fmt: skip
def test_a_malformed_setting_is_named(tmp_path: Path, name: str, value: str) -> None:
    assert f"THUMBWHEEL_{name}" in refusal(tmp_path, **{name: value}).message


@pytest.mark.parametrize(("address", "shown"), [
    ("sqlite:////srv/log.db", "sqlite:////srv/log.db"), ("postgresql://tw:secret@host:5432/db", "postgresql://host:5432/db"),
    ("kafka://h1:9092,h2:9092?sasl_plain_password=secret", "kafka://h1:9092,h2:9092"), ("secret?", "secret"),
])  # fmt: skip
def test_an_address_is_shown_without_what_is_secret_in_it(address: str, shown: str) -> None:
    assert without_secrets(address) == shown


def test_a_malformed_log_address_is_refused_without_its_password(tmp_path: Path) -> None:
    assert "secret" not in refusal(tmp_path, LOG="kafak://h:9092?sasl_plain_password=secret").line()


@pytest.mark.parametrize("content", ["home = [1]", "home", "[table]\na = 1", "home = 'a'\nhome = 'b'"])
def test_a_broken_file_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "thumbwheel.toml").write_text(content)
    assert "thumbwheel.toml" in refusal(tmp_path).message


@pytest.mark.parametrize("name", [
    "COLLECTOR_SERVICE_HOST", "COLLECTOR_SERVICE_PORT", "COLLECTOR_SERVICE_PORT_HTTP", "COLLECTOR_PORT",
    "COLLECTOR_PORT_8700_TCP", "COLLECTOR_PORT_8700_TCP_ADDR",
])  # fmt: skip
def test_what_kubernetes_puts_into_the_environment_is_ignored(tmp_path: Path, name: str) -> None:
    assert load_settings({f"THUMBWHEEL_{name}": "tcp://10.0.0.1:8700"}, tmp_path).partitions == 0


def test_other_programs_variables_are_not_ours(tmp_path: Path) -> None:
    assert load_settings({"PATH": "/bin", "THUMBWHEELS": "x"}, tmp_path) == load_settings({}, tmp_path)


@given(st.text())
def test_any_text_is_an_address_or_a_clear_refusal(text: str) -> None:
    try:
        bind = parse_bind(text)
    except ValueError:
        return
    assert 0 < bind.port < 65536 and str(bind).startswith(bind.host + ":")


def test_every_setting_is_in_the_reference() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "settings.md").read_text()
    missing = [name for name in Settings.__dataclass_fields__ if f"THUMBWHEEL_{name.upper()}" not in page]
    assert missing == []


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"THUMBWHEEL_PARTS": "/parts", "THUMBWHEEL_PROCESSOR_NAME": "p-0"}, "parts_without_kafka"),
        ({"THUMBWHEEL_PARTS": "/parts", "THUMBWHEEL_LOG": "kafka://h:9092"}, "processor_unnamed"),
    ],
)
def test_a_processor_that_cannot_share_says_why_and_other_services_start(settings: dict[str, str], code: str) -> None:
    loaded = load_settings(settings)
    with pytest.raises(SettingsError) as refused:
        check_processor(loaded)
    assert refused.value.code == code
    assert refused.value.hint


@pytest.mark.parametrize(
    ("name", "value"),
    [("HOLDS", "some"), ("NAME", "a b"), ("NAME", "x" * 101), ("SESSION_S", "1"), ("SESSION_S", "9999")],
)
def test_a_malformed_setting_of_several_processors_names_it(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings({f"THUMBWHEEL_PROCESSOR_{name}": value})
    assert refused.value.field == f"THUMBWHEEL_PROCESSOR_{name}"


@pytest.mark.parametrize(("text", "size"), [
    ("1073741824", 2**30), ("4GiB", 4 * 2**30), ("4Gi", 4 * 2**30), ("4 gib", 4 * 2**30), ("2GB", 2 * 10**9),
    ("1.5G", 1_500_000_000), ("512 MiB", 2**29), ("3b", 3),
])  # fmt: skip
def test_bytes_may_have_a_unit(text: str, size: int) -> None:
    assert parse_bytes(text) == size


def test_memory_that_is_malformed_is_answered_with_what_to_write(tmp_path: Path) -> None:
    assert "4GiB" in refusal(tmp_path, PROCESSOR_MEMORY="4 gigs").hint
    assert load_settings({"THUMBWHEEL_PROCESSOR_MEMORY": "4GiB"}, tmp_path).processor_memory == "4GiB"


def test_the_file_has_a_table_of_settings_for_training_runs(tmp_path: Path) -> None:
    (tmp_path / "thumbwheel.toml").write_text(
        "train_min_pairs = 50\n[training]\nrank = 8\nlr = 1e-4\n[training.sft]\nepochs = 1\n"
        '[training.projects.shop]\nlr = 2e-4\nmethod = "dpo"\n'
    )
    settings = load_settings({}, tmp_path)
    assert settings.train_min_pairs == 50
    assert settings.training_of("default") == {"rank": 8, "lr": 1e-4, "sft": {"epochs": 1}}
    assert settings.training_of("shop") == {"rank": 8, "lr": 2e-4, "sft": {"epochs": 1}, "method": "dpo"}
    assert load_settings({"THUMBWHEEL_TRAINING": '{"rank": 4}'}, tmp_path).training_of("shop") == {"rank": 4}
    assert load_settings({}, tmp_path / "nowhere").training_of("shop") == {}


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("[training]\nrank = 99\n", "rank"), ("[training]\nspeed = 1\n", "speed"),
        ("[training.projects.shop]\nlr = 'fast'\n", "lr"), ("training = '['\n", "THUMBWHEEL_TRAINING"),
        ("[training]\nprojects = 3\n", "THUMBWHEEL_TRAINING"), ("training = '[1]'\n", "THUMBWHEEL_TRAINING"),
        ("[training.projects]\nshop = 3\n", None), ("training = '3'\n", "THUMBWHEEL_TRAINING"),
    ],
)  # fmt: skip
def test_a_wrong_setting_of_training_runs_ends_the_start_with_its_name(
    tmp_path: Path, content: str, names: str | None
) -> None:
    (tmp_path / "thumbwheel.toml").write_text(content)
    refused = refusal(tmp_path)
    assert (refused.code, refused.field) == ("malformed_setting", names)
