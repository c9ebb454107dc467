"""Where Thumbwheel is and which keys to use: from the environment, else from what `thumbwheel up` left in its home."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


class SettingsError(Exception):
    """A setting is missing or malformed; the text says which, and what to do."""


@dataclass(frozen=True)
class DemoSettings:
    """Addresses and keys. The secret key stays in this process; pages get the public one."""

    host: str
    port: int
    collector_url: str
    gateway_url: str
    public_key: str
    secret_key: str


def load_settings(env: Mapping[str, str] = os.environ) -> DemoSettings:
    """Read THUMBWHEEL_* from `env`, keys also from HOME/dev.toml. Raises SettingsError."""
    host, port = _bind(env, "DEMO", 8703)
    home = Path(env.get("THUMBWHEEL_HOME", "data")).expanduser()
    keys = _dev_keys(home / "dev.toml")
    public = env.get("THUMBWHEEL_PUBLIC_KEY") or keys.get("public")
    secret = env.get("THUMBWHEEL_SECRET_KEY") or keys.get("secret")
    if not public or not secret:
        raise SettingsError(
            f"No keys: neither THUMBWHEEL_PUBLIC_KEY and THUMBWHEEL_SECRET_KEY nor {home / 'dev.toml'}. "
            "hint: start `thumbwheel up`, which makes them"
        )
    return DemoSettings(
        host=host,
        port=port,
        collector_url=_url(env, "COLLECTOR", 8700),
        gateway_url=_url(env, "GATEWAY", 8702),
        public_key=public,
        secret_key=secret,
    )


def _dev_keys(path: Path) -> dict[str, str]:
    try:
        return dict(tomllib.loads(path.read_text("utf-8")).get("keys", {}))
    except FileNotFoundError:
        return {}
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}") from error


def _bind(env: Mapping[str, str], name: str, port: int) -> tuple[str, int]:
    setting = f"THUMBWHEEL_{name}_BIND"
    text = env.get(setting, f"127.0.0.1:{port}")
    host, colon, number = text.rpartition(":")
    if not colon or not number.isdigit() or not 0 < int(number) < 65536:
        raise SettingsError(f"{setting}={text!r} is malformed. hint: it looks like 127.0.0.1:{port}")
    return host, int(number)


def _url(env: Mapping[str, str], name: str, port: int) -> str:
    given = env.get(f"THUMBWHEEL_{name}_URL")
    if given:
        return given.rstrip("/")
    host, number = _bind(env, name, port)
    return f"http://{'127.0.0.1' if host in ('', '0.0.0.0') else host}:{number}"
