"""In: an origin or a project's name as a person writes it. Out: as it is compared and kept, or an error that says how.

An origin is what a browser names as the place of a page: scheme, host and port, in lower case, without a path and
without the port a scheme has anyway (RFC 6454, section 6.2). Anything else would match no page, ever.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from contract.errors import ThumbwheelError

NO_ORIGIN = "null"
_PORTS = {"http": "80", "https": "443"}
_ORIGIN = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<wild>\*\.)?(?P<host>[a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(:(?P<port>\d{1,5}))?\Z"
)
_PROJECT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")


def check_project(name: str) -> str:
    """Return a project's name; raises ThumbwheelError for what is none: it is also the name of folders."""
    if not _PROJECT.match(name):
        raise ThumbwheelError(
            "project_name", f"{name[:80]!r} is no name of a project.",
            "Use up to 128 letters, digits, dots, dashes and underscores, such as shop or shop-eu, a letter or digit "
            "first.", "project",
        )  # fmt: skip
    return name


def check_origin(text: str) -> str:
    """Return an origin as it is kept; raises ThumbwheelError that says what is wrong and what was probably meant."""
    given = text.strip().lower()
    if given == NO_ORIGIN:
        return given
    if "*" in given.replace("://*.", "://", 1):
        raise _wrong(text, "names no site", "List each site, or all below one: https://*.shop.example.")
    if "://" not in given:
        raise _wrong(text, "has no scheme", f"Write https://{given.partition('/')[0] or 'shop.example'}.")
    bare = given.removesuffix("/") if given.count("/") == 3 else given
    scheme, _, rest = bare.partition("://")
    host = re.split(r"[/?#]", rest)[0]
    if host != rest:
        raise _wrong(text, "has a path: a key works on a whole site", f"Write {scheme}://{host}.")
    if not host.isascii():
        raise _wrong(text, "is not as browsers send it", f"Write {scheme}://{_punycode(host)}.")
    found = _ORIGIN.match(bare)
    if found is None or int(found["port"] or 1) not in range(1, 65536):
        raise _wrong(
            text, "is not scheme, host and port", "It looks like https://shop.example or http://localhost:3000."
        )
    if found["port"] and found["port"] == _PORTS.get(scheme):
        raise _wrong(
            text, f"names the port {scheme} has anyway, which browsers leave out", f"Write {bare.rpartition(':')[0]}."
        )
    if found["wild"] and "." not in found["host"] and found["host"] != "localhost":
        raise _wrong(text, f"lets in every site below .{found['host']}", "Name the site: https://*.shop.example.")
    return bare


def meaning(origin: str) -> str:
    """Return what an origin lets in, where that is not the one site it names."""
    if origin == NO_ORIGIN:
        return "pages without an origin: sandboxed frames, files, apps"
    below = origin.partition("://*.")[2]
    return f"every host below {below}, not {below} itself" if below else ""


def _punycode(host: str) -> str:
    try:
        return urlsplit(f"//{host.encode('idna').decode()}").netloc
    except UnicodeError:
        return "shop.example"


def _wrong(text: str, why: str, hint: str) -> ThumbwheelError:
    return ThumbwheelError("origin", f"The origin {text[:200]!r} {why}.", hint, "origin")
