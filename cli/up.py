"""`thumbwheel up`: check, make credentials, start everything, say where it is, and look after it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path
from types import FrameType

from cli.checks import check_home, check_start
from cli.home import DevKeys, announce, ensure_dev_keys, owned
from cli.supervisor import ROOT, Program, Supervisor
from runtime.private import keep_private
from runtime.settings import PREFIX, Settings

DEMO_PRODUCT = ROOT / "examples" / "demo" / "__main__.py"


def programs(settings: Settings) -> list[Program]:
    """Return what runs on one machine; the demo product only where its files are."""
    console, collector, gateway = settings.console_bind.url, settings.collector_bind.url, settings.gateway_bind.url
    listed = [
        Program("processor", "processor", f"{console}/readyz", f"{console}/healthz"),
        Program("collector", "collector", f"{collector}/readyz", f"{collector}/healthz"),
        Program("gateway", "gateway", f"{gateway}/readyz", f"{gateway}/healthz"),
        Program("trainer", "trainer", settings.home / "run" / "trainer.ready"),
    ]
    if DEMO_PRODUCT.exists() and find_spec("openai"):
        demo = f"{settings.demo_bind.url}/healthz"
        listed.append(Program("demo", "examples.demo", demo, demo))
    return listed


def environment(settings: Settings, keys: DevKeys) -> dict[str, str]:
    """Return the environment of every process: all settings, since `thumbwheel.toml` is read where `up` was started.

    The working directory of the processes differs, so paths are absolute.
    """
    env = dict(os.environ)
    env.update({f"{PREFIX}{field.name.upper()}": str(getattr(settings, field.name)) for field in fields(settings)})
    env.update({
        "THUMBWHEEL_LOG": _absolute_store(settings.log_url),
        "THUMBWHEEL_CONTROL": _absolute_store(settings.control_url),
        "THUMBWHEEL_BASE_MODEL": _absolute(settings.base_model), "THUMBWHEEL_EMBEDDER": _absolute(settings.embedder),
        "THUMBWHEEL_CONTROL_KEY_FILE": str(settings.control_key_path.absolute()),
        "THUMBWHEEL_KEYS": str(Path(settings.keys).expanduser().absolute()) if settings.keys else "",
        "THUMBWHEEL_SERVICE_KEY": settings.service_key or keys.service,
        "THUMBWHEEL_PUBLIC_KEY": keys.public, "THUMBWHEEL_SECRET_KEY": keys.secret,
        "PYTHONUNBUFFERED": "1", "GOMP_SPINCOUNT": env.get("GOMP_SPINCOUNT", "20000"),
    })  # fmt: skip
    for name in ("collector", "console", "gateway"):
        url = getattr(settings, f"{name}_url") or getattr(settings, f"{name}_bind").url
        env[f"{PREFIX}{name.upper()}_URL"] = url
    return env


def _absolute(model: str) -> str:
    """Return a model folder's full path; names and hub ids stay as they are."""
    return str(Path(model).expanduser().absolute()) if model.startswith((".", "/", "~")) else model


def _absolute_store(url: str) -> str:
    """Return a store's address with the full path of its file; other addresses stay as they are."""
    scheme, found, path = url.partition("sqlite:///")
    return f"sqlite:///{Path(path).expanduser().absolute()}" if found and not scheme and path else url


@contextmanager
def running(settings: Settings, say: Callable[[str], None]) -> Iterator[tuple[Supervisor, DevKeys]]:
    """Start everything under this home and stop it at the end; raises ThumbwheelError when it cannot start."""
    tightened = keep_private(settings)
    check_home(settings.home)
    with owned(settings):
        for warning in check_start(settings):
            say(f"warning: {warning}")
        keys = ensure_dev_keys(settings)
        if tightened:
            say(tightened)
        supervisor = Supervisor(programs(settings), environment(settings, keys), settings.home / "logs", say)
        with _stopped_by_signal(supervisor):
            try:
                supervisor.start()
                announce(settings, supervisor.pids())
                yield supervisor, keys
            finally:
                for name in supervisor.stop():
                    say(f"{name} did not stop in time and was killed.")


@contextmanager
def _stopped_by_signal(supervisor: Supervisor) -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        supervisor.stopping = True

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def up(settings: Settings, say: Callable[[str], None]) -> None:
    """Run until Ctrl-C or SIGTERM."""
    say(f"Starting Thumbwheel in {settings.home}. The first start converts the base model (about a minute).")
    with running(settings, say) as (supervisor, keys):
        if supervisor.stopping:
            return
        for line in welcome(settings, keys, [program.name for program in supervisor.programs]):
            say(line)
        supervisor.watch()
        say("Stopping.")
    say("Stopped.")


def welcome(settings: Settings, keys: DevKeys, names: list[str]) -> list[str]:
    """Return what a person needs to know once everything is ready."""
    lines = ["", "Thumbwheel is ready."]
    if "demo" in names:
        lines.append(f"  chat demo       {settings.demo_bind.url}")
        lines.append(f"  workbench demo  {settings.demo_bind.url}/workbench")
    lines += [
        f"  console         {settings.console_bind.url}   login: {keys.user} / {keys.password or '(changed since)'}",
        f"  collector       {settings.collector_bind.url}",
        f"  model gateway   {settings.gateway_bind.url}/v1",
        f"  public key      {keys.public}",
        f"  it works from   {'  '.join(_grouped(keys.origins))}",
        "                  pages elsewhere: thumbwheel keys create public --origin http://localhost:PORT",
        f"  secret key      {keys.secret}",
        f"Kept in {settings.home / 'dev.toml'}. Ctrl-C stops everything; the next start continues here.",
        "In a second terminal, `thumbwheel demo` turns the wheel once by itself.",
    ]
    return lines


def _grouped(origins: Sequence[str]) -> list[str]:
    """Return origins with those that differ in nothing but the port together: http://localhost:3000,5173."""
    ports: dict[str, list[str]] = {}
    for origin in origins:
        site, colon, port = origin.rpartition(":")
        ports.setdefault(f"{site}:" if colon and port.isdigit() else origin, []).append(port if port.isdigit() else "")
    return [site + ",".join(sorted(found, key=int) if all(found) else []) for site, found in ports.items()]
