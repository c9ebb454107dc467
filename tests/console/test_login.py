"""The way in: `next` leads nowhere else, guessing gets slower and slower, and nobody locks somebody else out."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient

from processor.console.guesses import LONGEST_WAIT_S, MOST_MARKS, TRIES, Guesses, marks, network
from processor.console.login import DEVICE_COOKIE
from tests.console.bench import PASSWORD, Bench

CONTROLS = ("\r\nSet-Cookie: a=b", "/x\r\nY: z", "\n", "/\t/evil.example", "/\x00", "/a\x7f", "/\x85", "/\u2028")
ELSEWHERE = (
    "https://evil.example/",
    "//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example", "/\\/evil.example",
    "javascript:alert(1)", "evil.example", " //evil.example", "http:/evil.example", "/x\\..\\\\evil.example", "//[", "",
)  # fmt: skip


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(bench: Bench) -> Clock:
    found = Clock()
    bench.app.extensions["thumbwheel_guesses"] = Guesses(found)
    return found


def try_it(bench: Bench, password: str, address: str = "192.0.2.1", client: FlaskClient | None = None) -> Any:
    return (client or bench.app.test_client()).post(
        "/login", data={"name": "ada", "password": password}, environ_base={"REMOTE_ADDR": address}
    )


@pytest.mark.parametrize("target", CONTROLS)
def test_controls_in_next_are_refused_and_nobody_is_logged_in(bench: Bench, target: str) -> None:
    data = {"name": "ada", "password": PASSWORD, "next": target}
    answer = bench.app.test_client().post("/login", data=data)
    assert answer.status_code == 400 and "Set-Cookie" not in answer.headers
    assert bench.control.list_sessions() == []
    client = bench.app.test_client()
    assert client.get(f"/login?next={quote(target)}").status_code == 400
    client.post("/login", data={"name": "ada", "password": PASSWORD})
    assert client.get(f"/login?next={quote(target)}").status_code == 400


@pytest.mark.parametrize("target", ELSEWHERE)
def test_next_leads_to_no_other_host(bench: Bench, target: str) -> None:
    client = bench.app.test_client()
    assert client.post("/login", data={"name": "ada", "password": PASSWORD, "next": target}).location == "/"
    assert client.get(f"/login?next={quote(target)}").location == "/", "logged in already"


@pytest.mark.parametrize("path", ["//evil.example/", "/\\evil.example/", "/%5Cevil.example/", "/%2F/evil.example/"])
def test_a_switch_of_language_leads_to_no_other_host(bench: Bench, path: str) -> None:
    location = bench.app.test_client().get(f"{path}?lang=en").location
    assert location.startswith("/") and not location.startswith(("//", "/\\"))


def test_wrong_passwords_cost_more_and_more_time(bench: Bench, clock: Clock) -> None:
    for _ in range(TRIES["pair"]):
        assert try_it(bench, "wrong").status_code == 401
    waits = []
    for _ in range(6):
        refused = try_it(bench, PASSWORD)
        assert refused.status_code == 429 and "Too many wrong passwords" in refused.text
        waits.append(int(refused.headers["Retry-After"]))
        assert try_it(bench, "wrong").headers["Retry-After"] == refused.headers["Retry-After"], "asking costs nothing"
        clock.now += waits[-1]
        assert try_it(bench, "wrong").status_code == 401
    assert waits == [1, 2, 4, 8, 16, 32]
    clock.now += 64
    assert try_it(bench, PASSWORD).status_code == 303


def guess_for(guesses: Guesses, clock: Clock, seconds: float, sources: Iterator[str]) -> int:
    """Guess at ada's password as fast as is let, from these addresses in turn; return how many guesses were made."""
    made, until = 0, clock.now + seconds
    while clock.now < until:
        wait = guesses.begin(marks("ada", next(sources), None))
        made += wait == 0
        clock.now += min(wait, 1.0) if wait else 0.01
    return made


def test_guesses_of_a_day_are_few_whatever_the_number_of_addresses() -> None:
    for addresses, most in ((1, 500), (1000, 2500)):
        clock = Clock()
        sources = (f"192.0.{n % addresses // 250}.{n % addresses % 250}" for n in count())
        assert guess_for(Guesses(clock), clock, 86_400, sources) < most


def test_nobody_keeps_the_admin_out_from_another_address(bench: Bench, clock: Clock) -> None:
    guesses = bench.app.extensions["thumbwheel_guesses"]
    guess_for(guesses, clock, 36_000, iter(lambda: "198.51.100.7", None))
    assert try_it(bench, PASSWORD, "198.51.100.7").status_code == 429, "the one who guesses waits"
    assert try_it(bench, PASSWORD, "192.0.2.1").status_code == 303, "somebody else does not, on any device"


def test_a_known_device_logs_in_while_thousands_of_addresses_guess(bench: Bench, clock: Clock) -> None:
    known = bench.app.test_client()
    assert try_it(bench, PASSWORD, client=known).status_code == 303
    guesses = bench.app.extensions["thumbwheel_guesses"]
    guess_for(guesses, clock, 1700, (f"2001:db8:{n:x}::1" for n in count()))
    assert try_it(bench, PASSWORD, "192.0.2.99").status_code == 429, "an unknown device waits: guesses have an end"
    known.delete_cookie("thumbwheel_session")
    assert try_it(bench, PASSWORD, "203.0.113.9", client=known).status_code == 303
    known.delete_cookie("thumbwheel_session")
    for _ in range(TRIES["device"]):
        assert try_it(bench, "wrong", client=known).status_code == 401
    assert try_it(bench, PASSWORD, client=known).status_code == 429, "a stolen cookie is no way to guess on"


@pytest.mark.parametrize("forged", ["x", "x.y", ".", "", "é.é", "a" * 300])
def test_a_device_cookie_is_ours_and_for_one_name(bench: Bench, clock: Clock, forged: str) -> None:
    client = bench.app.test_client()
    client.post("/login", data={"name": "vic", "password": PASSWORD})
    others = client.get_cookie(DEVICE_COOKIE)
    assert others is not None
    for _ in range(TRIES["pair"]):
        try_it(bench, "wrong")
    for cookie in (forged, others.value):
        visitor = bench.app.test_client()
        visitor.set_cookie(DEVICE_COOKIE, cookie)
        assert try_it(bench, PASSWORD, client=visitor).status_code == 429


def test_guesses_at_the_same_moment_are_no_more_than_one_after_the_other() -> None:
    guesses = Guesses(Clock())
    with ThreadPoolExecutor(16) as pool:
        waits = list(pool.map(lambda _: guesses.begin(marks("ada", "192.0.2.1", None)), range(64)))
    assert sum(wait == 0 for wait in waits) == TRIES["pair"]


def test_the_right_password_forgets_what_was_mistyped_and_not_what_others_did(bench: Bench, clock: Clock) -> None:
    for _ in range(3):
        for _ in range(TRIES["pair"] - 1):
            assert try_it(bench, "wrong").status_code == 401
        assert try_it(bench, PASSWORD).status_code == 303
    guesses = bench.app.extensions["thumbwheel_guesses"]
    assert len(guesses._times["name", "ada"]) == 3 * (TRIES["pair"] - 1)


def test_an_address_that_tries_many_names_waits_too() -> None:
    guesses, clock = Guesses(Clock()), Clock()
    waits = [guesses.begin(marks(f"name-{n}", "192.0.2.1", None)) for n in range(100)]
    assert sum(wait == 0 for wait in waits) == TRIES["address"]
    assert max(waits) <= LONGEST_WAIT_S and clock


def test_what_is_remembered_is_bounded() -> None:
    guesses = Guesses(Clock())
    for n in range(MOST_MARKS):
        guesses.begin(marks(f"n{n}" * 9, f"2001:db8:{n:x}::1", None))
    assert len(guesses._times) == MOST_MARKS


@pytest.mark.parametrize(("address", "counted"), [
    ("192.0.2.1", "192.0.2.1"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"), ("2001:db8::1", "2001:db8::/64"),
    ("::ffff:192.0.2.1", "192.0.2.1"), ("", ""), ("unix:", "unix:"),
])  # fmt: skip
def test_an_address_is_counted_by_the_network_one_household_has(address: str, counted: str) -> None:
    assert network(address) == counted
