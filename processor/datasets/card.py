"""The dataset card: what is inside, what was left out, and what could be learnt without reading a reply.

In English as README.md, with the YAML header that `datasets` reads, and in Chinese beside it. Reasons and filters are
named by their codes in both, as the data API names them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from contract.dataset_folder import CARD, CARD_IN_CHINESE, shard_name
from processor.datasets.rows import DataRow


@dataclass(frozen=True)
class _Words:
    """The sentences of a card in one language; `{}` are filled in."""

    title: str
    origin: str
    digest: str
    other: str
    behind: str
    between: str
    rows: str
    rows_head: str
    configs: dict[str, str]
    in_config: str
    replay: str
    control_text: str
    left_out: str
    nothing: str
    reasons_head: str
    shortcuts: str
    shortcut_names: dict[str, str]
    no_difference: str
    predicts: str
    filters: str


_ENGLISH = _Words(
    title="# Dataset {}",
    origin="Project `{}`, from feedback collected by Thumbwheel.",
    digest="Digest `{}`.",
    other=f"[简体中文]({CARD_IN_CHINESE})",
    behind="Incomplete: partitions {} were behind the log when it was built.",
    between=", ",
    rows="## Rows",
    rows_head="| configuration | split | rows |",
    configs={
        "preference": "one chosen and one rejected reply (DPO)",
        "unpaired": "one reply with a thumb up or down (KTO)",
        "demonstration": "one reply a person wrote or corrected (SFT)",
    },
    in_config="{}: {}",
    replay="Replay (another model's replies, or older): {} rows.",
    control_text=(
        "Rows that hold control tokens as text, such as `<|im_end|>`: {}. Our trainer reads them as letters; "
        "a tokenizer that is given them without further ado makes the tokens of them."
    ),
    left_out="## Left out",
    nothing="Nothing.",
    reasons_head="| reason | rows |",
    shortcuts="## What could be learnt without reading the replies",
    shortcut_names={"model": "Which model wrote it", "length": "Its length"},
    no_difference="- {}: no pair differs in it.",
    predicts="- {0}: predicts the chosen side in {1:.0%} of {2} pairs (chance is 50 %).",
    filters="## Filters",
)
_CHINESE = _Words(
    title="# 数据集 {}",
    origin="项目 `{}`，来自 Thumbwheel 收集的反馈。",
    digest="摘要 `{}`。",
    other=f"[English]({CARD})",
    behind="不完整：构建时分区 {} 落后于日志。",
    between="、",
    rows="## 行数",
    rows_head="| 配置 | 划分 | 行数 |",
    configs={
        "preference": "一条选中的回复和一条未选中的回复（DPO）",
        "unpaired": "一条获赞或被踩的回复（KTO）",
        "demonstration": "一条由人撰写或改正的回复（SFT）",
    },
    in_config="{}：{}",
    replay="回放（其他模型的回复，或更早的数据）：{} 行。",
    control_text=(
        "文本中含控制标记（如 `<|im_end|>`）的行：{}。我们的训练器按普通文字读取；"
        "直接交给分词器，它会把这些文字变成控制标记。"
    ),
    left_out="## 未收入的行",
    nothing="没有。",
    reasons_head="| 原因 | 行数 |",
    shortcuts="## 不读回复也能学到的东西",
    shortcut_names={"model": "由哪个模型撰写", "length": "长度"},
    no_difference="- {}：没有一对回复在这一点上不同。",
    predicts="- {0}：在 {2} 对中，有 {1:.0%} 能据此猜中选中的一方（随机为 50 %）。",
    filters="## 筛选条件",
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
    lines = ["---", f"pretty_name: {manifest['dataset_id']}", "tags:", "- preference", "- dpo", "configs:"]
    for position, (config, splits) in enumerate(manifest["counts"].items()):
        lines += [f"- config_name: {config}", *(["  default: true"] if position == 0 else []), "  data_files:"]
        for split in splits:
            lines += [f"  - split: {split}", f"    path: {shard_name(config, split)}"]
    return "\n".join([*lines, "---", "", *_card(manifest, _ENGLISH)])


def render_in_chinese(manifest: dict[str, Any]) -> str:
    """Return README.zh-CN.md: the card in Chinese."""
    return "\n".join(_card(manifest, _CHINESE))


def _card(manifest: dict[str, Any], words: _Words) -> list[str]:
    lines = [words.title.format(manifest["dataset_id"]), "", words.other, ""]
    lines += [words.origin.format(manifest["project"]), words.digest.format(manifest["digest"]), ""]
    if manifest["behind"]:
        late = words.between.join(str(partition) for partition in manifest["behind"])
        lines += [words.behind.format(late), ""]
    lines += [words.rows, "", words.rows_head, "|---|---|---|"]
    for config, splits in manifest["counts"].items():
        named = words.in_config.format(config, words.configs[config])
        lines += [f"| {named} | {split} | {n} |" for split, n in splits.items()]
    lines += ["", words.replay.format(manifest["replay_rows"]), ""]
    if manifest["control_text_rows"]:
        lines += [words.control_text.format(manifest["control_text_rows"]), ""]
    lines += [words.left_out, "", *_left_out(manifest["dropped"], words), ""]
    lines += [words.shortcuts, "", *_shortcut_lines(manifest["shortcuts"], words), ""]
    return [*lines, words.filters, "", "```json", manifest["filters_text"], "```", ""]


def _left_out(dropped: dict[str, int], words: _Words) -> list[str]:
    if not dropped:
        return [words.nothing]
    return [words.reasons_head, "|---|---|", *(f"| {reason} | {n} |" for reason, n in sorted(dropped.items()))]


def _shortcut_lines(found: dict[str, dict[str, Any]], words: _Words) -> list[str]:
    lines = []
    for key, name in words.shortcut_names.items():
        accuracy, rows = found[key]["accuracy"], found[key]["rows"]
        said = words.no_difference.format(name) if accuracy is None else words.predicts.format(name, accuracy, rows)
        lines.append(said)
    return lines
