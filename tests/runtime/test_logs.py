"""The lines services write: JSON, with what is needed to find a fault and nothing a person wrote."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from contract.errors import ThumbwheelError
from runtime.logs import JsonLines, for_a_person

SERVICES = ("collector", "processor", "trainer", "gateway")


def told(error: Exception) -> dict[str, Any]:
    try:
        raise error
    except type(error):
        record = logging.LogRecord("a.b", logging.ERROR, __file__, 1, "It %s.", ("failed",), sys.exc_info())
    line = JsonLines("processor").format(record)
    assert "\n" not in line
    found: dict[str, Any] = json.loads(line)
    return found


def test_a_line_names_when_who_and_what() -> None:
    record = logging.LogRecord("a.b", logging.WARNING, __file__, 1, "快 %d", (7,), None)
    record.fields = {"request_id": "r-1"}
    line = JsonLines("gateway").format(record)
    found = json.loads(line)
    assert found.pop("time").endswith("Z")
    assert found == {
        "level": "warning", "service": "gateway", "logger": "a.b", "message": "快 7", "request_id": "r-1",
    }  # fmt: skip
    assert for_a_person(line) == "快 7"


def test_an_exception_is_told_by_its_kind_and_place_without_what_it_quotes() -> None:
    found = told(ValueError("cannot read 'my diagnosis is'"))
    assert found["error"] == "ValueError" and any("test_logs.py" in place for place in found["at"])
    assert "diagnosis" not in json.dumps(found)


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (ThumbwheelError("c", "The log is full.", "Make room."), "Make room."),
        (OSError(28, "No space left"), "No space"),
    ],
)
def test_what_we_or_the_system_say_is_kept(error: Exception, why: str) -> None:
    assert why in told(error)["why"]


def test_a_line_of_another_form_is_shown_to_a_person_as_it_is() -> None:
    for line in ("Port 8700 cannot be used.  hint: stop it", "[1, 2]", "{}", ""):
        assert for_a_person(line) == line


@pytest.mark.parametrize("module", SERVICES)
def test_every_service_logs_in_this_form(module: str) -> None:
    source = (Path(__file__).parents[2] / module.replace(".", "/") / "__main__.py").read_text("utf-8")
    name = {"gateway": "gateway"}.get(module, module)
    assert f'configure_logging("{name}")' in source and "basicConfig" not in source


def test_warnings_of_libraries_are_lines_too() -> None:
    program = (
        "import warnings; from runtime.logs import configure_logging; configure_logging('t'); warnings.warn('old')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert "old" in json.loads(done.stderr)["message"]
