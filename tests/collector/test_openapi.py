"""What /v1/openapi.json says holds at the real process: schemathesis asks every address all it can think of."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from .conftest import Bench

CASES = 60
SEED = 20_261_126


def test_every_address_is_described(bench: Bench) -> None:
    described = set(bench.client.get("/v1/openapi.json").get_json()["paths"])
    served = {str(rule).replace("<", "{").replace(">", "}") for rule in bench.client.application.url_map.iter_rules()}
    assert described == served | {bench.settings.collector_path}


@pytest.mark.slow
def test_the_collector_does_what_its_openapi_document_says(start: Any) -> None:
    """An event that is wrong is rejected alone, in a 207: `negative_data_rejection` asks for 4xx, so it is left out.

    Without the pattern the address of the document itself would be left out too.
    """
    with start(COLLECTOR_RATE="0") as running:
        command = [
            sys.executable, "-m", "schemathesis.cli", "run", f"{running.url}/v1/openapi.json", "--seed", str(SEED),
            "--checks", "all", "--exclude-checks", "negative_data_rejection", "--max-examples", str(CASES),
            "--header", f"Authorization: Bearer {running.secret}", "--suppress-health-check", "all",
            "--include-path-regex", ".",
        ]  # fmt: skip
        done = subprocess.run(command, cwd=running.home, capture_output=True, text=True, timeout=300)
        print(done.stdout[-3000:])
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
        assert "Selected: 7/7" in done.stdout
        assert running.get("/readyz")[0] == 200
