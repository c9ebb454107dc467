"""Both languages are complete, and what is compiled is what is written."""

from __future__ import annotations

import re
from io import BytesIO

import pytest
from babel.messages.mofile import read_mo

from processor.console import locales


@pytest.mark.parametrize("locale", locales.LOCALES)
def test_every_text_is_translated(locale: str) -> None:
    written = locales.read(locale)
    wanted = {message.id for message in locales.extracted() if message.id}
    known = {message.id for message in written if message.id}
    assert wanted - known == set(), "run: python -m processor.console.locales"
    assert known - wanted == set(), "texts no page shows; run: python -m processor.console.locales"
    assert locales.missing(written) == []


@pytest.mark.parametrize("locale", locales.LOCALES)
def test_the_compiled_catalogue_is_what_is_written(locale: str) -> None:
    path = locales.HERE / locale / "LC_MESSAGES" / "messages.mo"
    compiled = read_mo(BytesIO(path.read_bytes()))
    for message in locales.read(locale):
        if message.id:
            assert _strings(compiled.get(message.id).string) == _strings(message.string)


def _strings(value: object) -> list[object]:
    return list(value) if isinstance(value, tuple | list) else [value]


def test_chinese_keeps_every_placeholder() -> None:
    for message in locales.read("zh_Hans"):
        ids = message.id if isinstance(message.id, tuple) else (message.id,)
        strings = message.string if isinstance(message.string, tuple) else (message.string,)
        if message.id:
            wanted = set(re.findall(r"%\(\w+\)s", ids[-1]))
            for string in strings:
                assert set(re.findall(r"%\(\w+\)s", string)) == wanted, message.id
