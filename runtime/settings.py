"""Settings: environment variables `THUMBWHEEL_*` or `thumbwheel.toml`; the environment wins.

Read once, at the edge, and passed in. An unknown or malformed setting raises SettingsError that names it.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from contract.errors import SettingsError, ThumbwheelError
from contract.run_settings import check_project

PREFIX = "THUMBWHEEL_"
FILE_NAME = "thumbwheel.toml"
# The table of settings for training runs, and within it those of single projects.
TRAINING, PROJECTS = "training", "projects"
_BYTES = re.compile(r"(\d+(?:\.\d+)?)\s*(?:([KMGT])(i?)B?|B)?", re.I)
_SWITCH = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
# Below this a batch of the largest events does not go through.
LEAST_PROCESSOR_MEMORY = 256 * 2**20
# Kubernetes puts such names into every container beside a service called "thumbwheel-...".
_INJECTED = re.compile(r"_SERVICE_HOST$|_SERVICE_PORT(_.*)?$|_PORT$|_PORT_.*$")


@dataclass(frozen=True)
class Bind:
    """A host and port to listen on."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """Return the address as a person on this machine opens it."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "") else self.host
        return f"http://{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Settings:
    """Every setting, its default, and what it is for (docs/reference/settings.md lists them)."""

    home: Path = Path("data")
    log: str = ""
    control: str = ""
    control_key: str = ""
    control_key_file: str = ""
    base_model: str = "demo"
    model_api: str = ""
    model_api_key: str = ""
    embedder: str = "auto"
    keys: str = ""
    service_key: str = ""
    session_idle_hours: float = 12.0
    partitions: int = 0
    parts: str = ""
    processor_name: str = ""
    processor_holds: str = "all"
    processor_session_s: float = 60.0
    processor_memory: str = ""
    archive: str = ""
    archive_days: float = 7.0
    collector_bind: Bind = Bind("127.0.0.1", 8700)
    console_bind: Bind = Bind("127.0.0.1", 8701)
    gateway_bind: Bind = Bind("127.0.0.1", 8702)
    demo_bind: Bind = Bind("127.0.0.1", 8703)
    collector_url: str = ""
    console_url: str = ""
    gateway_url: str = ""
    collector_workers: int = 1
    collector_path: str = "/v1/events"
    collector_spool: str = ""
    collector_rate: float = 2000.0
    collector_actor_rate: float = 50.0
    log_requests: str = "refused"
    train_min_pairs: int = 300
    train_every_days: float = 7.0
    train_on_import: bool = True
    training: str = ""
    train_processes: int = 1
    train_backend: str = "local"
    train_image: str = ""
    train_accelerators: str = ""
    train_storage: str = ""
    train_price: float = 0.0
    promote_min_rate: float = 0.55
    promote_min_picks: int = 40
    trial_days: float = 14.0
    rater_wait_days: float = 3.0

    def training_of(self, project: str) -> dict[str, Any]:
        """Return what `training` says of a project's runs: what it says of the project, else of all."""
        body: dict[str, Any] = json.loads(self.training) if self.training else {}
        projects = body.pop(PROJECTS, {})
        return {**body, **projects.get(project, {})}

    @property
    def log_url(self) -> str:
        """Return the log's address; the embedded log under the home unless set."""
        return self.log or f"sqlite:///{self.home / 'log' / 'events.db'}"

    @property
    def control_url(self) -> str:
        """Return the control store's address; SQLite under the home unless set."""
        return self.control or f"sqlite:///{self.home / 'control.db'}"

    @property
    def control_key_path(self) -> Path:
        """Return the file of the control key: beside a store on SQLite, else in the home, unless set."""
        if self.control_key_file:
            return Path(self.control_key_file).expanduser()
        scheme, found, path = self.control_url.partition("sqlite:///")
        return Path(path).with_suffix(".key") if found and not scheme else self.home / "control.key"


# Named in the environment for the demo product and the SDKs; not settings of a service.
CLIENT_NAMES = frozenset({"PUBLIC_KEY", "SECRET_KEY", "TORCH_INDEX", "URL", "KEY", "PARENT_PID", "PYTHON"})


def load_settings(env: Mapping[str, str] | None = None, folder: Path | None = None) -> Settings:
    """Return the settings from the environment and `thumbwheel.toml` in `folder` (default: where one stands).

    Raises SettingsError for an unknown or malformed one.
    """
    env = os.environ if env is None else env
    values = _from_file((folder or Path.cwd()) / FILE_NAME)
    values.update(_from_environment(env))
    known = {field.name: field for field in fields(Settings)}
    parsed: dict[str, Any] = {}
    for name, (text, shown_as) in values.items():
        if name not in known:
            raise SettingsError(
                "unknown_setting", f"Unknown setting {shown_as}.",
                f"Known: {', '.join(sorted(PREFIX + n.upper() for n in known))}.", shown_as,
            )  # fmt: skip
        parsed[name] = _parse(known[name].default, text, shown_as)
    parsed["home"] = Path(parsed.get("home", Settings.home)).expanduser().absolute()
    settings = Settings(**parsed)
    _check(settings)
    return settings


def _from_file(path: Path) -> dict[str, tuple[str, str]]:
    if not path.exists():
        return {}
    try:
        body = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError("settings_file", f"{path} cannot be read: {error}", "Mend or remove the file.") from error
    values = {}
    for name, value in body.items():
        if name.lower() == TRAINING and isinstance(value, dict):
            values[TRAINING] = (json.dumps(value), f"[{name}] in {path.name}")
            continue
        if isinstance(value, dict | list):
            raise SettingsError("settings_file", f"{path}: {name} is a table or list.", "Write name = value.", name)
        values[name.lower()] = (str(value), f"{name} in {path.name}")
    return values


def _from_environment(env: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    values = {}
    for name, value in env.items():
        short = name.removeprefix(PREFIX)
        if not name.startswith(PREFIX) or short in CLIENT_NAMES or _INJECTED.search(name):
            continue
        values[short.lower()] = (value, name)
    return values


def _parse(default: Any, text: str, shown_as: str) -> Any:
    try:
        if isinstance(default, Bind):
            return parse_bind(text)
        if isinstance(default, bool):
            return _SWITCH[text.strip().lower()]
        return type(default)(text)
    except KeyError as error:
        raise SettingsError(
            "malformed_setting", f"{shown_as}={text!r} is malformed.", "Use true or false.", shown_as
        ) from error
    except ValueError as error:
        raise SettingsError(
            "malformed_setting", f"{shown_as}={text!r} is malformed.", f"It looks like {default}.", shown_as
        ) from error


def parse_bind(text: str) -> Bind:
    """Parse `host:port`; raises ValueError."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"not host:port: {text!r}")
    return Bind(host, int(port))


def parse_bytes(text: str) -> int:
    """Parse bytes with or without a unit: 4GiB and 4Gi are 4 * 1024**3, 4GB is 4 * 1000**3; raises ValueError."""
    found = _BYTES.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"not a number of bytes: {text!r}")
    number, unit, binary = found.groups()
    power = "KMGT".index(unit.upper()) + 1 if unit else 0
    return int(float(number) * (1024 if binary else 1000) ** power)


def without_secrets(address: str) -> str:
    """Return an address as it may be shown: without user, password and options."""
    scheme, found, rest = address.partition("?")[0].partition("://")
    return f"{scheme}{found}{rest.rpartition('@')[2]}"


def _check_training(text: str) -> None:
    """Raise SettingsError where `training` is no object of settings, or names a wrong one."""
    place = "THUMBWHEEL_TRAINING"
    try:
        body = json.loads(text)
        projects = body.pop(PROJECTS, {})
        for name, values in [("", body), *projects.items()]:
            place = f"training.{PROJECTS}.{name}" if name else TRAINING
            check_project(values)
    except ThumbwheelError as error:
        raise SettingsError(
            "malformed_setting", f"{place}: {error.message}", error.hint, error.field
        ) from error  # fmt: skip
    except (ValueError, TypeError, AttributeError) as error:
        raise SettingsError(
            "malformed_setting", f"THUMBWHEEL_TRAINING={text!r:.200} is malformed.",
            'It looks like {"rank": 8, "projects": {"shop": {"lr": 0.0001}}}.', "THUMBWHEEL_TRAINING",
        ) from error  # fmt: skip


def _check(settings: Settings) -> None:
    _check_processors(settings)
    if settings.training:
        _check_training(settings.training)
    if settings.log and not settings.log.startswith(("sqlite:///", "kafka://")):
        raise SettingsError(
            "malformed_setting", f"THUMBWHEEL_LOG={without_secrets(settings.log)!r} is malformed.",
            "Use sqlite:///path or kafka://host:9092.", "THUMBWHEEL_LOG",
        )  # fmt: skip
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", settings.collector_path):
        raise SettingsError(
            "malformed_setting", f"THUMBWHEEL_COLLECTOR_PATH={settings.collector_path!r} is no path.",
            "It looks like /v1/events.", "THUMBWHEEL_COLLECTOR_PATH",
        )  # fmt: skip
    if settings.log_requests not in ("refused", "all"):
        raise SettingsError(
            "malformed_setting", f"THUMBWHEEL_LOG_REQUESTS={settings.log_requests!r} is malformed.",
            "Use refused or all.", "THUMBWHEEL_LOG_REQUESTS",
        )  # fmt: skip
    if settings.session_idle_hours < 0:
        raise SettingsError(
            "malformed_setting", "THUMBWHEEL_SESSION_IDLE_HOURS is negative.", "Use hours such as 12; 0 is no such end."
        )
    if settings.archive_days < 0:
        raise SettingsError(
            "malformed_setting", "THUMBWHEEL_ARCHIVE_DAYS is negative.", "Use a number of days such as 7."
        )
    if not 0 < settings.promote_min_rate < 1:
        raise SettingsError(
            "malformed_setting", "THUMBWHEEL_PROMOTE_MIN_RATE lies outside 0..1.", "Use a share such as 0.55."
        )
    _check_backend(settings)
    for name in ("trial_days", "rater_wait_days"):
        if getattr(settings, name) <= 0:
            raise SettingsError(
                "malformed_setting", f"THUMBWHEEL_{name.upper()} is not above 0.", "Use a number of days such as 3."
            )


def _check_backend(settings: Settings) -> None:
    if settings.train_processes < 1:
        raise SettingsError(
            "malformed_setting", "THUMBWHEEL_TRAIN_PROCESSES is not above 0.", "Use 1, or the number of GPUs."
        )
    if settings.train_price < 0:
        raise SettingsError(
            "malformed_setting", "THUMBWHEEL_TRAIN_PRICE is negative.", "Use the price of a million tokens."
        )
    if settings.train_backend == "local":
        return
    if settings.train_backend in ("openai", "zhipu"):
        if not settings.model_api:
            raise SettingsError(
                "missing_setting", f"Training by {settings.train_backend} needs THUMBWHEEL_MODEL_API.",
                "It is the address that serves base and tuned model, such as https://api.openai.com/v1.",
                "THUMBWHEEL_MODEL_API",
            )  # fmt: skip
        return
    if settings.train_backend not in ("skypilot", "trainjob"):
        raise SettingsError(
            "malformed_setting", f"THUMBWHEEL_TRAIN_BACKEND={settings.train_backend!r} is malformed.",
            "Use local, skypilot, trainjob, openai or zhipu.", "THUMBWHEEL_TRAIN_BACKEND",
        )  # fmt: skip
    for name in ("train_image", "train_storage"):
        if not getattr(settings, name):
            raise SettingsError(
                "missing_setting", f"Training by {settings.train_backend} needs THUMBWHEEL_{name.upper()}.",
                "See docs/guides/elsewhere.md.", f"THUMBWHEEL_{name.upper()}",
            )  # fmt: skip
    if settings.train_accelerators and not re.fullmatch(r"[A-Za-z0-9._-]+:\d+", settings.train_accelerators):
        raise SettingsError(
            "malformed_setting", f"THUMBWHEEL_TRAIN_ACCELERATORS={settings.train_accelerators!r} is malformed.",
            "It looks like H100:1.", "THUMBWHEEL_TRAIN_ACCELERATORS",
        )  # fmt: skip


def _check_processors(settings: Settings) -> None:
    if settings.processor_holds not in ("all", "own"):
        raise SettingsError(
            "malformed_setting", f"THUMBWHEEL_PROCESSOR_HOLDS={settings.processor_holds!r} is malformed.",
            "Use all or own.", "THUMBWHEEL_PROCESSOR_HOLDS",
        )  # fmt: skip
    if settings.processor_name and not re.fullmatch(r"[A-Za-z0-9_-]{1,100}", settings.processor_name):
        raise SettingsError(
            "malformed_setting", f"THUMBWHEEL_PROCESSOR_NAME={settings.processor_name!r} is malformed.",
            "Use letters, digits, - and _, such as processor-0.", "THUMBWHEEL_PROCESSOR_NAME",
        )  # fmt: skip
    if settings.processor_memory:
        _check_memory(settings.processor_memory)
    if not 6 <= settings.processor_session_s <= 1800:
        raise SettingsError(
            "malformed_setting", "THUMBWHEEL_PROCESSOR_SESSION_S lies outside 6..1800.",
            "Use seconds, more than a restart takes.", "THUMBWHEEL_PROCESSOR_SESSION_S",
        )  # fmt: skip


def _check_memory(text: str) -> None:
    try:
        size = parse_bytes(text)
    except ValueError:
        size = 0
    if size < LEAST_PROCESSOR_MEMORY:
        raise SettingsError(
            "malformed_setting", f"THUMBWHEEL_PROCESSOR_MEMORY={text!r} is malformed, or less than 256MiB.",
            "Use bytes or a unit, such as 4GiB; leave it out for a share of what there is.",
            "THUMBWHEEL_PROCESSOR_MEMORY",
        )  # fmt: skip


def check_processor(settings: Settings) -> None:
    """Raise SettingsError where a processor cannot be one of several with these settings."""
    if not settings.parts:
        return
    if not settings.log.startswith("kafka://"):
        raise SettingsError(
            "parts_without_kafka", "THUMBWHEEL_PARTS is set, but the log is not on Kafka.",
            "The embedded log has one partition and one processor: leave THUMBWHEEL_PARTS out.", "THUMBWHEEL_PARTS",
        )  # fmt: skip
    if not settings.processor_name:
        raise SettingsError(
            "processor_unnamed", "Several processors share the log, but this one has no name.",
            "Set THUMBWHEEL_PROCESSOR_NAME to a name that no other has and that outlives a restart.",
            "THUMBWHEEL_PROCESSOR_NAME",
        )  # fmt: skip
