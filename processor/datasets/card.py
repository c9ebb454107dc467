"""The dataset card: what is inside, what was left out, and what could be learnt without reading a reply."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from processor.datasets.rows import DataRow

DESCRIPTIONS = {
    "preference": "one chosen and one rejected reply (DPO)",
    "unpaired": "one reply with a thumb up or down (KTO)",
    "demonstration": "one reply a person wrote or corrected (SFT)",
}

_CONTROL_TEXT = (
    "Rows that hold control tokens as text, such as `<|im_end|>`: {}. Our trainer reads them as letters; "
    "a tokenizer that is given them without further ado makes the tokens of them."
)


@dataclass(frozen=True)
class Shortcut:
    """How often a rule that reads no reply names the chosen side; `rows` is how many it speaks of."""

    rows: int
    accuracy: float | None


def shortcuts(rows: Sequence[DataRow]) -> dict[str, dict[str, Any]]:
    """Return how well the author alone ("model") and the length alone ("length") predict the chosen side.

    Each is the best fixed rule on these rows: per pair of models the one chosen more often; the longer or the
    shorter text throughout. Far above 0.5 means that training may teach the shortcut.
    """
    pairs = [row for row in rows if row.config == "preference"]
    wins: Counter[tuple[str, str]] = Counter()
    longer: Counter[bool] = Counter()
    for row in pairs:
        if row.chosen_model and row.rejected_model and row.chosen_model != row.rejected_model:
            wins[row.chosen_model, row.rejected_model] += 1
        if len(row.chosen) != len(row.rejected):
            longer[len(row.chosen) > len(row.rejected)] += 1
    told = sum(wins.values())
    right = sum(max(n, wins[b, a]) for (a, b), n in wins.items() if a < b or (b, a) not in wins)
    sized = sum(longer.values())
    return {
        "model": asdict(Shortcut(told, round(right / told, 4) if told else None)),
        "length": asdict(Shortcut(sized, round(max(longer.values()) / sized, 4) if sized else None)),
    }


def render(manifest: dict[str, Any]) -> str:
    """Return README.md: the YAML header `datasets` reads, then the card."""
    counts: dict[str, dict[str, int]] = manifest["counts"]
    lines = ["---", f"pretty_name: {manifest['dataset_id']}", "tags:", "- preference", "- dpo", "configs:"]
    for position, (config, splits) in enumerate(counts.items()):
        lines += [f"- config_name: {config}", *(["  default: true"] if position == 0 else []), "  data_files:"]
        for split in splits:
            lines += [f"  - split: {split}", f"    path: data/{config}/{split}-00000-of-00001.parquet"]
    lines += ["---", "", f"# Dataset {manifest['dataset_id']}", ""]
    lines += [f"Project `{manifest['project']}`, from feedback collected by Thumbwheel."]
    lines += [f"Digest `{manifest['digest']}`.", ""]
    if manifest["behind"]:
        late = ", ".join(str(partition) for partition in manifest["behind"])
        lines += [f"Incomplete: partitions {late} were behind the log when it was built.", ""]
    lines += ["## Rows", "", "| configuration | split | rows |", "|---|---|---|"]
    for config, splits in counts.items():
        lines += [f"| {config}: {DESCRIPTIONS[config]} | {split} | {n} |" for split, n in splits.items()]
    lines += ["", f"Replay (another model's replies, or older): {manifest['replay_rows']} rows.", ""]
    if manifest["control_text_rows"]:
        lines += [_CONTROL_TEXT.format(manifest["control_text_rows"]), ""]
    lines += ["## Left out", "", *_left_out(manifest["dropped"]), ""]
    lines += ["## What could be learnt without reading the replies", "", *_shortcut_lines(manifest["shortcuts"]), ""]
    lines += ["## Filters", "", "```json", manifest["filters_text"], "```", ""]
    return "\n".join(lines)


def _left_out(dropped: dict[str, int]) -> list[str]:
    if not dropped:
        return ["Nothing."]
    return ["| reason | rows |", "|---|---|", *(f"| {reason} | {n} |" for reason, n in sorted(dropped.items()))]


def _shortcut_lines(found: dict[str, dict[str, Any]]) -> list[str]:
    names = {"model": "Which model wrote it", "length": "Its length"}
    lines = []
    for key, name in names.items():
        accuracy, rows = found[key]["accuracy"], found[key]["rows"]
        if accuracy is None:
            lines.append(f"- {name}: no pair differs in it.")
        else:
            lines.append(f"- {name}: predicts the chosen side in {accuracy:.0%} of {rows} pairs (chance is 50 %).")
    return lines
