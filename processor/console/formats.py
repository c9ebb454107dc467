"""How values read on a page: times, shares, sizes, short ids; and codes in the reader's language."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from typing import Any

from flask import Flask
from flask_babel import format_datetime, format_decimal, format_percent, get_locale
from jinja2 import pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape

from contract.control_text import holds_control_text
from contract.curation.definitions import Words
from contract.finish_reasons import is_cut
from processor.console import charts, sentences, trial_words, words

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def install(app: Flask) -> None:
    """Give templates the filters and words."""
    for name, function in _FILTERS.items():
        app.add_template_filter(_per_page(function), name)
    app.add_template_global(charts.percent, "percent")
    for function in (words.reading_of, words.describe, words.guard_reading, words.shortcut_reading):
        app.add_template_global(function, function.__name__)
    app.add_template_test(is_cut, "cut")
    app.add_template_test(holds_control_text, "control_text")
    app.add_template_global(trial_words.standing, "trial_standing")
    app.add_template_global(trial_words.why, "trial_why")


def _per_page(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the filter as one that Jinja calls for every page.

    Of a literal Jinja calls a filter once, when it compiles the template, and every later page has that answer: in the
    language of the first. It cannot for one that takes the page's context.
    """

    @pass_context
    @wraps(function)
    def called(_: Context, *args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return called


def moment(value: datetime | None, form: str = "yyyy-MM-dd HH:mm:ss") -> Markup:
    """Return a <time> element in UTC, empty for none."""
    if value is None:
        return Markup("")
    at = value if value.tzinfo else value.replace(tzinfo=UTC)
    return Markup('<time datetime="{}">{}</time>').format(at.isoformat(), format_datetime(at, form))


def in_language(text: str | Words) -> str:
    """Return a text of a definition in the reader's language, or in the other where that one is missing."""
    if isinstance(text, str):
        return text
    return (text.zh or text.en) if str(get_locale()).startswith("zh") else (text.en or text.zh)


def share(value: float | None, digits: int = 0) -> str:
    """Return 0.831 as "83%"; a dash for none."""
    return "–" if value is None else str(format_percent(value, "#,##0%" if digits == 0 else "#,##0.0%"))


def whole(value: int | None) -> str:
    """Return a count with separators."""
    return "–" if value is None else str(format_decimal(value))


def figure(value: Any) -> str:
    """Return a number with as many digits as one reads."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) or abs(value) >= 1e6:
        return str(format_decimal(round(value)))
    return f"{value:.4g}"


def size(value: int | None) -> str:
    """Return bytes as B, KiB, MiB ..."""
    amount = float(value or 0)
    for unit in _UNITS:
        if amount < 1024 or unit == _UNITS[-1]:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return ""


def short(value: object, keep: int = 13) -> Markup:
    """Return a long id shortened for a table, whole in its title."""
    text = str(value or "")
    if len(text) <= keep + 1:
        return escape(text)
    return Markup('<span title="{}">{}…</span>').format(text, text[:keep])


def pretty(value: Any) -> str:
    """Return JSON to read."""
    return json.dumps(value, ensure_ascii=False, indent=2, default=str)


def _as_text(raw: bytes | None) -> str:
    return bytes(raw or b"").decode("utf-8", "replace")


def _with_adapter(history: list[dict[str, Any]], adapter_id: str) -> list[dict[str, Any]]:
    """Return one adapter's changes as the timeline shows them, newest first."""
    return [{"adapter_id": adapter_id, **change} for change in sorted(history, key=lambda c: c["at"], reverse=True)]


_FILTERS: dict[str, Callable[..., Any]] = {
    "moment": moment, "share": share, "whole": whole, "size": size, "short": short, "pretty": pretty,
    "figure": figure, "word": words.word, "name_of": words.name_of, "said": sentences.said,
    "list_pair": lambda value: (value, value), "word_pair": lambda value: (value, words.word(value)),
    "as_text": _as_text, "in_language": in_language, "with_adapter": _with_adapter,
}  # fmt: skip
