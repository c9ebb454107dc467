"""How many rows of a kind a dataset takes: losers of a pick go before picks, replay stays a small share."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence

from contract.dataset_folder import CONFIGS
from processor.datasets.filters import Filters
from processor.datasets.rows import DataRow


def cap(rows: Sequence[DataRow], filters: Filters, dropped: Counter[str]) -> list[DataRow]:
    """Return the rows within `max_rows`, which cuts preference rows only, and `replay_share`, in order.

    What is cut is counted under "over_max_rows" and "over_replay_share". A pick's remaining pairs share its vote.
    """
    kept: list[DataRow] = []
    for config in CONFIGS:
        found = [row for row in rows if row.config == config]
        limit = filters.max_rows if config == "preference" and filters.max_rows is not None else len(found)
        kept.extend(_of_kind(found, limit, filters, dropped))
    return sorted(kept, key=lambda row: row.order)


def _of_kind(rows: Sequence[DataRow], limit: int, filters: Filters, dropped: Counter[str]) -> list[DataRow]:
    fresh = [row for row in rows if not row.replay]
    replay = [row for row in rows if row.replay]
    share = filters.replay_share
    reserved = min(len(replay), int(limit * share))
    kept_fresh = thin(fresh, max(0, limit - reserved), filters.salt)
    allowed = min(limit - len(kept_fresh), int(len(kept_fresh) * share / (1 - share) + 1e-9))
    kept_replay = thin(replay, allowed, filters.salt)
    dropped["over_max_rows"] += len(fresh) - len(kept_fresh)
    dropped["over_replay_share"] += len(replay) - len(kept_replay)
    return kept_fresh + kept_replay


def thin(rows: Sequence[DataRow], budget: int, salt: str) -> list[DataRow]:
    """Return at most `budget` rows: first every pick loses losers, the fullest first, then old picks go.

    Which losers go is decided by a salted hash; weights become 1 / (pairs kept of that pick).
    """
    if len(rows) <= budget:
        return list(rows)
    if budget <= 0:
        return []
    picks: dict[tuple[str, str], list[DataRow]] = defaultdict(list)
    for row in rows:
        picks[row.event_id, row.kind].append(row)
    newest = sorted(picks.values(), key=lambda pick: max(row.order for row in pick), reverse=True)[:budget]
    newest = [sorted(pick, key=lambda row: _hash(salt, row.id)) for pick in newest]
    most = max(len(pick) for pick in newest)
    depth = next(d for d in range(most, 0, -1) if sum(min(len(pick), d) for pick in newest) <= budget)
    spare = budget - sum(min(len(pick), depth) for pick in newest)
    kept: list[DataRow] = []
    for pick in newest:
        size = min(len(pick), depth)
        if spare and len(pick) > depth:
            size, spare = size + 1, spare - 1
        for row in pick[:size]:
            row.weight_num, row.weight_den = 1, size
        kept.extend(pick[:size])
    return kept


def _hash(salt: str, text: str) -> bytes:
    return hashlib.blake2b(f"{salt}\x1f{text}".encode(), digest_size=8).digest()
