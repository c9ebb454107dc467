"""The JavaScript SDK's own checks. Each skips where Node or its kept build tools are absent."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

SDK = Path(__file__).parents[2] / "sdk" / "js"


def npm_run(script: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("Node.js is not installed")
    if not (SDK / "node_modules" / "esbuild").is_dir():
        pytest.skip("sdk/js/node_modules is absent: run `npm ci` in sdk/js")
    return subprocess.run(["npm", "run", "--silent", script], cwd=SDK, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("script", ["typecheck", "test", "check-dist"])
def test_sdk_passes(script: str) -> None:
    done = npm_run(script)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]


def test_bundles_are_within_their_size_budget() -> None:
    done = npm_run("size")
    assert done.returncode == 0, done.stdout
    assert len(re.findall(r"B gzip", done.stdout)) == 5


def test_lock_file_names_no_registry() -> None:
    assert '"resolved"' not in (SDK / "package-lock.json").read_text()


def test_the_package_has_no_runtime_dependencies() -> None:
    package = json.loads((SDK / "package.json").read_text())
    assert "dependencies" not in package
    assert package["license"] == "Apache-2.0"


def test_every_file_the_package_names_is_built() -> None:
    package = json.loads((SDK / "package.json").read_text())
    named = {package["main"], package["types"], package["unpkg"]}
    for export in package["exports"].values():
        named |= set(export.values()) if isinstance(export, dict) else {export}
    assert [name for name in sorted(named) if not (SDK / name).is_file()] == []


def test_no_file_of_shared_cases_is_forgotten() -> None:
    tests = "".join(path.read_text("utf-8") for path in (SDK / "test").glob("*.test.ts"))
    files = sorted((SDK.parent / "conformance").glob("*.json"))
    assert files
    assert [one.name for one in files if f'cases("{one.stem}")' not in tests and f'"{one.name}"' not in tests] == []
