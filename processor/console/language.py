"""Language, colours and project of a page: `?lang=`, `?theme=` set a cookie, `?project=` stays in the address."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from flask import Flask, Response, current_app, g, redirect, request
from flask_babel import Babel, get_locale, lazy_gettext

from processor.console.permissions import permission_of
from processor.queries.reading import MAX_CHOICES

LOCALES = {"en": "English", "zh_Hans": "简体中文"}
THEMES = ("system", "light", "dark")
# The navigation, in order.
SCREENS = (
    ("overview.show", lazy_gettext("Overview")),
    ("interactions.index", lazy_gettext("Interactions")),
    ("pairs.index", lazy_gettext("Pairs")),
    ("datasets.index", lazy_gettext("Datasets")),
    ("runs.index", lazy_gettext("Runs")),
    ("adapters.index", lazy_gettext("Adapters")),
    ("trials.index", lazy_gettext("Blind tests")),
    ("tasks.index", lazy_gettext("Tasks")),
    ("labels.index", lazy_gettext("Labels")),
    ("campaigns.index", lazy_gettext("Campaigns")),
    ("rejected.index", lazy_gettext("Rejected events")),
)
LOCALES_FOLDER = Path(__file__).parent / "locales"
_COOKIES = {"lang": ("thumbwheel_lang", LOCALES), "theme": ("thumbwheel_theme", THEMES)}
_YEAR_S = 365 * 86_400
_PAGES_WITHOUT_PROJECT = frozenset({"static", "access.login", "access.logout"})


def install(app: Flask) -> None:
    """Choose language and colours per request, and keep the project in every link."""
    app.config["BABEL_TRANSLATION_DIRECTORIES"] = str(LOCALES_FOLDER)
    Babel(app, locale_selector=chosen_locale, timezone_selector=lambda: "UTC")
    app.before_request(_switch)
    app.url_defaults(_keep_project)
    app.context_processor(_page_words)


def chosen_locale() -> str:
    """Return the locale of this request: the cookie's, else the best the browser asks for."""
    cookie = request.cookies.get("thumbwheel_lang", "")
    if cookie in LOCALES:
        return cookie
    best = request.accept_languages.best_match(["en", "zh-Hans", "zh-CN", "zh"])
    return "zh_Hans" if best and best.startswith("zh") else "en"


def chosen_theme() -> str:
    """Return light, dark or system."""
    cookie = request.cookies.get("thumbwheel_theme", "")
    return cookie if cookie in THEMES else "system"


def _switch() -> Response | None:
    """Turn `?lang=` and `?theme=` into cookies and come back without them."""
    wanted = {name: request.args[name] for name in _COOKIES if name in request.args}
    if request.method != "GET" or not wanted or request.path.startswith("/api/"):
        return None
    rest = [(name, value) for name, value in request.args.items(multi=True) if name not in _COOKIES]
    response = redirect(request.path + (f"?{urlencode(rest)}" if rest else ""))
    for name, value in wanted.items():
        cookie, known = _COOKIES[name]
        if value in known:
            response.set_cookie(cookie, value, max_age=_YEAR_S, samesite="Lax", secure=request.is_secure)
    assert isinstance(response, Response)
    return response


def _keep_project(endpoint: str, values: dict[str, Any]) -> None:
    project = g.get("project", "default")
    if project != "default" and endpoint not in _PAGES_WITHOUT_PROJECT and not endpoint.startswith("health."):
        values.setdefault("project", project)


def _page_words() -> dict[str, Any]:
    locale = str(get_locale() or "en")
    return {
        "locale": locale,
        "html_lang": locale.replace("_", "-"),
        "locales": LOCALES,
        "theme": chosen_theme(),
        "project": g.get("project", "default"),
        "switch": _switch_link,
        "most_choices": MAX_CHOICES,
        "screens": [(endpoint, str(name)) for endpoint, name in SCREENS if _may_open(endpoint)],
    }


def _may_open(endpoint: str) -> bool:
    caller = g.get("user")
    return caller is not None and caller.may(permission_of(current_app.view_functions[endpoint]))


def _switch_link(**changes: str | None) -> str:
    """Return this page's address with some parameters changed; None leaves one out."""
    arguments = {name: value for name, value in {**request.args.to_dict(), **changes}.items() if value is not None}
    return f"{request.path}?{urlencode(arguments)}" if arguments else request.path
