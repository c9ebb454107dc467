"""A tiny base with adapters in a home, an engine over it, and the gateway as a real HTTP server."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from werkzeug.serving import make_server

from contract.events import Interaction, decode_stored
from contract.topics import EVENTS
from control_store.control import Control, CreatedKey
from eventlog.log import Log
from eventlog.opening import open_log
from gateway.aliases import Models
from gateway.app import create_app
from gateway.engine import Engine
from inference.base_model import load_model
from tests.trainer import tiny

CHAMPION, CHALLENGER = "ad-00000000000a", "ad-00000000000b"
OTHERS = tuple(f"ad-{number:012x}" for number in range(1, 8))


def save_adapter(base: Path, folder: Path, seed: int, spread: float | None = None) -> None:
    """Write a LoRA adapter with random weights: large enough to change what is said, or of the given spread."""
    torch.manual_seed(seed)
    config = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", init_lora_weights=spread is not None)
    model = get_peft_model(load_model(base, torch.float32), config)
    for name, weight in model.named_parameters():
        if spread is not None and "lora_B" in name:
            torch.nn.init.normal_(weight, std=spread)
    model.save_pretrained(folder)


@pytest.fixture(scope="session")
def stocked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a tiny base and adapters, shared by tests that change nothing in it."""
    torch.set_num_threads(1)
    home = tmp_path_factory.mktemp("stocked")
    base = tiny.save_base("llama", home / "models" / "base" / "tiny")
    for seed, name in enumerate((CHAMPION, CHALLENGER, *OTHERS)):
        save_adapter(base, home / "models" / "shop" / "adapters" / name, seed)
    return home


@pytest.fixture(scope="session")
def engine(stocked: Path) -> Iterator[Engine]:
    """An engine in float32, so that batches compare exactly."""
    made = Engine(stocked / "models" / "base" / "tiny", Models(stocked).folder, dtype="float32")
    yield made
    made.close()


@dataclass
class Gateway:
    """A running gateway with its log and keys."""

    url: str
    home: Path
    log: Log
    control: Control
    secret: CreatedKey
    public: CreatedKey
    service: CreatedKey

    def set_aliases(
        self, champion: str | None = None, challenger: str | None = None, baseline: str | None = None
    ) -> None:
        """Write the alias file as the trainer does."""
        body = {"version": 1, "champion": champion, "challenger": challenger, "baseline": baseline, "history": []}
        file = self.home / "models" / "shop" / "aliases.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.with_suffix(".new").write_text(json.dumps(body))
        file.with_suffix(".new").replace(file)

    def logged(self) -> list[Interaction]:
        """Return every interaction in the log."""
        records = self.log.reader({(EVENTS, 0): 0}).poll(10_000, 0)
        return [event for record in records if isinstance(event := decode_stored(record.value), Interaction)]


def serve(home: Path, engine: Any, log: Log) -> Iterator[Gateway]:
    """Serve the gateway on a free port."""
    control = Control.open(f"sqlite:///{home / 'control.db'}")
    app = create_app(Models(home), log, control, engine)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield Gateway(
            f"http://127.0.0.1:{server.port}", home, log, control, control.create_key("shop", "secret"),
            control.create_key("shop", "public", ["http://shop.test"]), control.create_key("*", "service"),
        )  # fmt: skip
    finally:
        server.shutdown()
        control.close()


@pytest.fixture
def gateway(stocked: Path, engine: Engine, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway over a home of its own that shares the adapters."""
    home = tmp_path / "home"
    (home / "models" / "shop").mkdir(parents=True)
    (home / "models" / "shop" / "adapters").symlink_to(stocked / "models" / "shop" / "adapters")
    log = open_log(f"sqlite:///{tmp_path / 'log' / 'events.db'}")
    yield from serve(home, engine, log)
    log.close()
