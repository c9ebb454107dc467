"""Who gets in, what each role may do, and that another site cannot act in a person's name."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from flask.testing import FlaskClient

from tests.console.bench import PASSWORD, Bench
from tests.console.story import CHALLENGER

Login = Callable[..., FlaskClient]


def test_pages_lead_to_the_login_and_back(bench: Bench) -> None:
    client = bench.app.test_client()
    answer = client.get("/pairs?kind=pick")
    assert answer.status_code == 302
    assert answer.location == "/login?next=/pairs?kind%3Dpick"
    answer = client.post("/login", data={"name": "ada", "password": PASSWORD, "next": "/pairs?kind=pick"})
    assert (answer.status_code, answer.location) == (303, "/pairs?kind=pick")
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie


def test_login_leads_nowhere_else(bench: Bench) -> None:
    for target in ("https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"):
        data = {"name": "ada", "password": PASSWORD, "next": target}
        assert bench.app.test_client().post("/login", data=data).location == "/"


def test_a_wrong_password_is_told_without_saying_which_part(bench: Bench) -> None:
    client = bench.app.test_client()
    known = client.post("/login", data={"name": "ada", "password": "wrong"})
    unknown = client.post("/login", data={"name": "nobody", "password": "wrong"})
    assert known.status_code == unknown.status_code == 401
    assert b"The name or the password is wrong." in known.data


def test_log_out_ends_the_session(bench: Bench, login: Login, csrf: Callable[[FlaskClient], str]) -> None:
    client = login()
    token = client.get_cookie("thumbwheel_session")
    assert token
    client.post("/logout", data={"csrf": csrf(client)})
    assert bench.control.find_session(token.value) is None


def test_a_form_without_its_token_or_from_another_site_is_refused(
    told: Bench, login: Login, csrf: Callable[[FlaskClient], str]
) -> None:
    client = login()
    address = f"/adapters/{CHALLENGER}/promote"
    assert client.post(address).status_code == 403
    assert client.post("/api/v1/requests", json={"type": "train"}).status_code == 403
    data = {"csrf": csrf(client)}
    # The demo product on the next port is the same site, and still not the console.
    for headers in (
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://localhost:8703"},
    ):
        assert client.post(address, data=data, headers=headers).status_code == 403
    told.catch_up()
    assert told.get("requests")["items"] == []
    assert client.post(address, data=data, headers={"Sec-Fetch-Site": "same-origin"}).status_code == 303


def test_login_from_another_site_is_refused(bench: Bench) -> None:
    data = {"name": "ada", "password": PASSWORD}
    answer = bench.app.test_client().post("/login", data=data, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403


def test_only_an_admin_promotes_and_only_a_reviewer_builds(
    told: Bench, login: Login, csrf: Callable[[FlaskClient], str]
) -> None:
    viewer, reviewer = login("vic"), login("rei")
    for client in (viewer, reviewer):
        answer = client.post(f"/adapters/{CHALLENGER}/promote", data={"csrf": csrf(client)})
        assert answer.status_code == 403
        assert "Promote" not in client.get("/adapters").text
    assert viewer.post("/datasets", data={"csrf": csrf(viewer)}).status_code == 403
    built = reviewer.post("/datasets", data={"csrf": csrf(reviewer), "kinds": "preference", "max_rows": "20"})
    assert built.status_code == 303
    assert "Dataset built." in reviewer.get(built.location).text


def test_promotion_by_an_admin_is_a_wish_with_the_admins_name(
    told: Bench, login: Login, csrf: Callable[[FlaskClient], str]
) -> None:
    client = login()
    answer = client.post(f"/adapters/{CHALLENGER}/promote", data={"csrf": csrf(client), "reason": "asked for"})
    assert answer.status_code == 303
    told.catch_up()
    (wish,) = told.get("requests")["items"]
    body = wish["body"]
    assert (wish["type"], body["adapter_id"], body["reason"]) == ("request.promote", CHALLENGER, "asked for")
    assert (body["actor"]["id"], body["via"]) == ("ada", "console")
    page = client.get(answer.location).text
    assert "Asked the trainer to promote." in page and "Waiting for the trainer" in page


def test_a_session_reads_the_data_api_of_any_project(bench: Bench, login: Login) -> None:
    client = login("vic")
    assert client.get("/api/v1/overview?project=other").get_json()["project"] == "other"
    assert client.get("/api/v1/datasets/../../x").status_code == 404


def test_only_an_admin_sees_what_happened_to_the_keys(bench: Bench, login: Login) -> None:
    made = bench.control.create_key("default", "public", ["https://shop.example"], by="ada")
    newer, _ = bench.control.rotate_key(made.key_id, timedelta(hours=1), by="ada")
    bench.control.create_key("other", "secret", by="eve")
    assert login("rei").get("/api/v1/keys/audit").status_code == 403
    seen = login("ada").get("/api/v1/keys/audit")
    latest = seen.get_json()["items"][0]
    assert (latest["action"], latest["key_id"], latest["successor"]) == ("rotated", made.key_id, newer.key_id)
    assert latest["changed_by"] == "ada" and "eve" not in seen.get_data(as_text=True)
    assert "tw_pub_" not in seen.get_data(as_text=True)
    assert bench.get("keys/audit")["items"][0] == latest


def test_a_key_reads_the_data_api_until_it_expires_and_a_public_key_never(bench: Bench) -> None:
    public = bench.control.create_key("default", "public", ["https://shop.example"]).key
    paths = sorted({rule.rule for rule in bench.app.url_map.iter_rules() if rule.rule.startswith("/api/v1/")})
    assert len(paths) > 15
    for path in paths:
        asked = path.replace("<path:rest>", "x").replace("<path:subject>", "x").replace("<", "").replace(">", "")
        answer = bench.app.test_client().get(asked, headers={"Authorization": f"Bearer {public}"})
        assert (answer.status_code, answer.get_json()["error"]["code"]) == (403, "key_kind"), path
    secret = bench.control.create_key("default", "secret")
    assert "items" in bench.get("rejected", secret.key)
    bench.control.rotate_key(secret.key_id, timedelta(0))
    assert bench.get("rejected", secret.key)["error"]["code"] == "unknown_key"
