"""Partitions that lag behind are named to people and programs; a processor that holds its own alone has no pages."""

from __future__ import annotations

import time
from dataclasses import replace

from contract.topics import EVENTS
from processor.console import create_app
from processor.ingest.freshness import Freshness
from tests.console.bench import PASSWORD, Bench


def late() -> Freshness:
    """Return one that knows of a partition that does not move."""
    freshness = Freshness(allowed_s=5.0)
    for at in (time.monotonic() - 6.0, time.monotonic()):
        freshness.sample({(EVENTS, 0): 5, (EVENTS, 3): 1}, {(EVENTS, 0): 0, (EVENTS, 3): 7}, at)
    return freshness


def with_freshness(bench: Bench, freshness: Freshness, **settings: str) -> Bench:
    app = create_app(
        replace(bench.settings, **settings), bench.store, bench.log, bench.control, freshness  # type: ignore[arg-type]
    )  # fmt: skip
    return replace(bench, app=app)


def test_the_data_api_says_how_far_each_partition_is(bench: Bench) -> None:
    assert with_freshness(bench, late()).get("partitions")["items"] == [
        {"partition": 0, "next_offset": 5, "end_offset": 5, "behind": False},
        {"partition": 3, "next_offset": 1, "end_offset": 8, "behind": True},
    ]


def test_every_page_names_what_is_behind(bench: Bench) -> None:
    sentence = "Partition 3 is more than 30 seconds behind the log: figures are incomplete."
    for tested, found in ((with_freshness(bench, late()), True), (bench, False)):
        client = tested.app.test_client()
        client.post("/login", data={"name": "ada", "password": PASSWORD})
        for address in ("/", "/interactions", "/pairs", "/datasets"):
            assert (sentence in client.get(address, follow_redirects=True).text) is found, address


def test_a_dataset_names_what_was_behind_when_it_was_built(told: Bench) -> None:
    client = with_freshness(told, late()).app.test_client()
    body = {"kinds": ["preference"], "max_rows": 20}
    manifest = client.post("/api/v1/datasets", json=body, headers={"Authorization": f"Bearer {told.secret}"}).get_json()
    assert manifest["behind"] == [3]
    card = told.settings.home / "datasets" / "default" / manifest["dataset_id"] / "README.md"
    assert "Incomplete: partitions 3 were behind the log" in card.read_text("utf-8")


def test_a_processor_that_holds_its_own_partitions_has_health_and_no_pages(bench: Bench) -> None:
    client = with_freshness(bench, late(), processor_holds="own").app.test_client()
    for address in ("/healthz", "/readyz", "/metrics"):
        assert client.get(address).status_code == 200
    headers = {"Authorization": f"Bearer {bench.secret}"}
    assert client.get("/api/v1/partitions", headers=headers).status_code == 200
    answer = client.get("/api/v1/overview", headers=headers)
    assert answer.status_code == 503
    assert answer.get_json()["error"]["code"] == "holds_own"
    assert client.get("/login").status_code == 503


def test_the_trainer_decides_nothing_over_incomplete_tables(told: Bench) -> None:
    client = with_freshness(told, late()).app.test_client()
    for key, status in ((told.service, 503), (told.secret, 200)):
        headers = {"Authorization": f"Bearer {key}"}
        for address in ("support", "readiness"):
            answer = client.get(f"/api/v1/{address}", headers=headers)
            assert answer.status_code == status, address
            assert status == 200 or answer.get_json()["error"]["code"] == "behind"
    headers = {"Authorization": f"Bearer {told.service}"}
    assert client.post("/api/v1/datasets", json={"max_rows": 20}, headers=headers).status_code == 503
