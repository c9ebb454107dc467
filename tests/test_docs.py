"""Documentation is executable: what it lists exists, and what exists is listed."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from cli.main import cli
from contract.events import STAMPED_FIELDS, STRUCTS
from contract.meanings import MEANINGS
from runtime.setting_meanings import ABOUT
from runtime.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
READMES = ("README.md", "README.zh-CN.md")
FOLDERS = (
    "contract",
    "trials",
    "inference",
    "runtime",
    "control_store",
    "eventlog",
    "collector",
    "processor",
    "gateway",
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


def test_the_elements_properties_parts_and_attributes_are_those_listed() -> None:
    folder = ROOT / "sdk" / "js"
    source = "\n".join(file.read_text("utf-8") for file in (folder / "src" / "elements").glob("*.ts"))
    readme = (folder / "README.md").read_text("utf-8")
    properties = r"--thumbwheel-[a-z]+(?:-[a-z]+)*"
    assert set(re.findall(properties, source)) == set(re.findall(properties, readme))
    parts = readme.partition("**Parts**")[2]
    for part in re.findall(r'part: ["`]([a-z-]+)', source):
        assert f"`{part}`" in parts, part
    for attribute in re.findall(r'(?:get|has)Attribute\("((?!data-)[a-z-]+)"\)', source):
        assert re.search(rf"`{attribute}[`=]", readme), attribute
    for picture in re.findall(r"\]\(([^)]+)\)", readme):
        assert (folder / picture).exists(), picture


def test_every_setting_is_read() -> None:
    services = (*FOLDERS[: FOLDERS.index("sdk")], "cli")
    sources = "\n".join(
        file.read_text("utf-8") for service in services for file in (ROOT / service).rglob("*.py")
        if file.name != "settings.py"
    )  # fmt: skip
    for field in fields(Settings):
        family = re.sub(r"^(collector|console|gateway|demo)_(bind|url)$", r'f"{name}_\2"', field.name)
        assert re.search(rf"\.{field.name}\b", sources) or family in sources, f"{field.name} is read nowhere"


def test_every_field_and_setting_is_described_and_nothing_else_is() -> None:
    used = {name for cls in STRUCTS.values() for name in cls.__struct_fields__} - set(STAMPED_FIELDS) | {"type"}
    assert {name.rpartition(".")[2] for name in MEANINGS} == used
    assert set(ABOUT) == {field.name for field in fields(Settings)}
    assert all(one.en.strip() and one.zh.strip() for one in (*MEANINGS.values(), *ABOUT.values()))


def test_reference_pages_are_what_the_code_makes() -> None:
    """Run `make reference` when this fails."""
    made = subprocess.run(
        [sys.executable, "deploy/reference_pages.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.md")), ids=lambda page: page.name)
def test_every_link_of_the_documentation_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
        assert target.startswith("http") or (page.parent / target).exists(), target


PROSE = [page for name in ("concepts", "guides", "operations") for page in sorted((ROOT / "docs" / name).glob("*.md"))]


@pytest.mark.parametrize("page", PROSE, ids=lambda page: page.name)
def test_a_page_for_people_is_there_in_both_languages_with_the_same_parts(page: Path) -> None:
    name = page.name.replace(".md", ".zh-CN.md") if ".zh-CN" not in page.name else page.name.replace(".zh-CN", "")
    here, other = page.read_text("utf-8"), (page.parent / name).read_text("utf-8")
    assert f"]({name})" in here
    for mark in (r"^## ", r"^\|", r"^```"):
        assert len(re.findall(mark, here, re.MULTILINE)) == len(re.findall(mark, other, re.MULTILINE)), mark


@pytest.mark.parametrize("page", PROSE, ids=lambda page: page.name)
def test_the_commands_and_bench_programs_of_a_page_exist(page: Path) -> None:
    text = page.read_text("utf-8")
    for name in re.findall(r"\bbench\.([a-z_]+)", text):
        assert "__main__" in (ROOT / "bench" / f"{name}.py").read_text("utf-8"), name
    for command in re.findall(r"`thumbwheel ([a-z]+)", text):
        assert command in cli.commands, command
