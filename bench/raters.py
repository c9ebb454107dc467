"""Do the demo's raters have something to choose? Prints, for each preset, on how many prompts the replies differ.

    python -m bench.raters [--home DIR] [--prompts 48]

The base writes 4 replies of up to 80 tokens to each prompt, as in a demo turn. A preset ships only if its best and its
worst score differ on at least half of the prompts. Decisive: the best score is not a tie.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

os.environ.setdefault("GOMP_SPINCOUNT", "20000")  # as the gateway sets it

from cli.demo.prompts import load_prompts
from cli.demo.raters import PRESETS
from gateway.engine import Engine
from inference.base_model import ensure_base_model
from inference.replies import Generation
from inference.sampling import Sampling

NEEDED = 0.5


def replies(home: Path, count: int) -> list[list[str]]:
    """Return 4 replies of the base to each of `count` shipped prompts; kept under home for the next call."""
    kept = home / f"bench-replies-{count}.json"
    if kept.exists():
        found: list[list[str]] = json.loads(kept.read_text("utf-8"))
        return found
    engine = Engine(ensure_base_model("demo", home), lambda name: home / name)

    def ask(prompt: str) -> list[str]:
        request = Generation([{"role": "user", "content": prompt}], ["base"] * 4, Sampling(0.8, 0.95, 80))
        return [reply.text for reply in engine.generate(request)]

    with ThreadPoolExecutor(8) as pool:
        drawn = list(pool.map(ask, load_prompts(None, count, 1).sample("train", count, "bench")))
    engine.close()
    kept.write_text(json.dumps(drawn, ensure_ascii=False), "utf-8")
    return drawn


def main(home: Path, count: int) -> int:
    """Print the shares; returns 1 when a preset falls short."""
    drawn = replies(home, count)
    short = 0
    for name, score in PRESETS.items():
        scored = [[score(text) for text in texts] for texts in drawn]
        differ = sum(max(values) > min(values) for values in scored) / len(scored)
        decisive = sum(values.count(max(values)) == 1 for values in scored) / len(scored)
        print(f"{name:<10} best and worst differ on {differ:.0%} of {len(scored)} prompts, decisive on {decisive:.0%}")
        short += differ < NEEDED
    return int(short > 0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, default=None, help="where the model and the replies are kept")
    parser.add_argument("--prompts", type=int, default=48)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(main(arguments.home or Path(folder), arguments.prompts))
