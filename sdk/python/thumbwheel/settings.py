"""Checks of what a client is made with. In: its settings. Out: ValueError that names a wrong one, or nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from thumbwheel.delivery.spool import prepare


def prepared(spool: str | os.PathLike[str], sync: bool) -> Path:
    """Return the folder of the spool, which is there and can be locked."""
    if sync:
        raise ValueError(
            "thumbwheel: spool is for what waits; with sync=True nothing does, the Result says what to repeat"
        )
    try:
        return prepare(spool)
    except (OSError, TypeError, ValueError) as error:
        raise ValueError(f"thumbwheel: spool={spool!r} cannot hold files ({error})") from None


def check_settings(
    url: str, key: str, actor: object, consent: object, path: str, max_events: int, max_bytes: int,
    timeout: float, exit_timeout: float,
) -> None:  # fmt: skip
    """Raise ValueError for the first that is wrong."""
    parts = urlsplit(url) if isinstance(url, str) else None
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"thumbwheel: url={url!r} is no address such as 'https://feedback.example.com'")
    if not isinstance(key, str) or not key.startswith("tw_") or not key.isascii() or not key.isprintable():
        raise ValueError("thumbwheel: key is no Thumbwheel key (tw_pub_..., tw_sec_...)")
    if actor is not None and not isinstance(actor, (str, Mapping)):
        raise ValueError("thumbwheel: actor is an id or {'id': ..., 'kind': ...}")
    if consent not in (None, "granted", "required"):
        raise ValueError(f"thumbwheel: consent={consent!r} is neither 'granted' nor 'required'")
    if not isinstance(path, str) or not path.startswith("/"):
        raise ValueError(f"thumbwheel: path={path!r} does not begin with '/'")
    if min(max_events, max_bytes, timeout) <= 0 or exit_timeout < 0:
        raise ValueError("thumbwheel: max_events, max_bytes and timeout are above 0, exit_timeout is not below 0")
