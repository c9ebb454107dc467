"""Pairs whose prompt shows images, for trainers of vision models: the data API in; rows of TRL's vision form out.

Our own trainer reads text only, so these pairs are in no dataset (`not_text`). Images stay what the product sent,
addresses or data URIs; nothing is fetched. A pair whose prompt holds more than texts and images is counted.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from runtime.data_api import Api

WHY_NOT = "not_text"


def image_rows(api: Api, left_out: Counter[str]) -> Iterator[dict[str, Any]]:
    """Yield {id, images, prompt, chosen, rejected} of each pair with images; others are counted by reason."""
    told: dict[str, list[dict[str, Any]]] = {}
    for pair in api.items("/api/v1/pairs", trainable="false", limit="500"):
        if pair["why_not"] != WHY_NOT:
            continue
        name = str(pair["interaction_id"])
        if name not in told:
            told[name] = api.get(f"/api/v1/interactions/{name}", limit="1")["messages"]
        images: list[str] = []
        prompt = [_message(message, images) for message in told[name]]
        replies = [_reply(pair["chosen"]), _reply(pair["rejected"])]
        if None in prompt:
            left_out["prompt holds more than texts and images"] += 1
        elif None in replies:
            left_out["a reply is more than text"] += 1
        elif not images:
            left_out["no image"] += 1
        else:
            chosen, rejected = replies
            yield {
                "id": str(pair["pair_id"]), "images": images, "prompt": prompt, "chosen": chosen, "rejected": rejected,
            }  # fmt: skip


def _message(message: dict[str, Any], images: list[str]) -> dict[str, Any] | None:
    """Return a message with marks where its images stand, which are appended; None where it holds something else."""
    content = message.get("content") or ""
    parts: list[Any] = [{"type": "text", "text": content}] if isinstance(content, str) else content
    made: list[dict[str, Any]] = []
    for part in parts:
        address = (part.get("image_url") or {}).get("url") if isinstance(part.get("image_url"), dict) else None
        if part.get("type") == "text" and isinstance(part.get("text"), str):
            made.append({"type": "text", "text": part["text"]})
        elif part.get("type") == "image_url" and isinstance(address, str):
            images.append(address)
            made.append({"type": "image"})
        else:
            return None
    return {"role": message["role"], "content": made}


def _reply(text: Any) -> list[dict[str, Any]] | None:
    """Return a reply's message; None for parts, which the tables hold as JSON."""
    if not isinstance(text, str) or not text.strip() or _is_parts(text):
        return None
    return [{"role": "assistant", "content": [{"type": "text", "text": text}]}]


def _is_parts(text: str) -> bool:
    if not text.startswith('[{"'):
        return False
    try:
        found = json.loads(text)
    except ValueError:
        return False
    return all(isinstance(part, dict) and "type" in part for part in found)
