"""What a person writes as an origin or a project: kept as browsers send it, or refused with what was meant."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path

import pytest

from collector.access import origin_allowed
from contract.errors import ThumbwheelError
from contract.signing import signing_key
from control_store.control import Control
from control_store.keys import KeysFile
from control_store.origins import check_origin, check_project, meaning


@pytest.mark.parametrize(("given", "kept"), [
    ("https://shop.example", "https://shop.example"), ("https://shop.example/", "https://shop.example"),
    ("HTTPS://Shop.Example", "https://shop.example"), (" https://shop.example ", "https://shop.example"),
    ("https://*.shop.example", "https://*.shop.example"), ("http://*.localhost:3000", "http://*.localhost:3000"),
    ("http://localhost:5173", "http://localhost:5173"), ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
    ("http://[::1]:3000", "http://[::1]:3000"), ("null", "null"), ("capacitor://localhost", "capacitor://localhost"),
    ("chrome-extension://abcdefgh", "chrome-extension://abcdefgh"), ("https://xn--fiqs8s.example", "https://xn--fiqs8s.example"),
])  # fmt: skip
def test_an_origin_is_kept_as_a_browser_sends_it(given: str, kept: str) -> None:
    assert check_origin(given) == kept
    sent = kept.replace("*", "deep.in")
    assert origin_allowed([kept], sent)


@pytest.mark.parametrize(("given", "meant"), [
    ("*", "https://*.shop.example"), ("https://*", "https://*.shop.example"), ("https://*:443", "https://*.shop.example"),
    ("https://*.com", "https://*.shop.example"), ("*://shop.example", "https://*.shop.example"),
    ("https://shop.*", "https://*.shop.example"), ("https://*.*.shop.example", "https://*.shop.example"),
    ("https://a*.shop.example", "https://*.shop.example"), ("https://*shop.example", "https://*.shop.example"),
    ("https://shop.example/checkout", "https://shop.example."), ("https://shop.example/a/", "https://shop.example."),
    ("https://shop.example?x=1", "https://shop.example."), ("https://shop.example#top", "https://shop.example."),
    ("shop.example", "https://shop.example."), ("localhost:3000", "https://localhost:3000"),
    ("https://shop.example:443", "https://shop.example."), ("http://shop.example:80", "http://shop.example."),
    ("https://商店.example", "https://xn--"), ("https://a.example,https://b.example", "https://"), ("", "https://shop.example"),
    ("https://user@shop.example", "https://shop.example"), ("https://shop.example:99999", "http://localhost:3000"),
    ("https://a.example\nhttps://b.example", "https://"), ("https://", "https://shop.example"), ("https://a..b", "https://"),
])  # fmt: skip
def test_what_matches_no_page_is_refused_with_what_was_meant(given: str, meant: str) -> None:
    with pytest.raises(ThumbwheelError) as caught:
        check_origin(given)
    assert meant in caught.value.hint, caught.value.line()


@pytest.mark.parametrize(
    "name", ["", " ", "*", "..", ".", "../x", "a/b", "a b", "-x", "a\n", "商店", "a" * 129, "x\x00"]
)
def test_a_project_that_is_no_name_is_refused(home: Path, name: str) -> None:
    with pytest.raises(ThumbwheelError, match="no name of a project") as caught:
        check_project(name)
    assert "shop" in caught.value.hint
    control = Control.open(f"sqlite:///{home}/control.db")
    for kind in ("public", "secret"):
        with pytest.raises(ThumbwheelError, match="no name"):
            control.create_key(name, kind, ["https://shop.example"] if kind == "public" else ())
    assert control.list_keys() == []


@pytest.mark.parametrize("name", ["default", "shop", "shop-eu", "shop.2", "A_b", "9"])
def test_a_project_s_name_is_taken(name: str) -> None:
    assert check_project(name) == name


def test_a_wrong_origin_makes_no_key_and_one_that_is_named_twice_is_kept_once(home: Path) -> None:
    control = Control.open(f"sqlite:///{home}/control.db")
    with pytest.raises(ThumbwheelError):
        control.create_key("shop", "public", ["https://shop.example", "*"])
    assert control.list_keys() == []
    control.create_key("shop", "public", ["https://Shop.example/", "https://shop.example"])
    assert control.list_keys()[0].origins == ("https://shop.example",)


def test_an_origin_of_the_mounted_file_that_matches_no_page_is_said_and_the_key_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = "tw_sec_mounted"
    entry = {
        "key_id": "kfile", "kind": "public", "key_sha256": hashlib.sha256(text.encode()).hexdigest(),
        "signing_key": signing_key(text).hex(), "origins": ["*", "https://shop.example/", "https://ok.example"],
    }  # fmt: skip
    (tmp_path / "keys.json").write_text(json.dumps([entry]))
    with caplog.at_level(logging.WARNING):
        (key,) = KeysFile(tmp_path / "keys.json").keys().values()
    assert key.origins[2] == "https://ok.example"
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2 and "'*'" in said[0] and "kfile" in said[0] and "hint" in said[0]
    assert "write https://shop.example for" in said[1]


def test_what_an_origin_lets_in_is_said_where_it_is_more_than_its_site() -> None:
    assert "every host below shop.example" in meaning("https://*.shop.example")
    assert "sandboxed" in meaning("null") and meaning("https://shop.example") == ""
