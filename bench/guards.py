"""Prints every guard for three training recipes, to calibrate the limits in trainer/guarding/guards.py.

    python -m bench.guards [--home DIR] [--prompts 96] [--recipes 1,2,3] [--guards-only]

One run, same data: the base writes 4 replies of up to 80 tokens to each of 96 prompts, a noisy preference for short
finished replies picks one, the 3 losers make pairs of weight 1/3. Then each recipe trains from the base on the same
pairs. The limits must hold back `sigmoid 5e-4`, which wins the preference and ruins the text, and pass
`sigmoid+sft 5e-4`. Exits 1 when they do not. About 25 minutes on two free cores; results are kept under --home, so
that a second call with --guards-only judges the saved adapters again.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from peft import PeftModel

from inference.base_model import ensure_base_model, load_model, load_tokenizer
from inference.generation import Reply, Sampling, generate
from inference.hardware import find_hardware
from inference.tokens import Encoder, make_encoder
from trainer import run
from trainer.guarding import guards
from trainer.guarding.replies import words
from trials.intervals import wilson

THINGS = (
    "coffee machine", "winter jacket", "phone contract", "train ticket", "garden chair", "savings account",
    "online course", "washing machine", "gym membership", "hotel booking", "printer", "birthday cake order",
    "bicycle", "streaming subscription", "pair of glasses", "electricity bill",
)  # fmt: skip
PROBLEMS = (
    "I have a problem with my {}. What should I do first?",
    "How do I cancel my {} and get my money back?",
    "My {} was not what I expected. Can you help me?",
    "Who pays if something goes wrong with my {}?",
    "I would like to change my {} before the end of the month.",
    "Please explain to me how the guarantee for my {} works.",
    "I was charged too much for my {} last week.",
    "Can a friend take over my {}?",
)
RECIPES: dict[str, dict[str, Any]] = {
    "sigmoid 1e-4": {"loss": ["sigmoid"], "loss_weights": [1], "lr": 1e-4},
    "sigmoid 5e-4": {"loss": ["sigmoid"], "loss_weights": [1], "lr": 5e-4},
    "sigmoid+sft 5e-4": {"loss": ["sigmoid", "sft"], "loss_weights": [1, 1], "lr": 5e-4},
}
MUST = {"sigmoid 5e-4": False, "sigmoid+sft 5e-4": True}
DRAW = Sampling(max_tokens=80, temperature=0.8, top_p=0.95, seed=11)


def score(reply: Reply) -> tuple[int, int]:
    """Return what the simulated rater prefers: finished, then short (but not empty)."""
    count = len(words(reply.text))
    return (int(reply.ended and count > 0), -count if count else -1000)


def pick(replies: list[Reply], rng: random.Random) -> int:
    """Return the picked reply; one pick in ten is random."""
    return (
        rng.randrange(len(replies)) if rng.random() < 0.1 else max(range(len(replies)), key=lambda i: score(replies[i]))
    )


def make_dataset(folder: Path, model: Any, encoder: Encoder, prompts: list[str]) -> Path:
    """Write a dataset folder of rated replies of the base; return it."""
    rng = random.Random(5)
    asked = [[{"role": "user", "content": text}] for text in prompts for _ in range(4)]
    began = time.monotonic()
    replies = generate(model, encoder, asked, DRAW)
    print(f"generated {len(replies)} replies in {time.monotonic() - began:.0f} s", flush=True)
    splits: dict[str, list[dict[str, Any]]] = {"train": [], "validation": []}
    for i, text in enumerate(prompts):
        four = replies[4 * i : 4 * i + 4]
        best = pick(four, rng)
        for j, loser in enumerate(four):
            if j != best and loser.text != four[best].text:
                row = _row(f"{i}-{j}", text, four[best], loser)
                splits["validation" if i % 7 == 6 else "train"].append(row)
    target = folder / "data" / "preference"
    target.mkdir(parents=True, exist_ok=True)
    for split, rows in splits.items():
        pq.write_table(pa.Table.from_pylist(rows), target / f"{split}-00000-of-00001.parquet")
    manifest = {"dataset_id": "ds-bench", "digest": "bench"}
    (folder / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    return folder


def _row(name: str, prompt: str, chosen: Reply, rejected: Reply) -> dict[str, Any]:
    return {
        "id": name, "prompt": [{"role": "user", "content": prompt}],
        "chosen": [{"role": "assistant", "content": chosen.text}],
        "rejected": [{"role": "assistant", "content": rejected.text}], "weight": 1 / 3,
        "truncated_chosen": not chosen.ended, "truncated_rejected": not rejected.ended,
    }  # fmt: skip


def blind_wins(trained: Any, encoder: Encoder, prompts: list[str]) -> tuple[int, int, float, float]:
    """Return (wins, losses, words, base words) of one adapter reply against one base reply on unseen prompts."""
    asked = [[{"role": "user", "content": text}] for text in prompts]
    ours, base = generate(trained, encoder, asked, DRAW), generate(trained, encoder, asked, DRAW, base=True)
    wins = sum(score(a) > score(b) for a, b in zip(ours, base, strict=True))
    losses = sum(score(a) < score(b) for a, b in zip(ours, base, strict=True))
    lengths = [sum(len(words(r.text)) for r in side) / len(side) for side in (ours, base)]
    return wins, losses, lengths[0], lengths[1]


def show(name: str, report: dict[str, Any], seconds: dict[str, float], blind: tuple[int, int, float, float]) -> None:
    """Print one recipe's guards."""
    wins, losses, ours, base = blind
    low, high = wilson(wins, wins + losses)
    print(f"\n== {name}: {'passes' if report['passed'] else 'held back'}; seconds {seconds}")
    print(
        f"   blind wins {wins} of {wins + losses} (Wilson {low:.0%}-{high:.0%}), "
        f"words per reply {ours:.0f} (base {base:.0f})"
    )
    for guard in report["guards"]:
        value, against = (f"{x:.4g}" if x is not None else "-" for x in (guard["value"], guard["base"]))
        verdict = "ok  " if guard["passed"] else "FAIL"
        print(f"   {verdict} {guard['name']:<12} {value:>9}  base {against:>9}  {guard['limit']}")
    for prompt, reply in list(zip(report["prompts"], report["replies"], strict=True))[:3]:
        print(f"   > {prompt}\n     {' '.join(reply.split())[:220]}")
    sys.stdout.flush()


def judge_again(job: run.Job, result: dict[str, Any], encoder: Encoder) -> dict[str, Any]:
    """Return the guards of a saved adapter, measured anew; what training itself measured is taken from the run."""
    hardware = find_hardware()
    trained = PeftModel.from_pretrained(load_model(job.base, hardware.dtype), str(job.out / "adapter")).eval()
    base = guards.base_side(trained, encoder, job.base, job.cache, guards.SAMPLING)
    side = guards.measure(trained, encoder, guards.frozen_prompts(), guards.SAMPLING, base=False)
    old = {guard["name"]: guard for guard in json.loads((job.out / "guards.json").read_text("utf-8"))["guards"]}
    held = result["metrics"]["held_out"]
    training = guards.Training(
        1.0,
        old["not_a_no_op"]["value"],
        old["loads"]["value"],
        guards.Accuracy(held["right"], held["total"], held.get("rows", 0), held.get("p_below", 1.0)),
    )
    verdicts = guards.judge(side, base, training)
    return {
        "passed": all(g.passed for g in verdicts), "guards": [asdict(g) for g in verdicts],
        "prompts": list(guards.frozen_prompts()), "replies": list(side.replies),
    }  # fmt: skip


def main() -> int:
    """Train the recipes and print their guards; return 0 when the limits separate them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--home", type=Path, default=Path("data/bench-guards"))
    parser.add_argument("--base", default="demo")
    parser.add_argument("--prompts", type=int, default=96)
    parser.add_argument("--recipes", default="1,2,3", help="which of the three, by number")
    parser.add_argument("--guards-only", action="store_true", help="judge saved adapters again, train nothing")
    given = parser.parse_args()
    home = given.home.absolute()
    base = ensure_base_model(given.base, home)
    hardware = find_hardware()
    model = load_model(base, hardware.dtype)
    encoder = make_encoder(load_tokenizer(base), model)
    prompts = [problem.format(thing) for problem in PROBLEMS for thing in THINGS]
    random.Random(1).shuffle(prompts)
    dataset = home / f"dataset-{given.prompts}"
    if not (dataset / "manifest.json").exists():
        make_dataset(dataset, model, encoder, prompts[: given.prompts])
    del model
    unseen = prompts[-32:]
    verdicts: dict[str, bool] = {}
    for name in [list(RECIPES)[int(i) - 1] for i in given.recipes.split(",")]:
        out = home / f"run-{name.replace(' ', '-')}-{given.prompts}"
        job = run.Job("bench", dataset, out, "dpo", RECIPES[name], base, None, home / "cache")
        verdicts[name] = one(name, job, encoder, unseen, given.guards_only)
    wrong = [name for name, passed in verdicts.items() if MUST.get(name, passed) != passed]
    print("\nlimits separate the recipes" if not wrong else f"\nlimits are wrong for: {', '.join(wrong)}")
    return 1 if wrong else 0


def one(name: str, job: run.Job, encoder: Encoder, unseen: list[str], guards_only: bool) -> bool:
    """Train (or only judge) one recipe and print it; return whether it passes."""
    job.out.mkdir(parents=True, exist_ok=True)
    result = json.loads((job.out / "result.json").read_text("utf-8")) if guards_only else run.run(job)
    report = (
        judge_again(job, result, encoder) if guards_only else json.loads((job.out / "guards.json").read_text("utf-8"))
    )
    trained = PeftModel.from_pretrained(load_model(job.base, find_hardware().dtype), str(job.out / "adapter")).eval()
    show(name, report, result["seconds"], blind_wins(trained, encoder, unseen))
    return bool(report["passed"])


if __name__ == "__main__":
    sys.exit(main())
