"""The framework examples: typed, the same as in the guides, and harmless where a server renders them."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.browser.framework_site import EXAMPLES, need_vite

ROOT = Path(__file__).parents[2]
GUIDES = ("javascript.md", "javascript.zh-CN.md")

RENDER = """
const names = () => Reflect.ownKeys(globalThis).map(String);
const { createElement } = await import("react");
const { renderToString } = await import("react-dom/server");
const before = names();
const loaded = {};
for (const path of ["", "/elements", "/label", "/react"]) Object.assign(loaded, await import("@thumbwheel/sdk" + path));
loaded.defineElements();
loaded.defineLabel();
const props = { interaction: { interaction_id: "i-1", candidates: [{ candidate_id: "c-1" }] }, className: "mine" };
const render = (name) => renderToString(createElement(loaded["Thumbwheel" + name], props));
const tags = ["Thumbs", "Choice", "Workbench"].map(render);
console.log(JSON.stringify({ added: names().filter((name) => !before.includes(name)), tags }));
"""


def run(*command: str, cwd: Path = EXAMPLES) -> subprocess.CompletedProcess[str]:
    need_vite()
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120)


def test_a_server_imports_and_renders_the_package_without_a_trace(tmp_path: Path) -> None:
    packed = run("npm", "pack", "--silent", "--pack-destination", str(tmp_path), cwd=ROOT / "sdk" / "js")
    modules = tmp_path / "node_modules"
    (modules / "@thumbwheel").mkdir(parents=True)
    run("tar", "-xzf", packed.stdout.strip(), cwd=tmp_path)
    (tmp_path / "package").rename(modules / "@thumbwheel" / "sdk")
    for name in ("react", "react-dom"):
        (modules / name).symlink_to(EXAMPLES / "node_modules" / name)
    done = run("node", "--input-type=module", "--eval", RENDER, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    tags = [f'<thumbwheel-{name} class="mine"></thumbwheel-{name}>' for name in ("thumbs", "choice", "workbench")]
    assert json.loads(done.stdout) == {"added": [], "tags": tags}


def test_the_examples_are_typed() -> None:
    done = run("npm", "run", "--silent", "typecheck")
    assert done.returncode == 0, done.stdout


def test_vite_says_what_it_needs() -> None:
    done = run("npx", "--no-install", "vite", "build", "--outDir", "/nonexistent")
    assert done.returncode != 0
    assert "Set VITE_THUMBWHEEL_URL and VITE_THUMBWHEEL_KEY." in done.stderr


def test_the_lock_names_no_registry() -> None:
    locked = json.loads((EXAMPLES / "package-lock.json").read_text())["packages"]
    assert {package["resolved"] for package in locked.values() if "resolved" in package} == {"../../sdk/js"}


@pytest.mark.parametrize("guide", GUIDES)
def test_the_guide_shows_the_files_as_they_are(guide: str) -> None:
    text = (ROOT / "docs" / "guides" / guide).read_text("utf-8")
    shown = re.findall(r"^```\w+ (\S+)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert len(shown) >= 10
    for name, block in shown:
        assert (EXAMPLES / name).read_text("utf-8") == block, f"{guide} shows another {name}"


def test_both_languages_show_the_same_files() -> None:
    files = [
        re.findall(r"^```\w+ (\S+)$", (ROOT / "docs" / "guides" / guide).read_text("utf-8"), re.M) for guide in GUIDES
    ]
    assert files[0] == files[1]
