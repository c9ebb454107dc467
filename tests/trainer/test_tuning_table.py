"""Every cell of the table objective x tuning x family does what its page says, and the page is not stale."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.trainer import cells, tuning_table
from tests.trainer.families import FAMILIES, save_family
from tests.trainer.tuning_table import EN, FIRST, NOT_RUN, PAGES, ZH
from trainer.methods import NAMES
from trainer.tuning.table import TUNINGS

RECORDED = tuning_table.read(PAGES / EN)
OTHERS = [family for family in FAMILIES if family != FIRST]


@pytest.fixture(scope="session")
def family_base(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a family's tiny base, made when first asked for."""
    folder, made = tmp_path_factory.mktemp("families"), dict[str, Path]()

    def base(family: str) -> Path:
        if family not in made:
            made[family] = save_family(family, folder / family)
        return made[family]

    return base


def look(objective: str, tuning: str, family: str, base: Callable[[str], Path], folder: Path) -> None:
    if TUNINGS[tuning].bits and find_spec("bitsandbytes") is None:
        pytest.skip("bitsandbytes is not installed")
    assert cells.outcome(objective, tuning, base(family), folder) == RECORDED[objective, tuning, family]


@pytest.mark.parametrize("tuning", TUNINGS)
@pytest.mark.parametrize("objective", NAMES)
def test_one_family_under_every_objective(
    family_base: Callable[[str], Path], tmp_path: Path, objective: str, tuning: str
) -> None:
    look(objective, tuning, FIRST, family_base, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("tuning", TUNINGS)
@pytest.mark.parametrize("family", OTHERS)
def test_every_family_under_demonstrations(
    family_base: Callable[[str], Path], tmp_path: Path, family: str, tuning: str
) -> None:
    look("sft", tuning, family, family_base, tmp_path)


def test_the_page_holds_every_cell_and_is_written_from_todays_code() -> None:
    assert set(RECORDED) == set(tuning_table.every())
    looked_at = {cell: told for cell, told in RECORDED.items() if cell[0] == "sft" or cell[2] == FIRST}
    assert NOT_RUN not in looked_at.values()
    for page in (EN, ZH):
        assert (PAGES / page).read_text("utf-8") == tuning_table.render(RECORDED, page), "run: make table"
