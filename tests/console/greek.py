"""A project whose people write Greek: whatever else is on a page was written by us, in the page's language or not.

Everything the pages can show is in it: every state of feedback, of runs, of adapters and of campaigns, every reason
for which events are rejected, rows are left out and runs fail.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

from contract.events import Event, decode_event, stamp
from contract.ids import derived_id
from control_store.campaigns import Campaigns, Rule
from processor.datasets import build_dataset
from tests.console.bench import Bench
from tests.console.story import append_rejected, event, fact, moment, picked

HELD, CHAMPION, CHALLENGER = "ad-111111111111", "ad-222222222222", "ad-333333333333"
QUESTIONS = ("Πού είναι το δέμα μου;", "Πώς επιστρέφω τα παπούτσια;", "Γιατί χρεώθηκα δύο φορές;", "Πότε ανοίγετε;")
REPLIES = ("Λυπούμαστε πολύ γι’ αυτό.", "Θα το ελέγξουμε σήμερα.", "Γράψτε μας τον αριθμό.", "Δείτε τους όρους.")
REJECTED = {
    "invalid_event": "Expected `str`, got `int` - at `$.value`",
    "invalid_json": "Not valid JSON: JSON is malformed: invalid character (byte 3)",
    "too_deep": "The event is nested too deeply.",
    "too_large": "The event has 300000 bytes.",
    "unknown_type": "Unknown event type 'αστέρι'.",
    "unstorable_number": "A whole number needs more than 64 bits.",
    "unstorable_text": "A text holds a NUL or half a surrogate pair.",
    "actor_rate_limited": "This actor sends too much.",
    "type_not_allowed": "This key may not write 'interaction' events.",
    "client_dropped": "An SDK gave up 3 events before they could be sent: too_large 1, consent 2.",
    "not_stamped": "The record has no project.",
    "internal_error": "Not a stored event: Object missing required field `type`",
}
GUARDS = [
    {"name": "reply_nll", "passed": False, "value": 4.1, "base": 2.0, "limit": "at most 1.5 x base"},
    {"name": "perplexity", "passed": True, "value": 1.04, "base": 1.0, "limit": "at most 1.15 x base"},
    {"name": "repeats", "passed": True, "value": 0.01, "base": 0.01, "limit": "at most base + 0.05"},
    {"name": "ends", "passed": True, "value": 0.9, "base": 0.9, "limit": "at least base - 0.05"},
    {"name": "topic", "passed": True, "value": 0.4, "base": 0.4, "limit": "at least 0.8 x base"},
    {"name": "likeness", "passed": True, "value": 0.4, "base": 0.4, "limit": "at least 0.5 x base"},
    {"name": "length", "passed": True, "value": 40.0, "base": 60.0, "limit": "0.25 to 1.5 x base"},
    {"name": "language", "passed": True, "value": 1.0, "base": 1.0, "limit": "at least base - 0.1"},
    {"name": "not_empty", "passed": True, "value": 0.0, "base": 0.0, "limit": "at most 0.031"},
    {"name": "held_out", "passed": True, "value": 0.7, "base": 0.5,
     "limit": "not clearly below chance, on 24 held-out comparisons"},
    {"name": "not_a_no_op", "passed": True, "value": 0.3, "base": 0.0, "limit": "a logit moved by at least 0.001"},
    {"name": "loads", "passed": None, "value": None, "base": None,
     "limit": "not measured: it needs the model's weights"},
]  # fmt: skip
# A row of an interaction with answers and decisions, and another.
_PAIRS = """
SELECT first(pair_id ORDER BY pair_id) FROM pairs WHERE interaction_id IN ('pick-0', 'pick-4') GROUP BY interaction_id
ORDER BY interaction_id
"""
HELD_BECAUSE = "Held by its guards. reply_nll: 4.1 against 2 of the base (limit: at most 1.5 x base)"
METRICS = {
    "loss_first": 1.9, "loss_last": 0.4, "train_accuracy_last": 0.9, "length_ratio": 0.7, "perplexity_ratio": 1.04,
    "ends": 0.9, "held_out": {"right": 17, "total": 24, "rate": 0.71}, "guards": GUARDS,
}  # fmt: skip
CURVES = (
    "loss", "eval_loss", "grad_norm", "learning_rate", "epoch", "rewards/accuracies", "eval_rewards/accuracies",
    "rewards/margins", "rewards/chosen", "rewards/rejected", "logps/chosen", "logps/rejected", "nll", "kl", "entropy",
    "mean_token_accuracy", "num_tokens", "seconds",
)  # fmt: skip
FAILED = {
    "run-3": "The dataset ds-0 holds nothing to train on.  hint: Collect picks, thumbs up and down, or edits.",
    "run-4": "The training process ended with exit code 9.",
    "run-5": "No pair is left to train on ({'prompt_too_long': 3, 'same_reply': 1}).  hint: Collect more picks.",
}


def asked(name: str, at: float, models: tuple[str, ...], **fields: Any) -> Event:
    """Return an interaction with a Greek conversation, unlike every other."""
    candidates = [
        {"candidate_id": f"{name}-{n}", "content": f"{REPLIES[n]} {name}", "model": model,
         "finish_reason": "length" if n == 2 else "stop", "sampling": {"temperature": 0.8, "top_p": 0.95, "seed": 7}}
        for n, model in enumerate(models)
    ]  # fmt: skip
    question = {"role": "user", "content": f"{QUESTIONS[len(name) % 4]} {name}"}
    fields = {"messages": [{"role": "system", "content": "Βοηθάς πελάτες."}, question], **fields}
    fields.setdefault("via", "gateway")
    return event("interaction", f"{name} asked", at, interaction_id=name, candidates=candidates, **fields)


def tell(bench: Bench) -> dict[str, str]:
    """Fill the bench; return addresses of what got an id: the dataset, a campaign."""
    rng = random.Random(3)
    for n, (code, message) in enumerate(REJECTED.items()):
        append_rejected(bench.log, n, code, message, "{αβγ}".encode())
    events: list[Event] = []
    for n in range(30):
        name = f"pick-{n}"
        labels = ["επιστροφή/αργά"] if n % 5 == 0 else ["evaluation"] if n % 7 == 0 else []
        events.append(asked(name, n, ("base",) * 4, surface="workbench", labels=labels, truncated=n == 8))
        events.append(picked(name, n + 0.4, rng.randrange(4), comment="Καλό."))
        if n % 9 == 4:
            events.append(picked(name, n + 0.9, rng.randrange(4), edited_text="Επιστρέφουμε τα χρήματα.", sent=True))
    bench.put(*events, *_chats(), *_untrusted())
    manifest = build_dataset(
        bench.store, bench.log, bench.settings, "default", {"kinds": ["preference"], "exclude_labels": ["άλλο"]}
    )
    dataset_id = str(manifest["dataset_id"])
    bench.put(*_labels())
    bench.put(*_tasks())
    bench.put(*_facts(dataset_id), *_trials(rng))
    with bench.store.read() as cursor:
        pairs = cursor.execute(_PAIRS).fetchall()
    named = dict(zip(("pair_id", "tied_id"), (str(pair) for (pair,) in pairs), strict=True))
    return {"dataset_id": dataset_id, "campaign_id": _campaigns(bench), **named}


def _chats() -> list[Event]:
    events = []
    reasons = ("incorrect", "unhelpful", "incomplete", "too_long", "tone", "unsafe", "helpful", "accurate", "clear")
    for n in range(12):
        name = f"chat-{n}"
        events.append(asked(name, 40 + n, ("base",), surface="chat", conversation_id=f"c-{n // 3}"))
        thumb = {"interaction_id": name, "candidate_id": f"{name}-0", "via": "public"}
        events.append(event("thumb", f"{name} thumb", 40.3 + n, value="up" if n % 3 else "down",
                            reasons=reasons if n == 4 else [], comment="Μάλιστα.", **thumb))  # fmt: skip
    again = event("thumb", "again", 60, interaction_id="chat-4", candidate_id="chat-4-0", value="up")
    gone = event("thumb", "gone", 61, interaction_id="chat-4", candidate_id="chat-4-0", value="down",
                 actor=("u-9", "user"))  # fmt: skip
    back = event("retract", "back", 62, target=gone.event_id, interaction_id="chat-4", actor=("u-9", "user"))
    return [*events, again, gone, back, event("thumb", "lost", 63, interaction_id="chat-4", candidate_id="c-x",
                                              value="up", actor=("u-8", "user"))]  # fmt: skip


def _labels() -> list[Event]:
    """Labels of every kind that has something of its own to show, answered, reworded and moved."""
    choices = [{"key": "καλό", "title": {"en": "Φιλικό", "zh": "Φιλικό"}}, {"key": "κακό", "archived": True}]
    tone = {"path": "ύφος", "kind": "choice", "choices": choices}
    rating = {"path": "βαθμός", "kind": "rating", "min": 1, "max": 5}
    defined: list[tuple[str, dict[str, Any]]] = [
        ("tone 0", {**tone, "version": 0, "title": "Ύφος"}),
        ("tone 1", {**tone, "version": 1, "title": {"en": "Ύφος λόγου", "zh": "Ύφος λόγου"}, "required": True}),
        ("polite", {"path": "ύφος/ευγενικό", "parent": "ύφος", "version": 1, "deprecated": True}),
        ("old", {"path": "παλιό", "version": 2, "moved_to": "βαθμός"}), ("rating", {**rating, "version": 1}),
    ]  # fmt: skip
    made = [_defined(name, fields) for name, fields in defined]
    for n, tier in enumerate(("user", "crowd", "agent", "expert", "ai", "system")):
        answered = {"ύφος": "καλό", "βαθμός": 1 + n % 5, "παλιό": 3}
        made.append(event(
            "annotation", f"answer {n}", 69.5, interaction_id=f"pick-{n}", answers=answered, via="console",
            actor=(f"u-{n}", tier), label_versions={"ύφος": n % 2}, comment="Ναι.",
        ))  # fmt: skip
    told: dict[str, Any] = {"interaction_id": "pick-0", "via": "console", "actor": ("ada", "expert")}
    return [
        *made, event("review", "reviewed", 69.6, task_id="task-1", verdict="reject", **told),
        event("adjudication", "settled", 69.7, task_id="task-1", answers={"ύφος": "καλό"}, **told),
        event("note", "noted", 69.8, text="Ναι.", **told),
    ]  # fmt: skip


def _tasks() -> list[Event]:
    """A task with items in every state that people leave them in, and an empty one that is paused."""
    stages = [{"k": 2, "agree": 0.9, "assignment": "named", "people": ["u-1", "u-2", "u-3"]},
              {"kind": "review", "people": ["u-1"]}, {"kind": "batch", "sample": 5}]  # fmt: skip
    items = [{"interaction_id": f"pick-{n}"} for n in range(1, 8)]
    told: dict[str, Any] = {"via": "console", "task_id": "task-1"}
    made = [
        fact("definition.task", "task", 70, task_id="task-1", version=1, title={"en": "Έργο", "zh": "Έργο"},
             description="Περιγραφή.", labels=["ύφος"], stages=stages, live=True),
        fact("definition.task", "empty", 70, task_id="task-2", version=1, labels=["ύφος"], stages=[{"k": 1}]),
        fact("task.state", "paused", 70.1, task_id="task-2", state="paused", reason="Αργότερα."),
        fact("task.items", "items", 70, task_id="task-1", items=items),
        *(event("annotation", f"work {who} {item}", 70.5, interaction_id=f"pick-{item}", answers={"ύφος": value},
                actor=(f"u-{who}", "agent"), active_ms=4000, **told)
          for item, who, value in ((1, 2, "καλό"), (2, 2, "καλό"), (2, 3, "κακό"), (3, 1, "καλό"), (3, 2, "καλό"))),
        *(event("annotation", f"skip {who}", 70.5, interaction_id="pick-4", skipped="Ασαφές.",
                actor=(f"u-{who}", "agent"), **told) for who in (1, 2)),
        event("annotation", "one", 70.5, interaction_id="pick-5", answers={"ύφος": "καλό"}, actor=("u-1", "agent"),
              **told),
        event("annotation", "skips", 70.6, interaction_id="pick-5", skipped="Ασαφές.", actor=("u-2", "agent"), **told),
        event("review", "dropped", 70.7, interaction_id="pick-6", stage=1, verdict="reject", return_to="none",
              actor=("u-4", "expert"), **told),
    ]  # fmt: skip
    return made


def _defined(name: str, fields: dict[str, Any]) -> Event:
    body = {"type": "definition.label", "event_id": str(derived_id("label", name)), "actor": {"id": "ada"}}
    told = decode_event({**body, "occurred_at": moment(69).isoformat(), **fields})
    return stamp(told, project="default", key_id="console", via="console", received_at=moment(69))


def _untrusted() -> list[Event]:
    own = {"messages": [{"role": "user", "content": "Γεια"}],
           "candidates": [{"candidate_id": "c", "content": "Γεια σας"}]}  # fmt: skip
    return [
        event("thumb", "t", 64, via="public", interaction_id="public-1", candidate_id="c", value="up", **own),
        event("thumb", "orphan", 65, interaction_id="orphan-1", candidate_id="c", value="up"),
        asked("two-1", 66, ("base", "base"), via="secret", surface="choice"),
        event("interaction", "two again", 67, via="secret", interaction_id="two-1",
              messages=[{"role": "user", "content": "Γεια"}],
              candidates=[{"candidate_id": "z", "content": "Άλλο"}]),
        event("choice", "two choice", 68, interaction_id="two-1", shown=["two-1-0", "two-1-1"], outcome="tie"),
    ]  # fmt: skip


def _facts(dataset_id: str) -> list[Event]:
    made: list[Event] = []
    for run_id, adapter, method in (("run-1", HELD, "dpo"), ("run-2", CHALLENGER, "kto"), ("run-0", CHAMPION, "sft")):
        made.append(fact("run.started", f"{run_id} s", 70, run_id=run_id, dataset_id=dataset_id, method=method,
                         parent="base", config={"lr": 5e-4}))  # fmt: skip
        for step in (1, 2, 3):
            made.append(fact("run.progress", f"{run_id} {step}", 70 + step, run_id=run_id, step=step, total_steps=3,
                             metrics={name: 0.1 * step for name in CURVES}))  # fmt: skip
        made.append(fact("run.finished", f"{run_id} f", 75, run_id=run_id, adapter_id=adapter, metrics=METRICS))
        made.append(fact("model.registered", f"{adapter} r", 76, adapter_id=adapter, run_id=run_id,
                         dataset_id=dataset_id, metrics=METRICS, alias_version=len(made)))  # fmt: skip
    for run_id, reason in FAILED.items():
        made.append(fact("run.started", f"{run_id} s", 77, run_id=run_id, method="auto"))
        made.append(fact("run.failed", f"{run_id} x", 78, run_id=run_id, reason=reason))
    made.append(fact("run.started", "run-6 s", 79, run_id="run-6", method="auto"))
    steps = (
        ("held", HELD, HELD_BECAUSE), ("promoted", CHAMPION, "Promoted by a person."),
        ("challenger", CHALLENGER, None),
    )  # fmt: skip
    made += [
        fact(f"model.{kind}", f"{kind} {adapter}", 80 + n, adapter_id=adapter, alias_version=100 + n, reason=reason,
             baseline="base" if kind == "challenger" else None,
             metrics={"guards_failed": ["x"]} if kind == "held" else {})
        for n, (kind, adapter, reason) in enumerate(steps)
    ]  # fmt: skip
    made.append(fact("model.challenger", "refused", 84, adapter_id=CHALLENGER, alias_version=102,
                     reason=f"{CHAMPION} is the champion already."))  # fmt: skip
    made.append(event("request.roll_back", "wish", 86, via="console", actor=("ada", "expert"), reason="Αρκετά."))
    return made


def _trials(rng: random.Random) -> list[Event]:
    made = []
    for n in range(30):
        name, won = f"trial-{n}", rng.random() < 0.7
        test = {"challenger": CHALLENGER, "baseline": "base", "counted": n != 5, "sampling": {"seed": 7}}
        models = (CHALLENGER, "base", CHALLENGER, "base")
        made += [asked(name, 90 + n, models, trial=test), picked(name, 90.5 + n, 0 if won else 1, dwell_ms=8200)]
    return made


def _campaigns(bench: Bench) -> str:
    campaigns, now = Campaigns(bench.control.engine), datetime.now(UTC)
    day = timedelta(days=1)
    rules = [
        Rule(name="Μία", surface="chat", label="επιστροφή", scenario="μετά", quota=5, cooldown_s=3600),
        Rule(name="Δύο", surface="choice", active=False),
        Rule(name="Τρεις", surface="workbench", ends_at=now - day),
        Rule(name="Τέσσερις", surface="chat", starts_at=now + day),
    ]
    made = [campaigns.create("default", rule, "ada") for rule in rules]
    return made[0]
