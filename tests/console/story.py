"""What happens in a project: people rate, a dataset is built, a run trains, an adapter is tested blind."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from contract.events import Event, decode_event, stamp
from contract.ids import derived_id
from contract.topics import REJECTED
from eventlog.log import Log, append_all, entry_for
from processor.datasets import build_dataset

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
CHAMPION, CHALLENGER = "ad-0123456789ab", "ad-ba9876543210"
SAMPLING = {"temperature": 0.8, "top_p": 0.95, "max_tokens": 80}
HOSTILE = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>{{7*7}}<b>bold</b>'
PROMPTS = (
    "My parcel arrived two days late and the box was open. What can you do?",
    "How do I change the delivery address of an order that has already shipped?",
    "The blender stopped working after a week. Do I need the receipt to return it?",
    "我的订单显示已签收，但是我没有收到包裹，怎么办？",
    "Can I pay half with a gift card and half with my credit card?",
    "Why was I charged twice for the same subscription this month?",
    "请问发票抬头开错了可以重新开吗？",
    "Is there a way to pick up my order in the store instead?",
)
REPLIES = (
    "I am sorry about that. Please send a photo of the box, and we will replace it or refund you today.",
    "Thank you for reaching out. There are many possible reasons, and it depends on various factors.",
    "You can do this on the order page until the carrier picks it up; afterwards ask the carrier.",
    "很抱歉给您带来不便。请提供订单号，我们会在今天之内联系承运商核实。",
)


def event(kind: str, name: str, at: float, via: str = "secret", project: str = "default", verified: bool = False,
          actor: tuple[str, str] = ("u-17", "user"), **fields: Any) -> Event:  # fmt: skip
    """Return a stamped event; `name` makes its id, `at` is minutes after START."""
    body = {
        "type": kind, "event_id": str(derived_id(project, name)), "occurred_at": moment(at).isoformat(),
        "actor": {"id": actor[0], "kind": actor[1]}, **fields,
    }  # fmt: skip
    return stamp(
        decode_event(body), project=project, key_id=f"key-{via}", via=via, received_at=moment(at), verified=verified
    )


def moment(minutes: float) -> datetime:
    """Return the time so many minutes after START."""
    return START + timedelta(minutes=minutes)


def asked(
    name: str, at: float, models: Iterable[str], prompt: str, replies: Iterable[str] = (), **fields: Any
) -> Event:
    """Return an interaction of the gateway: one reply of each model, in order."""
    texts = list(replies)
    candidates = [
        {"candidate_id": f"{name}-{index}", "content": texts[index] if texts else f"{REPLIES[index % 4]} ({name})",
         "model": model, "finish_reason": "stop", "sampling": SAMPLING}
        for index, model in enumerate(models)
    ]  # fmt: skip
    if texts:
        candidates = [{**c, "content": t} for c, t in zip(candidates, texts, strict=True)]
    fields.setdefault("surface", "workbench")
    return event(
        "interaction", f"{name} asked", at, via="gateway", actor=("gateway", "system"), interaction_id=name,
        messages=[{"role": "system", "content": "You help customers."}, {"role": "user", "content": prompt}],
        candidates=candidates, **fields,
    )  # fmt: skip


def picked(name: str, at: float, chosen: int | None, outcome: str = "chosen", rater: str = "agent-1", shown: int = 4,
           **fields: Any) -> Event:  # fmt: skip
    """Return a verified pick of the reply at this place."""
    return event(
        "pick", f"{name} picked by {rater} at {at}", at, via="secret", verified=True, actor=(rater, "agent"),
        interaction_id=name, shown=[f"{name}-{index}" for index in range(shown)], outcome=outcome,
        chosen=None if chosen is None else f"{name}-{chosen}", **fields,
    )  # fmt: skip


def fact(kind: str, name: str, at: float, **fields: Any) -> Event:
    """Return a fact of the trainer."""
    return event(kind, name, at, via="trainer", actor=("trainer", "system"), **fields)


def trial(name: str, at: float, win: bool | None, prompt: str, rater: str = "agent-1", counted: bool = True,
          challenger: str = CHALLENGER, baseline: str = "base", named: bool = False,
          **fields: Any) -> list[Event]:  # fmt: skip
    """Return a 2+2 interaction of a blind test and its pick: won, lost, or a tie (None).

    `named`: its replies were issued for the rater.
    """
    test = {"challenger": challenger, "baseline": baseline, "counted": counted, "sampling": {**SAMPLING, "seed": 7}}
    models = [challenger, baseline, challenger, baseline]
    pick = picked(name, at + 0.5, {True: 0, False: 1, None: None}[win], "tie" if win is None else "chosen", rater,
                  dwell_ms=8200)  # fmt: skip
    both: list[Any] = [asked(name, at, models, prompt, trial=test, **fields), pick]
    return _issued(both, name) if named else both


def _issued(both: list[Any], name: str) -> list[Event]:
    """Return an interaction and its pick with candidate ids of the form that is issued for one actor."""
    ids = {f"{name}-{index}": f"tw2.k.{name}-{index}" for index in range(4)}
    question, pick = both
    candidates = [msgspec.structs.replace(one, candidate_id=ids[one.candidate_id]) for one in question.candidates]
    named = {"shown": [ids[one] for one in pick.shown], "chosen": ids.get(pick.chosen)}
    return [msgspec.structs.replace(question, candidates=candidates), msgspec.structs.replace(pick, **named)]


def append(log: Log, events: Iterable[Event]) -> None:
    """Append events to the log."""
    append_all(log, list(events))


def append_rejected(log: Log, at: float, code: str, message: str, raw: bytes, project: str = "default") -> None:
    """Append what the collector writes about an event it refused."""
    body = {
        "project": project, "key_id": "key-public", "code": code, "message": message, "received_at":
        moment(at).isoformat(), "raw": raw.decode("utf-8", "replace"), "length": len(raw), "digest": "0" * 64,
    }  # fmt: skip
    entry = entry_for(event("thumb", f"rejected {at}", at, interaction_id="x", candidate_id="y", value="up"))
    log.append([msgspec.structs.replace(entry, topic=REJECTED, key=f"r{at}", value=json.dumps(body).encode())])


def first_turn(rng: random.Random) -> list[Event]:
    """Return chat thumbs and workbench picks on the base model's replies."""
    events: list[Event] = []
    for n in range(36):
        at, prompt = n * 1.5, PROMPTS[n % len(PROMPTS)]
        name = f"pick-{n}"
        events.append(asked(name, at, ["base"] * 4, f"{prompt} ({n})", labels=["refund/late"] if n % 5 == 0 else []))
        events.append(picked(name, at + 0.4, rng.randrange(4), dwell_ms=4000 + 300 * n, sent=True))
        if n % 9 == 4:
            events.append(picked(name, at + 0.9, rng.randrange(4), edited_text="We will refund you today.", sent=True))
    for n in range(24):
        at, name = n * 2.2, f"chat-{n}"
        events.append(
            asked(name, at, ["base"], f"{PROMPTS[(n + 3) % 8]} [{n}]", surface="chat", conversation_id=f"c-{n // 3}")
        )
        value = "up" if rng.random() < 0.62 else "down"
        events.append(
            event("thumb", f"{name} thumb", at + 0.3, via="public", interaction_id=name, candidate_id=f"{name}-0",
                  value=value, reasons=["too long"] if value == "down" else [])
        )  # fmt: skip
    return events


def hostile() -> list[Event]:
    """Return an interaction whose every text tries to run in the reader's browser."""
    return [
        asked("hostile", 60, ["base", "base"], HOSTILE, [HOSTILE, "plain"], labels=["<i>label</i>"]),
        picked("hostile", 60.2, 0, shown=2, comment=HOSTILE),
        event("thumb", "hostile thumb", 60.3, interaction_id="hostile", candidate_id="hostile-0", value="down",
              comment=HOSTILE, reasons=["<script>window.hacked=1</script>"],
              actor=("<svg/onload=window.hacked=1>", "user")),
        event("thumb", "orphan", 60.4, interaction_id="<script>window.hacked=1</script>", candidate_id="c", value="up"),
    ]  # fmt: skip


def run_facts(dataset_id: str, run_id: str, at: float, adapter: str) -> list[Event]:
    """Return the facts of a run that ended with an adapter."""
    facts = [fact("run.started", f"{run_id} started", at, run_id=run_id, dataset_id=dataset_id, method="dpo",
                  parent="base", config={"learning_rate": 5e-4, "beta": 0.1, "rank": 16})]  # fmt: skip
    for step in range(1, 19):
        metrics = {"loss": 1.9 / (1 + step / 6) + 0.02 * (step % 3), "rewards/accuracies": min(0.92, 0.5 + step / 40),
                   "rewards/margins": step / 12, "learning_rate": 5e-4 * (1 - step / 18)}  # fmt: skip
        facts.append(fact("run.progress", f"{run_id} {step}", at + step / 10, run_id=run_id, step=step, total_steps=18,
                          metrics=metrics))  # fmt: skip
    done = fact("run.finished", f"{run_id} done", at + 3, run_id=run_id, adapter_id=adapter,
                metrics={"heldout_accuracy": 0.71, "guards": {"perplexity": 1.04, "ends": 0.98},
                         "resumed_from": [9, 14]})  # fmt: skip
    return [*facts, done]


def tell(bench: Any) -> str:
    """Tell the story up to a running blind test (26 won, 9 lost, 3 ties); return the dataset's id."""
    rng = random.Random(5)
    append_rejected(bench.log, 3, "invalid_event", "Expected `str`, got `int` - at `$.value`", b'{"value": 3}')
    append_rejected(bench.log, 4, "unknown_type", "Unknown event type 'like'.", f'{{"type":"{HOSTILE}"}}'.encode())
    append_rejected(bench.log, 5, "unknown_type", "Unknown event type 'star'.", b'{"type":"star"}')
    bench.put(*first_turn(rng), *hostile())
    manifest = build_dataset(bench.store, bench.log, bench.settings, "default", {"kinds": ["preference"]})
    dataset_id = str(manifest["dataset_id"])
    bench.put(
        *run_facts(dataset_id, "run-1", 62, CHALLENGER),
        fact("model.registered", "registered", 66, adapter_id=CHALLENGER, run_id="run-1", dataset_id=dataset_id),
        fact("model.challenger", "challenger", 66.2, adapter_id=CHALLENGER, baseline="base", alias_version=1),
    )
    outcomes: list[bool | None] = [True] * 26 + [False] * 9 + [None] * 3
    rng.shuffle(outcomes)
    picks: list[Event] = []
    for n, win in enumerate(outcomes):
        picks += trial(
            f"trial-{n}", 67 + n, win, f"Unseen question {n}: {PROMPTS[n % 8]}", rater=f"agent-{n % 6}", named=True
        )
    bench.put(*picks)
    return dataset_id
