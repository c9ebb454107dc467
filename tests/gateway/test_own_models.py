"""What cannot share a batch with the base is served as a model of its own, and still takes part in 2+2."""

from __future__ import annotations

import http.client
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import torch
from peft import LoraConfig, PrefixTuningConfig, get_peft_model

from contract.errors import ThumbwheelError
from eventlog.opening import open_log
from gateway import adapters
from gateway.aliases import Models
from gateway.engine import Engine
from inference.base_model import load_model
from inference.replies import Generation, Sampling
from inference.tuned import OWN, VIRTUAL, form_of
from tests.gateway.conftest import CHAMPION, Gateway, save_adapter, serve
from tests.gateway.test_candidates import ASK, COLD, post
from tests.trainer import tiny

LORA, WHOLE, DORA, PREFIX, OTHER = CHAMPION, "ad-0000000000f1", "ad-0000000000f2", "ad-0000000000f3", "ad-0000000000f4"


def save_whole(base: Path, folder: Path, seed: int) -> None:
    """Write a model whose weights are others."""
    torch.manual_seed(seed)
    model = load_model(base, torch.float32)
    for weight in model.parameters():
        weight.data += torch.randn_like(weight) * 0.05
    model.save_pretrained(folder)


def save_peft(base: Path, folder: Path, config: Any) -> None:
    """Write a PEFT adapter with random weights."""
    torch.manual_seed(5)
    model = get_peft_model(load_model(base, torch.float32), config)
    for weight in (weight for weight in model.parameters() if weight.requires_grad):
        weight.data += torch.randn_like(weight) * 0.3
    model.save_pretrained(folder)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with one adapter of each form."""
    torch.set_num_threads(1)
    made = tmp_path_factory.mktemp("own")
    base = tiny.save_base("llama", made / "models" / "base" / "tiny")
    folder = made / "models" / "shop" / "adapters"
    save_adapter(base, folder / LORA, 3)
    save_whole(base, folder / WHOLE, 4)
    save_whole(base, folder / OTHER, 8)
    targets = {"target_modules": "all-linear", "task_type": "CAUSAL_LM"}
    save_peft(base, folder / DORA, LoraConfig(r=4, use_dora=True, init_lora_weights=False, **targets))
    save_peft(base, folder / PREFIX, PrefixTuningConfig(num_virtual_tokens=5, task_type="CAUSAL_LM"))
    return made


@pytest.fixture(scope="module")
def engine(home: Path) -> Iterator[Engine]:
    made = Engine(home / "models" / "base" / "tiny", Models(home).folder, dtype="float32")
    yield made
    made.close()


@pytest.fixture
def gateway(home: Path, engine: Engine, tmp_path: Path) -> Iterator[Gateway]:
    log = open_log(f"sqlite:///{tmp_path / 'log' / 'events.db'}")
    yield from serve(home, engine, log)
    log.close()


def ask(engine: Engine, *models: str) -> list[str]:
    sampling = Sampling(temperature=0, max_tokens=16)
    return [reply.text for reply in engine.generate(Generation(tiny.user("where is my parcel"), models, sampling))]


def test_each_form_is_known(home: Path) -> None:
    folder = home / "models" / "shop" / "adapters"
    assert [form_of(folder / name) for name in (WHOLE, DORA, PREFIX)] == [OWN, OWN, VIRTUAL]


def test_models_of_every_form_write_together_what_they_write_alone(engine: Engine) -> None:
    named = ("base", LORA, PREFIX, WHOLE, DORA)
    alone = [ask(engine, name)[0] for name in named]
    assert len(set(alone)) == len(named), "each must say something else"
    assert ask(engine, *named) == alone
    assert ask(engine, *reversed(named)) == alone[::-1]


@pytest.mark.parametrize(("champion", "challenger"), [(None, WHOLE), (LORA, DORA), (OTHER, PREFIX), (OTHER, WHOLE)])
def test_candidates_are_half_of_each_under_every_name(gateway: Gateway, champion: str | None, challenger: str) -> None:
    gateway.set_aliases(champion=champion, challenger=challenger, baseline=champion)
    sent, body = post(gateway, k=4, **COLD)
    (event,) = gateway.logged()
    assert Counter(c.model for c in event.candidates) == {challenger: 2, champion or "base": 2}
    assert len({c["content"] for c in body["candidates"]}) == 2
    assert challenger.encode() not in sent
    said = {c.model: c.content for c in event.candidates}
    for name, model in (("challenger", challenger), (challenger, challenger), ("champion", champion or "base")):
        assert chat(gateway, name) == said[model], name


def chat(gateway: Gateway, model: str) -> str:
    """Return what the gateway answers under a model's name."""
    connection = http.client.HTTPConnection(urlsplit(gateway.url).netloc, timeout=60)
    asked = {"model": model, "messages": ASK, "store": False, "temperature": 0, "max_tokens": 8}
    headers = {"Authorization": f"Bearer {gateway.secret.key}", "Content-Type": "application/json"}
    connection.request("POST", "/v1/chat/completions", json.dumps(asked), headers)
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return str(answer["choices"][0]["message"]["content"])


def test_at_most_two_models_of_their_own_are_held(engine: Engine) -> None:
    for name in (WHOLE, DORA, OTHER, WHOLE):
        ask(engine, name)
        assert len(engine._adapters.own) <= adapters.MAX_OWN
    assert list(engine._adapters.own) == [OTHER, WHOLE]
    with pytest.raises(ThumbwheelError) as refused:
        ask(engine, WHOLE, DORA, OTHER)
    assert (refused.value.code, refused.value.status) == ("overloaded", 503)
    assert ask(engine, "base")


def test_a_model_that_does_not_fit_is_refused_before_it_is_read(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(engine, WHOLE)
    monkeypatch.setattr(adapters, "free_bytes", lambda device: 1000)
    monkeypatch.setattr(adapters, "load_tuned", lambda *given: pytest.fail("it was read"))
    with pytest.raises(ThumbwheelError, match="is a model of its own: it needs") as refused:
        ask(engine, DORA)
    assert (refused.value.code, refused.value.status) == ("no_memory", 503)
    assert engine._adapters.own == {}, "what nobody uses was let go of first"
    assert ask(engine, PREFIX) and ask(engine, LORA), "what shares the base's weights is answered all the same"
