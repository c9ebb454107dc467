"""The catalogues of the console's texts, and the command that brings them up to date.

    python -m processor.console.locales        # extract, merge, compile; prints what is left to translate

English messages are their own translation. Chinese is written by hand in zh_Hans/LC_MESSAGES/messages.po.
"""

from __future__ import annotations

from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

HERE = Path(__file__).parent
LOCALES = ("en", "zh_Hans")
METHODS = [("**.py", "python"), ("templates/**.html", "jinja2")]
_FIXED = datetime(2026, 1, 1, tzinfo=UTC)
KEYWORDS = {
    "_": None, "gettext": None, "lazy_gettext": None, "ngettext": (1, 2),
}  # fmt: skip


def extracted() -> Catalog:
    """Return every message the console's code and templates hold."""
    catalog = Catalog(project="Thumbwheel", charset="utf-8")
    for filename, _, message, comments, context in extract_from_dir(HERE.parent, METHODS, {}, KEYWORDS):
        catalog.add(message, None, [(filename, 0)], auto_comments=comments, context=context)
    return catalog


def read(locale: str) -> Catalog:
    """Return the catalogue of one locale."""
    path = HERE / locale / "LC_MESSAGES" / "messages.po"
    if not path.exists():
        return _empty(locale)
    with path.open("rb") as file:
        return read_po(file, locale=locale)


def _empty(locale: str) -> Catalog:
    """Return a catalogue with a header that says the same every day, so that files change only with their texts."""
    return Catalog(
        locale=locale, project="Thumbwheel", version="1", charset="utf-8", fuzzy=False, creation_date=_FIXED,
        revision_date=_FIXED, header_comment="# Texts of the Thumbwheel console.", last_translator="Thumbwheel",
        language_team="Thumbwheel", copyright_holder="Thumbwheel", msgid_bugs_address="Thumbwheel",
    )  # fmt: skip


def updated(locale: str) -> Catalog:
    """Return a locale's catalogue with today's messages; English is filled in."""
    known = read(locale)
    catalog = _empty(locale)
    for message in extracted():
        if message.id:
            held = known.get(message.id)
            catalog.add(message.id, held.string if held and not held.fuzzy else None)
    if locale == "en":
        for message in catalog:
            if message.id:
                message.string = message.id
    return catalog


def missing(catalog: Catalog) -> list[str]:
    """Return the messages without a translation, or with a doubtful one."""
    found = []
    for message in catalog:
        strings = message.string if isinstance(message.string, tuple | list) else [message.string]
        if message.id and (message.fuzzy or not all(strings)):
            found.append(str(message.id))
    return found


def compiled(catalog: Catalog) -> bytes:
    """Return the catalogue as a .mo file."""
    buffer = BytesIO()
    write_mo(buffer, catalog)
    return buffer.getvalue()


def write(locale: str, catalog: Catalog) -> None:
    """Write the .po and .mo files of one locale."""
    folder = HERE / locale / "LC_MESSAGES"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "messages.po").open("wb") as file:
        write_po(file, catalog, width=120, no_location=True, sort_output=True, omit_header=False)
    (folder / "messages.mo").write_bytes(compiled(catalog))
