"""The data API as a program sees it: keys, projects, JSON, paging, wishes and datasets."""

from __future__ import annotations

from typing import Any

import pytest

from contract.ids import derived_id
from tests.console.bench import PASSWORD, Bench
from tests.console.story import CHALLENGER, asked, event, fact, picked, trial


def post(bench: Bench, address: str, body: Any, key: str | None = None) -> Any:
    headers = {"Authorization": f"Bearer {key or bench.service}"}
    return bench.app.test_client().post(f"/api/v1/{address}", json=body, headers=headers)


def status(bench: Bench, address: str, key: str | None) -> int:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    answer = bench.app.test_client().get(f"/api/v1/{address}", headers=headers)
    assert answer.status_code == 200 or set(answer.get_json()["error"]) >= {"code", "message", "hint"}
    return answer.status_code


def test_without_a_key_or_with_a_wrong_one_nothing_is_told(bench: Bench) -> None:
    assert status(bench, "overview", None) == 401
    assert status(bench, "overview", "tw_sec_wrong") == 401
    public = bench.control.create_key("default", "public").key
    assert status(bench, "overview", public) == 403


def test_a_secret_key_sees_its_own_project_only(bench: Bench) -> None:
    bench.put(asked("mine", 1, ["base"], "q"), event("thumb", "t", 2, project="other", interaction_id="x",
                                                     candidate_id="c", value="up"))  # fmt: skip
    assert [item["interaction_id"] for item in bench.get("interactions")["items"]] == ["mine"]
    assert status(bench, "interactions?project=other", bench.secret) == 403
    other = bench.get("interactions?project=other", bench.service)["items"]
    assert [item["interaction_id"] for item in other] == ["x"]


def test_every_list_answers_items_and_next(told: Bench) -> None:
    lists = ("interactions", "pairs", "datasets", "runs", "models", "support", "rejected", "requests", "facts")
    for name in lists:
        found = told.get(name)
        assert found["next"] is None or isinstance(found["next"], str), name
        assert isinstance(found["items"], list), name
    assert told.get("overview")["interactions"] > 90
    assert told.get("readiness")["needed_pairs"] == 300


@pytest.mark.parametrize("name", ["interactions", "pairs", "rejected", "models", "facts"])
def test_paging_shows_each_row_once(told: Bench, name: str) -> None:
    told.put(*(fact("model.registered", f"extra {n}", 80 + n, adapter_id=f"ad-{n:012x}") for n in range(4)))
    whole = told.get(f"{name}?limit=500")["items"]
    seen: list[Any] = []
    cursor = ""
    while True:
        found = told.get(f"{name}?limit={7 if name != 'rejected' else 1}&cursor={cursor}")
        seen.extend(found["items"])
        cursor = found["next"]
        if not cursor:
            break
    assert seen == whole
    assert len(whole) >= 3


@pytest.mark.parametrize(
    "address", ["interactions?cursor=nonsense!", "pairs?limit=0", "interactions?limit=many", "runs?cursor=eA"]
)
def test_a_wrong_cursor_or_limit_is_named(bench: Bench, address: str) -> None:
    answer = bench.app.test_client().get(f"/api/v1/{address}", headers={"Authorization": f"Bearer {bench.secret}"})
    assert answer.status_code == 400
    assert answer.get_json()["error"]["field"] in ("cursor", "limit")


def test_filters_of_interactions(told: Bench) -> None:
    def ids(query: str) -> list[str]:
        return [item["interaction_id"] for item in told.get(f"interactions?limit=500&{query}")["items"]]

    assert len(ids("label=refund")) == 8
    assert set(ids("q=BLENDER")) >= {"pick-2"}
    assert ids("show=orphans") == ["<script>window.hacked=1</script>"]
    assert len(ids("surface=chat")) == 24
    assert ids("q=%25") == []


def test_interaction_detail_holds_history_and_hides_models_of_a_running_test(told: Bench) -> None:
    found = told.get("interactions/pick-4")
    assert [row["state"] for row in found["feedback"]] == ["superseded", "vote"]
    assert {candidate["model"] for candidate in found["candidates"]} == {"base"}
    blinded = told.get("interactions/trial-3")
    assert blinded["blinded"] and CHALLENGER not in str(blinded)
    assert CHALLENGER in str(told.get("interactions/trial-3", told.service))
    told.put(fact("model.held", "held", 200, adapter_id=CHALLENGER))
    assert CHALLENGER in str(told.get("interactions/trial-3"))


def test_pairs_of_a_running_test_name_no_model(told: Bench) -> None:
    assert CHALLENGER not in str(told.get("pairs?limit=500&interaction=trial-3"))
    assert told.get(f"pairs?model={CHALLENGER}")["items"] == []


def test_an_unknown_interaction_is_404(bench: Bench) -> None:
    answer = bench.get("interactions/nothing")
    assert answer["error"]["code"] == "unknown_interaction"
    assert bench.get("nonsense")["error"]["code"] == "unknown_address"


def test_a_wish_is_in_the_log_and_becomes_handled(bench: Bench) -> None:
    answer = post(bench, "requests", {"type": "train", "method": "dpo", "params": {"epochs": 1}})
    assert answer.status_code == 202
    request_id = answer.get_json()["request_id"]
    bench.catch_up()
    (wish,) = bench.get("requests")["items"]
    assert (wish["event_id"], wish["type"], wish["handled"]) == (request_id, "request.train", False)
    assert (wish["body"]["method"], wish["body"]["via"]) == ("dpo", "console")
    bench.put(fact("run.started", "answer", 5, run_id="r", method="dpo", request_id=request_id))
    assert bench.get("requests")["items"][0]["handled"] is True
    second = post(bench, "requests", {"type": "roll_back"}).get_json()["request_id"]
    bench.catch_up()
    assert [item["event_id"] for item in bench.get(f"requests?after={request_id}")["items"]] == [second]


@pytest.mark.parametrize(
    ("body", "code"), [({"type": "dance"}, 400), ({"type": "promote"}, 400), ([], 400),
     ({"type": "promote", "adapter_id": "ad-x"}, 404)]
)  # fmt: skip
def test_a_wrong_wish_is_refused_and_nothing_is_logged(bench: Bench, body: Any, code: int) -> None:
    answer = post(bench, "requests", body)
    assert answer.status_code == code, answer.get_json()
    bench.catch_up()
    assert bench.get("requests")["items"] == []


def test_a_dataset_is_built_listed_and_served(told: Bench) -> None:
    answer = post(told, "datasets", {"kinds": ["preference"], "max_rows": 40})
    assert answer.status_code == 201
    manifest = answer.get_json()
    assert manifest["dataset_id"] in [item["dataset_id"] for item in told.get("datasets")["items"]]
    client = told.app.test_client()
    headers = {"Authorization": f"Bearer {told.secret}"}
    for file in manifest["files"]:
        address = f"/api/v1/datasets/{manifest['dataset_id']}/files/{file['name']}"
        with client.get(address, headers=headers) as served:
            assert len(served.data) == file["bytes"]
    for name in ("../../../dev.toml", "%2e%2e/manifest.json", "nothing.parquet"):
        answer = client.get(f"/api/v1/datasets/{manifest['dataset_id']}/files/{name}", headers=headers)
        assert answer.status_code == 404


def test_a_dataset_of_nothing_is_a_conflict_with_a_hint(bench: Bench) -> None:
    answer = post(bench, "datasets", {})
    assert answer.status_code == 409
    assert answer.get_json()["error"]["hint"]
    assert post(bench, "datasets", {"nonsense": 1}).status_code == 400


def test_visible_names_what_has_not_arrived(bench: Bench) -> None:
    pick = picked("i", 1, 0)
    missing = str(derived_id("never"))
    bench.put(asked("i", 0, ["base"] * 4, "q"), pick)
    assert bench.get(f"visible?event_id={pick.event_id}&event_id={missing}") == {"missing": [missing]}


def test_readiness_counts_what_came_after_the_last_finished_run(bench: Bench) -> None:
    bench.put(asked("a", 1, ["base"] * 4, "q"), picked("a", 2, 0))
    assert bench.get("readiness")["new_pairs"] == 3
    bench.put(
        fact("run.started", "s", 3, run_id="r", method="dpo"),
        fact("run.failed", "f", 4, run_id="r", reason="out of memory"),
    )
    assert bench.get("readiness")["new_pairs"] == 3
    bench.put(
        fact("run.started", "s2", 5, run_id="r2", method="dpo"),
        fact("run.finished", "f2", 6, run_id="r2", adapter_id="ad-1"),
        asked("b", 7, ["base"] * 2, "q2"), picked("b", 8, 0, shown=2),
    )  # fmt: skip
    found = bench.get("readiness")
    assert (found["new_pairs"], found["champion"], found["running"]) == (1, None, None)


def test_projects_are_those_with_a_key_or_data_and_a_secret_key_sees_its_own(bench: Bench) -> None:
    bench.put(asked("a", 1, ["base"], "q", project="imported"))
    found = {item["project"]: item["events"] for item in bench.get("projects", bench.service)["items"]}
    assert found == {"default": 0, "imported": 1}
    assert [item["project"] for item in bench.get("projects")["items"]] == ["default"]


def test_readiness_leaves_out_what_only_evaluates(bench: Bench) -> None:
    for number, labels in enumerate((["evaluation"], ["evaluation/demo", "refund"], ["evaluations"], [])):
        name = f"i{number}"
        bench.put(asked(name, 1, ["base"] * 4, f"q {number}", labels=labels), picked(name, 2, 0))
    found = bench.get("readiness")
    assert found["new_pairs"] == sum(found["by_source"].values()) == 6


def test_run_tells_its_metrics_by_step(told: Bench) -> None:
    run = told.get("runs/run-1")
    assert (run["state"], run["method"], run["step"], run["total_steps"]) == ("finished", "dpo", 18, 18)
    assert [row["step"] for row in run["series"]] == list(range(1, 19))
    assert run["series"][0]["loss"] > run["series"][-1]["loss"]


def test_champion_follows_promotion_and_roll_back(told: Bench) -> None:
    assert told.get("models")["challenger"] == CHALLENGER
    told.put(fact("model.promoted", "p", 200, adapter_id=CHALLENGER, alias_version=2))
    found = told.get("models")
    assert (found["champion"], found["challenger"], found["items"][0]["state"]) == (CHALLENGER, None, "champion")
    told.put(fact("model.rolled_back", "r", 210, adapter_id=CHALLENGER, alias_version=3))
    assert told.get("models")["champion"] is None


def test_a_refused_wish_changes_nothing_and_is_told(told: Bench) -> None:
    told.put(fact("model.promoted", "p", 200, adapter_id=CHALLENGER, alias_version=2))
    told.put(fact("model.rolled_back", "r", 210, adapter_id=CHALLENGER, alias_version=3))
    # The trainer answers a wish it cannot meet by repeating the adapter's last change, reason and wish added.
    same = {"adapter_id": CHALLENGER, "baseline": "base", "alias_version": 1}
    told.put(fact("model.challenger", "no", 220, **same, reason="Too late."))
    found = told.get("models")
    assert (found["champion"], found["challenger"]) == (None, None)
    assert [step["change"] for step in found["items"][0]["history"]] == [
        "registered", "challenger", "promoted", "rolled_back",
    ]  # fmt: skip
    assert [step["reason"] for step in found["items"][0]["refused"]] == ["Too late."]
    assert len(told.get("support")["items"]) == 1


def test_lineage_from_an_event_to_the_adapter_and_back_to_every_event(told: Bench) -> None:
    pick = str(derived_id("default", "pick-0 picked by agent-1 at 0.4"))
    down = told.get(f"lineage/{pick}")
    assert (down["kind"], down["interaction_id"], len(down["pairs"])) == ("event", "pick-0", 3)
    assert [adapter["adapter_id"] for adapter in down["adapters"]] == [CHALLENGER]
    assert [run["run_id"] for run in down["runs"]] == ["run-1"]
    up = told.get(f"lineage/{CHALLENGER}")
    assert (up["kind"], up["run"]["run_id"]) == ("adapter", "run-1")
    assert up["dataset"]["dataset_id"] == down["datasets"][0]["dataset_id"]
    events = {row["event_id"] for row in up["events"]}
    assert pick in events
    for event_id in events:
        assert CHALLENGER in [adapter["adapter_id"] for adapter in told.get(f"lineage/{event_id}")["adapters"]]
    assert {row["type"] for row in up["events"]} == {"pick"}


def test_lineage_of_a_child_names_what_it_inherited(told: Bench) -> None:
    child = "ad-111111111111"
    told.put(fact("model.registered", "child", 160, adapter_id=child, parent=CHALLENGER))
    up = told.get(f"lineage/{child}")
    assert [row["adapter_id"] for row in up["ancestors"]] == [CHALLENGER]
    assert len(up["inherited_events"]) == len(told.get(f"lineage/{CHALLENGER}")["events"])
    down = told.get(f"lineage/{up['inherited_events'][0]['event_id']}")
    assert {row["adapter_id"]: row["inherited"] for row in down["adapters"]} == {CHALLENGER: False, child: True}


def test_lineage_of_a_pick_outside_any_dataset_is_empty(told: Bench) -> None:
    (_, pick) = trial("lone", 300, True, "lone question")
    told.put(pick)
    found = told.get(f"lineage/{pick.event_id}")
    assert (found["datasets"], found["adapters"]) == ([], [])
    assert told.get("lineage/nothing-known")["error"]["code"] == "unknown_subject"


def test_health_ready_and_metrics_need_no_login(bench: Bench) -> None:
    client = bench.app.test_client()
    assert client.get("/healthz").get_json() == {"status": "ok", "log": bench.log.promise}
    assert client.get("/readyz").status_code == 200
    assert b"thumbwheel_processor" in client.get("/metrics").data


def test_a_dataset_s_card_is_handed_out_in_both_languages(told: Bench) -> None:
    dataset_id = told.get("datasets")["items"][0]["dataset_id"]
    client = told.app.test_client()
    client.post("/login", data={"name": "vic", "password": PASSWORD})
    address = f"/api/v1/datasets/{dataset_id}/files/README"
    with client.get(f"{address}.zh-CN.md") as card:
        assert card.status_code == 200 and f"# 数据集 {dataset_id}" in card.get_data(as_text=True)
    page = client.get(f"/datasets/{dataset_id}").text
    assert f"{address}.md" in page and f"{address}.zh-CN.md" in page
    # One that an earlier release built.
    (told.settings.home / "datasets" / "default" / dataset_id / "README.zh-CN.md").unlink()
    page = client.get(f"/datasets/{dataset_id}").text
    assert f"{address}.md" in page and "zh-CN" not in page.partition("<main")[2].partition("</main>")[0]
    assert client.get(f"{address}.zh-CN.md").status_code == 404
