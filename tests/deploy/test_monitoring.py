"""Scrape configuration, alerts and dashboard fit the product: every metric, label and value in them exists."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from collector.errors import REFUSALS
from collector.requests import ROUTES
from contract.topics import TOPICS
from processor.tables.arrow import COLUMNS
from runtime.settings import Settings

yaml = pytest.importorskip("yaml")
ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "monitoring"
ALERTS = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"][0]["rules"]
DASHBOARD = json.loads((FOLDER / "grafana-dashboard.json").read_text())
QUERIES = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
EXPRESSIONS = [rule["expr"] for rule in ALERTS] + QUERIES
# What each service registers, in a process of its own, as its /metrics serves it.
MODULES = {
    "collector": "collector.app",
    "processor": "processor.console,processor.ingest.runner,processor.similarity.duplicates",
    "gateway": "gateway.app",
}  # fmt: skip
# Processors beside the one with the console.
WORKER = "processor-worker"
SHOW = """
import importlib, json, sys
for name in sys.argv[1].split(","):
    importlib.import_module(name)
from prometheus_client import REGISTRY
print(json.dumps({n: list(getattr(c, "_labelnames", ())) for n, c in REGISTRY._names_to_collectors.items()}))
"""


@pytest.fixture(scope="module")
def registered() -> dict[str, list[str]]:
    """The series that the services expose, with their labels; each carries its service's name."""
    found: dict[str, list[str]] = {}
    for service, modules in MODULES.items():
        made = subprocess.run(
            [sys.executable, "-c", SHOW, modules], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
        )
        own = {name: labels for name, labels in json.loads(made.stdout).items() if name.startswith("thumbwheel_")}
        assert own and all(name.startswith(f"thumbwheel_{service}_") for name in own)
        found |= own
    return found


def test_every_metric_and_label_is_one_that_a_service_exposes(registered: dict[str, list[str]]) -> None:
    used = set()
    for expression in EXPRESSIONS:
        for name, selector in re.findall(
            r"\b(thumbwheel_\w+|up)(?:\{([^}]*)\})?", re.sub(r'"[^"]*"', '""', expression)
        ):
            used.add(name)
            labels = set(re.findall(r"(\w+)\s*=", selector))
            assert labels <= ({"job"} if name == "up" else set(registered.get(name, ()))), expression
    assert used - {"up"} <= registered.keys(), "no service exposes these"
    assert len(used) > 15


def test_what_is_summed_by_is_a_label_of_the_metric(registered: dict[str, list[str]]) -> None:
    scraped = {"job", "pod", "instance", "le"}
    for expression in EXPRESSIONS:
        for group, rest in re.findall(r"by \(([^)]*)\)(?=(.*))", re.sub(r'"[^"]*"', '""', expression), re.DOTALL):
            [name, *_] = re.findall(r"\b(thumbwheel_\w+|up)\b", rest)
            assert set(group.replace(" ", "").split(",")) <= {*registered.get(name, ()), *scraped}, expression


def test_a_value_that_is_asked_for_can_occur() -> None:
    known = {
        "code": {code for _, code, _ in REFUSALS}, "outcome": {"accepted", "rejected", "retry"}, "table": set(COLUMNS),
        "route": ROUTES, "job": {f"thumbwheel-{service}" for service in MODULES}, "topic": set(TOPICS),
        "kind": {"base", "changes", "taken"},
    }  # fmt: skip
    for expression in EXPRESSIONS:
        for label, values in re.findall(r'(\w+)=~?"([^"]*)"', expression):
            if label != "status" and values != "thumbwheel-.*":
                assert set(values.split("|")) <= known[label], expression


def test_each_alert_is_explained_in_both_languages_and_nothing_else_is() -> None:
    names = [rule["alert"] for rule in ALERTS]
    for page in ("alerts.md", "alerts.zh-CN.md"):
        text = (ROOT / "docs" / "operations" / page).read_text("utf-8")
        assert re.findall(r"^## (Thumbwheel\w+)$", text, re.MULTILINE) == names
    for rule in ALERTS:
        assert rule["annotations"]["runbook"] == f"docs/operations/alerts.md#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in ("page", "ticket") and rule["annotations"]["summary"].endswith(".")


def test_the_scraped_addresses_are_those_of_the_services() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    jobs = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["scrape_configs"]
    [workers] = [job for job in jobs if "dns_sd_configs" in job]
    assert workers["job_name"] == f"thumbwheel-{WORKER}" and WORKER in compose
    assert workers["dns_sd_configs"] == [{"names": [WORKER], "type": "A", "port": Settings.console_bind.port}]
    jobs.remove(workers)
    for job in jobs:
        service = job["job_name"].removeprefix("thumbwheel-")
        bind = Settings.console_bind if service == "processor" else getattr(Settings, f"{service}_bind")
        assert job["static_configs"] == [{"targets": [f"{service}:{bind.port}"]}] and service in compose
    assert {job["job_name"] for job in jobs} == {f"thumbwheel-{service}" for service in MODULES}


def test_on_kubernetes_the_same_jobs_are_made_of_the_pods_labels() -> None:
    [job] = yaml.safe_load((FOLDER / "prometheus-kubernetes.yml").read_text())["scrape_configs"]
    [kept] = [rule for rule in job["relabel_configs"] if "app" in rule["source_labels"][0] and rule.get("action")]
    assert set(kept["regex"].split("|")) == {*MODULES, WORKER}
    [named] = [rule for rule in job["relabel_configs"] if rule.get("target_label") == "job"]
    assert named["replacement"] == "thumbwheel-$1"
    files = {service: f"base/{service}.yaml" for service in MODULES} | {WORKER: "several-processors/worker.yaml"}
    for service, file in files.items():
        body = next(yaml.safe_load_all((ROOT / "deploy" / "kubernetes" / file).read_text()))
        assert body["spec"]["template"]["metadata"]["labels"] == {"app": service}


def test_the_dashboard_s_panels_have_titles_units_and_places_of_their_own() -> None:
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in DASHBOARD["panels"]]
    assert len(set(places)) == len(places)
    for panel in DASHBOARD["panels"]:
        assert panel["title"] and panel["targets"] and panel["fieldConfig"]["defaults"]["unit"]
        assert panel["datasource"]["uid"] == "${datasource}"
    assert [one["name"] for one in DASHBOARD["templating"]["list"]] == ["datasource"]


# -- checked by Prometheus' own tool


@pytest.fixture
def promtool() -> Any:
    """Run promtool and return what it said; fails when it was not content."""
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("needs promtool (Debian's package prometheus)")

    def run(*arguments: str, cwd: Path = FOLDER) -> str:
        made = subprocess.run([program, *arguments], cwd=cwd, capture_output=True, text=True, timeout=60, check=False)
        assert made.returncode == 0, made.stdout + made.stderr
        return made.stdout + made.stderr

    return run


def test_an_ill_hour_raises_every_alert_and_a_healthy_one_none(promtool: Any) -> None:
    promtool("check", "config", "prometheus.yml")
    promtool("test", "rules", "alerts.test.yml")
    tests = yaml.safe_load((FOLDER / "alerts.test.yml").read_text())["tests"]
    names = {rule["alert"] for rule in ALERTS}
    assert [story["name"] for story in tests] == ["healthy", "alone", "ill"]
    sharing = {rule["alert"] for rule in ALERTS if re.search("_owned|_rebalances", rule["expr"])}
    for story in tests:
        asked = {one["alertname"] for one in story["alert_rule_test"]}
        assert asked == names or (story["name"] == "alone" and sharing <= asked <= names)
        assert all(bool(one["exp_alerts"]) == (story["name"] == "ill") for one in story["alert_rule_test"])


def test_the_dashboard_s_queries_and_the_kubernetes_file_are_valid(promtool: Any, tmp_path: Path) -> None:
    rules = [
        {"record": f"query:{number}", "expr": query.replace("$__rate_interval", "5m")}
        for number, query in enumerate(QUERIES)
    ]
    (tmp_path / "queries.yml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert f"{len(QUERIES)} rules found" in promtool("check", "rules", "queries.yml", cwd=tmp_path)
    body = yaml.safe_load((FOLDER / "prometheus-kubernetes.yml").read_text())
    [job] = body["scrape_configs"]
    # Debian builds promtool without this discovery; the rest is checked by it.
    del job["kubernetes_sd_configs"]
    (tmp_path / "alerts.yml").write_text((FOLDER / "alerts.yml").read_text())
    (tmp_path / "kubernetes.yml").write_text(yaml.safe_dump(body))
    promtool("check", "config", "kubernetes.yml", cwd=tmp_path)
