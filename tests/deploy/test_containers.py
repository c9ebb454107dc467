"""The container files fit the product: settings, ports, modules and extras exist, and the first start works."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from control_store.control import Control
from runtime.settings import load_settings

yaml = pytest.importorskip("yaml")
REPOSITORY = Path(__file__).parents[2]
SERVICES = {"collector": 8700, "processor": 8701, "trainer": None, "gateway": 8702}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    body: dict[str, Any] = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())
    return body


@pytest.fixture(scope="module")
def dockerfile() -> str:
    return (REPOSITORY / "Dockerfile").read_text()


def stage(dockerfile: str, name: str) -> str:
    found = re.search(rf"^FROM \S+ AS {name}$(.*?)(?=^FROM |\Z)", dockerfile, re.M | re.S)
    assert found is not None, name
    return found[1]


def defaults(text: str) -> str:
    """Fill in `${NAME:-default}` as compose does when NAME is not set."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_gets_only_settings_that_exist(compose: dict[str, Any], service: str, tmp_path: Path) -> None:
    environment = {name: defaults(value) for name, value in compose["services"][service]["environment"].items()}
    settings = load_settings(environment, tmp_path)
    assert settings.log_url == "kafka://kafka:9092" and settings.home == Path("/srv/thumbwheel")


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_has_a_health_check_a_volume_and_no_rights(compose: dict[str, Any], service: str) -> None:
    body = compose["services"][service]
    assert body["healthcheck"]["test"] and body["volumes"] == ["home:/srv/thumbwheel"]
    assert body["read_only"] and body["cap_drop"] == ["ALL"]
    assert body["depends_on"]["kafka"] == {"condition": "service_healthy"}
    assert body["build"]["target"] == service


@pytest.mark.parametrize(("service", "port"), [(name, port) for name, port in SERVICES.items() if port])
def test_a_service_publishes_the_port_it_listens_on(
    compose: dict[str, Any], dockerfile: str, service: str, port: int
) -> None:
    assert [defaults(text) for text in compose["services"][service]["ports"]] == [f"127.0.0.1:{port}:{port}"]
    assert f"0.0.0.0:{port}" in stage(dockerfile, service) and f"EXPOSE {port}" in stage(dockerfile, service)
    assert f":{port}/readyz" in " ".join(compose["services"][service]["healthcheck"]["test"])


def test_a_second_processor_shares_the_partitions_where_its_profile_is_asked_for(
    compose: dict[str, Any], tmp_path: Path
) -> None:
    text = (REPOSITORY / "docker-compose.yml").read_text()
    [told] = re.findall(r"^#   THUMBWHEEL_PARTS=(\S+) docker compose --profile (\S+) up", text, re.M)
    services = compose["services"]
    assert [name for name, body in services.items() if body.get("profiles") == [told[1]]] == ["processor-worker"]
    given = {name: services[name]["environment"] for name in ("processor", "processor-worker")}
    first, second = (
        load_settings(
            {key: told[0] if key == "THUMBWHEEL_PARTS" else defaults(value) for key, value in one.items()}, tmp_path
        )
        for one in given.values()
    )
    assert first.parts == second.parts == told[0] == defaults(given["processor-worker"]["THUMBWHEEL_PARTS"])
    assert not defaults(given["processor"]["THUMBWHEEL_PARTS"])
    assert first.control_url == second.control_url and first.home != second.home
    assert first.processor_name != second.processor_name
    assert (first.processor_holds, second.processor_holds) == ("all", "own")
    own = {"profiles", "environment", "ports"}
    bodies = [{key: value for key, value in services[name].items() if key not in own} for name in given]
    assert bodies[0] == bodies[1] and "ports" not in services["processor-worker"]


@pytest.mark.parametrize("service", SERVICES)
def test_an_image_runs_its_module_without_root_and_with_its_own_extra(dockerfile: str, service: str) -> None:
    text = stage(dockerfile, service)
    module = {"gateway": "gateway"}.get(service, service)
    assert f'CMD ["python", "-m", "{module}"]' in text and "USER 10001:10001" in text
    assert f"deploy/requirements.py {service} postgresql >" in text
    for copied in re.findall(r"^COPY (\S+) ", text, re.M):
        assert (REPOSITORY / copied).exists(), copied


def test_every_copied_path_is_let_through_to_the_build(dockerfile: str) -> None:
    allowed = {line[1:] for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {path for paths in re.findall(r"^COPY (.+) \S+$", dockerfile, re.M) for path in paths.split()}
    assert copied == allowed


@pytest.mark.parametrize("extra", ["collector", "processor", "trainer", "gateway"])
def test_the_requirements_of_an_extra_are_those_of_pyproject_as_they_are_locked(extra: str) -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    command = [sys.executable, "deploy/requirements.py", extra]
    said = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    pinned = dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", said, re.M))
    assert said.count("--hash=sha256:") >= len(pinned) > 20
    declared = [Requirement(line) for line in project["dependencies"] + project["optional-dependencies"][extra]]
    for one in declared:
        name = canonicalize_name(one.name)
        assert name == "torch" or one.specifier.contains(pinned[name]), f"{one}: run make lock"
    others = {"processor": "granian", "collector": "duckdb", "gateway": "duckdb", "trainer": "flask"}
    assert (others[extra] in pinned) == (extra == "processor"), "an image holds what its own extra needs"


LOCKS = ("requirements.lock", "requirements-test.lock", "requirements-model.lock")


@pytest.mark.parametrize("name", LOCKS)
def test_everything_that_is_locked_is_locked_by_version_and_hash(name: str) -> None:
    text = (REPOSITORY / name).read_text()
    entries = [entry for entry in re.sub(r"\\\n\s*", "", text).splitlines() if not entry.startswith("#")]
    assert entries
    for entry in entries:
        assert re.fullmatch(r"[a-z0-9.-]+==[^ ;]+( ;[^#]*?)?( ?--hash=sha256:[0-9a-f]{64})+", entry), entry[:100]
    assert not re.search(r"https?://", text), "a mirror serves the same bytes"


def test_what_is_installed_is_checked_against_the_locks(dockerfile: str) -> None:
    bootstrap = (REPOSITORY / "deploy" / "setup" / "bootstrap.py").read_text()
    assert len(re.findall(r'"--require-hashes", "-r"', bootstrap)) == 2
    # torch is pinned by version: its CPU build lies on an index of its own.
    for line in re.findall(r"pip install (.*?)(?: && .*| \\)?$", dockerfile, re.M):
        assert "--require-hashes -r" in line or "torch==" in line, line


def test_every_declared_requirement_is_in_a_lock() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    text = "\n".join((REPOSITORY / lock).read_text() for lock in LOCKS)
    for line in [
        *project["dependencies"],
        *(one for extra in project["optional-dependencies"].values() for one in extra),
    ]:
        named = canonicalize_name(Requirement(line).name)
        assert named in ("torch", "thumbwheel-server") or f"\n{named}==" in text, f"{named}: run make lock"


def test_compose_accepts_the_file() -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("needs docker with its compose plugin")
    done = subprocess.run([docker, "compose", "config", "-q"], cwd=REPOSITORY, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def first_start(home: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    outside = {name: value for name, value in os.environ.items() if not name.startswith("THUMBWHEEL_")}
    return subprocess.run(
        [sys.executable, str(REPOSITORY / "deploy" / "first_start.py"), *command], cwd=home, capture_output=True,
        env=outside | {"THUMBWHEEL_HOME": str(home)} | environment, text=True, timeout=60, check=True,
    )  # fmt: skip


def test_the_first_start_makes_working_keys_and_a_user_once(home: Path) -> None:
    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(lambda _: first_start(home), range(3)))
    assert sum("written to" in each.stderr for each in done) == 1
    body = tomllib.loads((home / "dev.toml").read_text())
    assert stat.S_IMODE((home / "dev.toml").stat().st_mode) == 0o600
    assert not any(key in each.stdout + each.stderr for each in done for key in body["keys"].values())
    control = Control.open(load_settings({"THUMBWHEEL_HOME": str(home)}, home).control_url)
    kinds = {kind: control.find_key(key) for kind, key in body["keys"].items()}
    assert {kind: key and key.kind for kind, key in kinds.items()} == {kind: kind for kind in kinds}
    assert len(control.list_keys()) == len(body["keys"]) + len(body["demo"])
    assert control.check_user(body["console"]["user"], body["console"]["password"]) is not None


def test_a_command_runs_with_the_service_key_of_the_first_start_unless_one_is_given(home: Path) -> None:
    show = ("python3", "-c", "import os; print(os.environ['THUMBWHEEL_SERVICE_KEY'])")
    made = first_start(home, *show).stdout.strip()
    assert made == tomllib.loads((home / "dev.toml").read_text())["keys"]["service"]
    assert first_start(home, *show, THUMBWHEEL_SERVICE_KEY="tw_svc_given").stdout.strip() == "tw_svc_given"
