"""Documentation is executable: what it lists exists, and what exists is listed."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from cli.main import cli
from eventlog.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
READMES = ("README.md", "README.zh-CN.md")
FOLDERS = (
    "eventlog",
    "collector",
    "processor",
    "trainer",
    "sdk",
    "cli",
    "examples",
    "tests",
    "bench",
    "deploy",
    "docs",
)


@pytest.mark.parametrize("readme", READMES)
def test_the_readme_names_each_folder_and_command(readme: str) -> None:
    text = (ROOT / readme).read_text("utf-8")
    for folder in FOLDERS:
        assert re.search(rf"^{folder}/", text, re.MULTILINE), f"{readme}'s tree lacks {folder}/"
    for command in cli.commands:
        assert f"`{command}`" in text, f"{readme} lacks the command {command}"


@pytest.mark.parametrize("readme", READMES)
def test_every_link_and_picture_of_the_readme_is_there(readme: str) -> None:
    text = (ROOT / readme).read_text("utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert target.startswith("http") or (ROOT / target).exists(), target


def test_every_setting_is_documented_and_read() -> None:
    text = (ROOT / "docs" / "reference" / "settings.md").read_text("utf-8")
    services = ("collector", "processor", "trainer", "cli", "eventlog")
    sources = "\n".join(
        file.read_text("utf-8") for service in services for file in (ROOT / service).rglob("*.py")
        if file.name != "settings.py"
    )  # fmt: skip
    for field in fields(Settings):
        assert f"`THUMBWHEEL_{field.name.upper()}`" in text, f"{field.name} is not documented"
        family = re.sub(r"^(collector|console|gateway|demo)_(bind|url)$", r'f"{name}_\2"', field.name)
        read = re.search(rf"\.{field.name}\b", sources) or family in sources
        assert read, f"{field.name} is read nowhere"


def test_documented_settings_exist() -> None:
    text = (ROOT / "docs" / "reference" / "settings.md").read_text("utf-8")
    known = {f"THUMBWHEEL_{field.name.upper()}" for field in fields(Settings)}
    table = set(re.findall(r"^\| `(THUMBWHEEL_[A-Z_]+)`", text, re.MULTILINE))
    assert table == known
