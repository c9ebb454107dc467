"""A reviewer takes back a vote on the page of its interaction: who may, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from contract.errors import LogUnavailable
from contract.ids import derived_id
from control_store.control import ROLES
from processor.console.permissions import allows
from tests.console.bench import PASSWORD, Bench
from tests.console.story import CHALLENGER, asked, event, fact, picked, trial

Login = Callable[..., FlaskClient]
Csrf = Callable[[FlaskClient], str]
BUTTON = "Take back the vote of u-17"


@pytest.fixture
def rated(bench: Bench) -> Bench:
    """An interaction with one thumb."""
    bench.put(asked("i-1", 1, ["base"], "Where is my parcel?"), thumb("i-1"))
    return bench


def thumb(interaction: str, name: str = "thumb", at: float = 2, **fields: Any) -> Any:
    return event("thumb", name, at, interaction_id=interaction, candidate_id=f"{interaction}-0", value="up", **fields)


def id_of(name: str) -> str:
    return str(derived_id("default", name))


def states(bench: Bench, interaction: str = "i-1") -> list[tuple[str, str]]:
    return [(row["type"], row["state"]) for row in bench.get(f"interactions/{interaction}")["feedback"]]


def test_a_reviewer_takes_back_a_vote_and_the_log_says_who_and_why(rated: Bench, login: Login, csrf: Csrf) -> None:
    client = login("rei")
    page = client.get("/interactions/i-1").text
    assert BUTTON in page and "blind test" not in page
    data = {"csrf": csrf(client), "target": id_of("thumb"), "reason": " sent by a script "}
    answer = client.post("/interactions/i-1/retract", data=data)
    assert (answer.status_code, answer.location) == (303, "/interactions/i-1?taken_back=1")
    assert "The vote is taken back" in client.get(answer.location).text
    rated.catch_up()
    assert states(rated) == [("thumb", "retracted"), ("retract", "applied")]
    found = rated.get("interactions/i-1")
    (undo,) = [one["body"] for one in found["events"] if one["type"] == "retract"]
    assert (undo["actor"], undo["target"], undo["via"]) == ({"id": "rei", "kind": "expert"}, id_of("thumb"), "console")
    assert undo["context"] == {"reason": "sent by a script"}
    assert BUTTON not in client.get("/interactions/i-1").text


def test_who_may_is_in_the_table_and_others_see_no_button(rated: Bench, csrf: Csrf) -> None:
    assert [role for role in ROLES if allows("vote.retract", role)] == ["reviewer", "manager", "admin"]
    client = rated.app.test_client()
    client.post("/login", data={"name": "vic", "password": PASSWORD})
    assert "Take back" not in client.get("/interactions/i-1").text
    data = {"csrf": csrf(client), "target": id_of("thumb")}
    assert client.post("/interactions/i-1/retract", data=data).status_code == 403
    rated.catch_up()
    assert states(rated) == [("thumb", "vote")]


def test_a_form_without_its_token_takes_nothing_back(rated: Bench, login: Login) -> None:
    client = login("rei")
    for data in ({"target": id_of("thumb")}, {"target": id_of("thumb"), "csrf": "0" * 64}):
        assert client.post("/interactions/i-1/retract", data=data).status_code == 403
    rated.catch_up()
    assert states(rated) == [("thumb", "vote")]


def test_what_cannot_be_taken_back_is_refused_with_a_hint_and_offers_no_button(
    rated: Bench, login: Login, csrf: Csrf
) -> None:
    rated.put(
        thumb("i-1", "changed", 3), thumb("i-2", "elsewhere"),
        event("retract", "own", 4, interaction_id="i-1", target=id_of("changed")),
    )  # fmt: skip
    assert states(rated) == [("thumb", "superseded"), ("thumb", "retracted"), ("retract", "applied")]
    client = login("rei")
    assert BUTTON not in client.get("/interactions/i-1").text
    said = {
        "thumb": (409, "does not count any more"), "changed": (409, "does not count any more"),
        "own": (409, "Nothing needs to be taken back"), "elsewhere": (404, "See its feedback history"),
    }  # fmt: skip
    for name, (status, words) in said.items():
        data = {"csrf": csrf(client), "target": id_of(name)}
        answer = client.post("/interactions/i-1/retract", data=data)
        assert answer.status_code == status and words in answer.text, name
    for target in ("", "nothing", "'; DROP TABLE feedback"):
        answer = client.post("/interactions/i-1/retract", data={"csrf": data["csrf"], "target": target})
        assert answer.status_code == 404, target
    long = {"csrf": data["csrf"], "target": id_of("elsewhere"), "reason": "很" * 2000}
    answer = client.post("/interactions/i-2/retract", data=long)
    assert answer.status_code == 400 and "context is too large" in answer.text
    rated.catch_up()
    assert len(states(rated)) == 3 and states(rated, "i-2") == [("thumb", "vote")]


def test_a_vote_on_an_interaction_that_has_not_come_can_be_taken_back(rated: Bench, login: Login, csrf: Csrf) -> None:
    rated.put(thumb("shop/order7?", "orphan"))
    client = login("ada")
    assert BUTTON in client.get("/interactions/shop/order7%3F").text
    data = {"csrf": csrf(client), "target": id_of("orphan").upper()}
    answer = client.post("/interactions/shop/order7%3F/retract", data=data)
    assert answer.status_code == 303 and client.get(answer.location).status_code == 200
    rated.catch_up()
    assert states(rated, "shop/order7%3F")[0] == ("thumb", "retracted")


def test_a_pick_of_a_blind_test_that_is_taken_back_still_counts_in_it(rated: Bench, login: Login, csrf: Csrf) -> None:
    rated.put(
        fact("model.challenger", "challenger", 3, adapter_id=CHALLENGER, baseline="base"),
        *trial("t-1", 4, True, "A question", rater="u-17", named=True),
    )
    client = login("rei")
    assert "In its blind test it stands as it was" in client.get("/interactions/t-1").text
    target = str(derived_id("default", "t-1 picked by u-17 at 4.5"))
    assert client.post("/interactions/t-1/retract", data={"csrf": csrf(client), "target": target}).status_code == 303
    rated.catch_up()
    assert states(rated, "t-1") == [("pick", "retracted"), ("retract", "applied")]
    (item,) = rated.support()
    assert (item["wins"], item["excluded"]) == (1, {"frozen": 1})


def test_while_the_log_is_away_nothing_is_taken_back_and_the_page_says_so(
    rated: Bench, login: Login, csrf: Csrf, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = login("rei")
    token = csrf(client)

    def away(*given: Any, **options: Any) -> Any:
        raise LogUnavailable("The brokers do not answer.")

    monkeypatch.setattr(rated.log, "append", away)
    answer = client.post("/interactions/i-1/retract", data={"csrf": token, "target": id_of("thumb")})
    assert answer.status_code == 503
    monkeypatch.undo()
    rated.catch_up()
    assert states(rated) == [("thumb", "vote")]


def test_taking_back_a_vote_makes_no_earlier_one_count(rated: Bench, login: Login, csrf: Csrf) -> None:
    rated.put(
        asked("i-3", 5, ["base"] * 2, "And now?"), picked("i-3", 6, 0, shown=2, rater="u-17"),
        picked("i-3", 7, 1, shown=2, rater="u-17"),
    )  # fmt: skip
    assert len(rated.get("pairs?interaction=i-3")["items"]) == 1
    client = login("rei")
    target = str(derived_id("default", "i-3 picked by u-17 at 7"))
    client.post("/interactions/i-3/retract", data={"csrf": csrf(client), "target": target})
    rated.catch_up()
    assert states(rated, "i-3") == [("pick", "superseded"), ("pick", "retracted"), ("retract", "applied")]
    assert rated.get("pairs?interaction=i-3")["items"] == []
