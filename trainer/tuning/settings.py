"""The settings of each way of tuning, as they stand in `--params` beside those of the objective. Needs no torch.

In: a tuning's dataclass and the run's params. Out: the dataclass filled in. A setting that another tuning has and this
one has not is refused: a run that silently leaves it out would not be the one that was asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, get_args, get_type_hints

from contract.errors import ThumbwheelError

# Largest rank that is served: vLLM slows down with the rank cap, even for base requests (vllm#14435, #9143).
MAX_RANK = 32
# More virtual tokens take room from every prompt; Lester et al. 2021 (2104.08691) see no gain beyond 100.
MAX_VIRTUAL_TOKENS = 100
HEAD = "lm_head"


@dataclass(frozen=True)
class LoraSettings:
    """A LoRA: `layers` are blocks by number (-1 is the last) and `modules` linear layers by name; none means all."""

    rank: int = 16
    alpha: int = 32
    layers: tuple[int, ...] = ()
    modules: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a rank no server takes, and the head, whose log-probabilities TRL computes past the adapter."""
        _within("rank", self.rank, MAX_RANK, "Serve-able adapters stay within it.")
        if any(name.split(".")[-1] == HEAD for name in self.modules):
            raise ThumbwheelError(
                "bad_setting", f"An adapter on {HEAD} would not be trained: the loss is computed past it.",
                "Name other modules, such as q_proj and v_proj, or leave modules out.", "modules",
            )  # fmt: skip


@dataclass(frozen=True)
class FullSettings:
    """All weights are tuned: there is nothing to choose."""


@dataclass(frozen=True)
class FrozenSettings:
    """Which parts stay as they are: blocks by number (-1 is the last), and modules by a part of their name.

    Without `frozen_layers` the lower half of the blocks is frozen.
    """

    frozen_layers: tuple[int, ...] = ()
    frozen_modules: tuple[str, ...] = ("embed_tokens",)


@dataclass(frozen=True)
class ProgressiveSettings:
    """In how many stages blocks are unfrozen, the last blocks first (Howard and Ruder 2018, 1801.06146)."""

    stages: int = 3

    def __post_init__(self) -> None:
        """Refuse one stage, which is a full run."""
        if self.stages < 2:
            raise ThumbwheelError(
                "bad_setting", "stages=1 unfreezes everything at once.", "Use --tuning full for that.", "stages"
            )


@dataclass(frozen=True)
class PromptSettings:
    """How many virtual tokens stand before every prompt."""

    virtual_tokens: int = 20

    def __post_init__(self) -> None:
        """Refuse more than are served."""
        _within("virtual_tokens", self.virtual_tokens, MAX_VIRTUAL_TOKENS, "They take room from every prompt.")


def _within(name: str, value: int, most: int, why: str) -> None:
    if not 1 <= value <= most:
        raise ThumbwheelError("bad_setting", f"{name}={value} is outside 1..{most}.", why, name)


EVERY = (LoraSettings, FullSettings, FrozenSettings, ProgressiveSettings, PromptSettings)
NAMES = frozenset(field.name for kind in EVERY for field in fields(kind))


def make_settings(tuning: str, kind: type[Any], params: Mapping[str, Any]) -> Any:
    """Return the settings of a tuning; raises ThumbwheelError `bad_setting` for a malformed or a foreign one."""
    known = {field.name for field in fields(kind)}
    types = get_type_hints(kind)
    values = {}
    for name in NAMES & params.keys():
        if name not in known:
            raise ThumbwheelError(
                "bad_setting", f"{name} means nothing to the tuning {tuning}.",
                f"It has {', '.join(sorted(known)) or 'no settings'}.", name,
            )  # fmt: skip
        values[name] = _typed(name, params[name], types[name])
    return kind(**values)


def _typed(name: str, value: Any, kind: Any) -> Any:
    """Return a number, or a tuple of numbers or names; one alone counts as a tuple of one."""
    inner = get_args(kind)
    parts = value if inner and isinstance(value, list | tuple) else [value]
    wanted = inner[0] if inner else kind
    if any(isinstance(part, bool) or not isinstance(part, wanted) for part in parts):
        example = {int: "[0, -1]", str: '["q_proj"]'}[wanted] if inner else "16"
        raise ThumbwheelError("bad_setting", f"{name}={value!r} is malformed.", f"It looks like {example}.", name)
    return tuple(parts) if inner else parts[0]
