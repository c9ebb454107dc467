"""Thumbwheel's Python SDK: feedback from a chat product's backend to the collector. Standard library only."""

from __future__ import annotations

from typing import Any, Optional

from thumbwheel.client import Client, Result
from thumbwheel.signing import sign_candidate

__version__ = "0.1.0"
__all__ = ["Client", "Result", "init", "sign_candidate"]

_client: Client | None = None


def init(url: str, key: str, **options: Any) -> Client:
    """Make the process-wide client and return it; a second call replaces it. Options: see `Client`."""
    global _client
    if _client is not None:
        _client.shutdown(timeout_s=1.0)
    _client = Client(url, key, **options)
    return _client


def __getattr__(name: str) -> Any:
    """Offer the calls of the client made by `init` on the module itself: `thumbwheel.thumb(...)`."""
    if name.startswith("_") or not hasattr(Client, name):
        raise AttributeError(f"module 'thumbwheel' has no attribute {name!r}")
    if _client is None:
        raise RuntimeError("thumbwheel.init(url, key) has not been called")
    return getattr(_client, name)
