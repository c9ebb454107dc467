"""Name an interaction in an HTTP response, so that the page that shows a reply can give feedback on it.

    from thumbwheel.responses import attach
    return attach(jsonify(text=...), answer.thumbwheel)

Works with every response that has a `headers` mapping: Flask, Django, Starlette and FastAPI. In the page,
`Thumbwheel.interactionOf(response)` reads it back.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Optional, TypeVar

log = logging.getLogger("thumbwheel")

INTERACTION = "X-Thumbwheel-Interaction-Id"
CANDIDATES = "X-Thumbwheel-Candidate-Ids"
EXPOSE = "Access-Control-Expose-Headers"

R = TypeVar("R")


def attach(response: R, about: Optional[Mapping[str, Any]]) -> R:
    """Set the headers from `{"interaction_id", "candidates": [{"candidate_id"}]}`; return the response.

    With None, or ids that are no visible ASCII, nothing is set: a header must not carry what a client made up.
    """
    if not about:
        return response
    try:
        ids = [str(one["candidate_id"]) for one in about.get("candidates", [])]
        names = [str(about["interaction_id"]), *ids]
        if not all(_is_id(name) for name in names) or any("," in name for name in ids):
            log.warning("an interaction could not be attached: its ids are no visible ASCII")
            return response
        headers: Any = response.headers  # type: ignore[attr-defined]
        headers[INTERACTION] = names[0]
        headers[CANDIDATES] = ",".join(ids)
        # A page of another origin may read only what is named here.
        named = [part.strip() for part in (headers.get(EXPOSE) or "").split(",") if part.strip()]
        headers[EXPOSE] = ", ".join([*named, *(name for name in (INTERACTION, CANDIDATES) if name not in named)])
    except Exception as error:  # noqa: BLE001  (the host's response goes out, whatever is wrong with ours)
        log.warning("an interaction could not be attached: %s", type(error).__name__)
    return response


def _is_id(text: str) -> bool:
    return 1 <= len(text) <= 128 and all("!" <= letter <= "~" for letter in text)
