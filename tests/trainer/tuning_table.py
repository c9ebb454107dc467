"""The page of the table objective x tuning x family: outcomes in; docs/reference/tuning-table.md out, and back.

    make table            # runs every cell (some minutes) and writes the page in both languages

`tests/trainer/test_tuning_table.py` runs one family under every objective and SFT under every family, and compares what
happened with the page; the page itself says everything it was written from, so a stale one is seen without a run.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path

import datasets
import torch
from transformers.utils import logging as transformers_logging

from tests.trainer import cells
from tests.trainer.families import FAMILIES, save_family
from trainer.methods import NAMES
from trainer.tuning.table import NOT_OFFERED, TUNINGS, Tuning

PAGES = Path(__file__).parents[2] / "docs" / "reference"
FIRST = next(iter(FAMILIES))
Cell = tuple[str, str, str]
Outcomes = Mapping[Cell, str]
# What a cell says that `make table` has not reached: it says nothing of the cell.
NOT_RUN = "not run"
EN, ZH = "tuning-table.md", "tuning-table.zh-CN.md"
_HEAD = {
    EN: """# Which tuning trains what

Written by `make table`, which runs every cell on tiny random models; do not edit. A cell that says "trains" was
trained: its first loss was right, its loss fell, weights and logits moved, replies that were shown to end became
likelier to end (not asked of thumbs and of virtual tokens: few steps are too few), its saved copy had equal logits,
and the gateway wrote with it, beside the base, what it writes alone.
How to choose: [choose a method](../guides/choose-a-method.md).
""",
    ZH: """# 哪种微调方式能训练什么

本页由 `make table` 生成：它用随机初始化的小模型跑完每一格，请勿手工修改。写着“可训练”的格子都实际训练过：首个损失值
正确，损失下降，权重和 logits 有变化，示范中会结束的回复更容易结束（赞与踩、虚拟词元除外：步数太少），
保存后重新加载的 logits 完全相等，网关让它与基座同批生成时，写出的内容与单独生成时一致。
怎么选：[选择训练方法](../guides/choose-a-method.zh-CN.md)。
""",
}
_WORDS = {
    EN: {
        cells.TRAINS: "trains", NOT_RUN: "not run", "tuning": "tuning", "settings": "settings", "served": "served",
        "none": "none",
        "yes": "yes", "no": "no", "continues": "a later run continues it", "warnings": "Warnings", "refused": "Refused",
        "ways": "The ways of tuning",
    },
    ZH: {
        cells.TRAINS: "可训练", NOT_RUN: "未运行", "tuning": "微调方式", "settings": "设置",
        "served": "怎样提供服务", "none": "无",
        "yes": "是", "no": "否", "continues": "后续训练可接着它继续", "warnings": "提醒", "refused": "拒绝的组合",
        "ways": "各种微调方式",
    },
}  # fmt: skip
# What is refused whatever the family, beside the names that are not offered: sentence by language.
_REFUSED = {
    EN: (
        "`modules` naming `lm_head`: the loss is computed past an adapter there, so it would not be trained.",
        "`packing` with virtual tokens (prompt, p-tuning, prefix): they would stand before a pack of many rows.",
        "`checkpointing` with prefix: a prefix lives in the key-value cache, which checkpointing throws away.",
        "`liger`: it needs a GPU with Triton, and its fused losses know no weight per row.",
        "ChatGLM3: its model code is not part of transformers; use GLM-4 or later.",
    ),
    ZH: (
        "`modules` 里写 `lm_head`：损失的计算绕过那里的适配器，等于没有训练。",
        "`packing` 与虚拟词元（prompt、p-tuning、prefix）同用：虚拟词元 只会出现在一整包样本的最前面。",
        "`checkpointing` 与 prefix 同用：prefix 存在于键值缓存中，而 checkpointing 会丢掉缓存。",
        "`liger`：需要带 Triton 的 GPU，而且它的融合损失不支持逐行权重。",
        "ChatGLM3：transformers 不包含它的模型代码，请用 GLM-4 或更新的模型。",
    ),
}
_NOT_OFFERED_ZH = {
    "pissa": "PiSSA 会改动基座自身的权重：偏好训练的参考策略因此出错（首个损失是 0.70，不是 ln 2），"
    "适配器也无法与基座同时提供服务。",
    "olora": "OLoRA 会改动基座自身的权重：偏好训练的参考策略因此出错（首个损失是 0.71，不是 ln 2），"
    "适配器也无法与基座同时提供服务。",
    "lora-ga": "LoRA-GA 会改动基座自身的权重，适配器无法与基座同时提供服务。",
}


def every() -> Iterator[Cell]:
    """Yield every cell: objective, tuning, family."""
    yield from ((objective, tuning, family) for objective in NAMES for tuning in TUNINGS for family in FAMILIES)


def render(outcomes: Outcomes, page: str) -> str:
    """Return the page in the language of its name."""
    words = _WORDS[page]
    parts = [_HEAD[page], f"## {words['ways']}\n", _ways(page)]
    for objective in NAMES:
        lines = [f"| {words['tuning']} | {' | '.join(FAMILIES)} |", "|---" * (len(FAMILIES) + 1) + "|"]
        for tuning in TUNINGS:
            found = [outcomes.get((objective, tuning, family), NOT_RUN) for family in FAMILIES]
            lines.append(f"| {tuning} | {' | '.join(words.get(one, one) for one in found)} |")
        parts += [f"## {objective.upper()}\n", "\n".join(lines) + "\n"]
    warned = [f"- {name}: {_warning(tuning, page)}" for name, tuning in TUNINGS.items() if tuning.warning]
    parts += [f"## {words['warnings']}\n", "\n".join(warned) + "\n"]
    named = NOT_OFFERED if page == EN else _NOT_OFFERED_ZH
    refused = [*(f"`--tuning {name}`: {named[name]}" for name in NOT_OFFERED), *_REFUSED[page]]
    parts += [f"## {words['refused']}\n", "\n".join(f"- {line}" for line in refused)]
    return "\n".join(parts) + "\n"


def _ways(page: str) -> str:
    words = _WORDS[page]
    lines = [
        f"| {words['tuning']} | {words['settings']} | {words['served']} | {words['continues']} |",
        "|---" * 4 + "|",
    ]
    for name, tuning in TUNINGS.items():
        kept = ", ".join(
            f"`{field.name}` ({list(field.default) if isinstance(field.default, tuple) else field.default})"
            for field in fields(tuning.settings)
        )
        goes_on = words["yes" if tuning.continues else "no"]
        lines.append(f"| {name} | {kept or words['none']} | {_served(tuning, page)} | {goes_on} |")
    return "\n".join(lines) + "\n"


def _served(tuning: Tuning, page: str) -> str:
    if page == EN:
        return tuning.served
    if tuning.together:
        return "与基座同一批次"
    return f"作为独立模型，运行在 {tuning.bits} 位量化的基座上" if tuning.bits else "作为独立模型"


def _warning(tuning: Tuning, page: str) -> str:
    if page == EN:
        return tuning.warning
    figures = re.findall(r"\d+(?:\.\d+)?", tuning.warning)
    steps, first, last, lora = figures
    measured = f"在小模型上训练 {steps} 步，偏好损失从 {first} 降到 {last}，而 LoRA 降到 {lora}。"
    return f"很弱：{measured}没有特别的理由请用 lora。"


def read(page: Path) -> dict[Cell, str]:
    """Return the outcomes that the English page was written from."""
    found: dict[Cell, str] = {}
    objective = ""
    for line in page.read_text("utf-8").splitlines():
        if line.startswith("## "):
            objective = line[3:].lower()
        row = [part.strip() for part in line.strip("|").split("|")]
        if objective in NAMES and row[0] in TUNINGS and len(row) == len(FAMILIES) + 1:
            found.update({(objective, row[0], family): one for family, one in zip(FAMILIES, row[1:], strict=True)})
    return found


def main() -> int:
    """Run every cell and write both pages."""
    torch.set_num_threads(1)
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory() as name:
        bases = {family: save_family(family, Path(name) / family) for family in FAMILIES}
        outcomes = {}
        for objective, tuning, family in every():
            folder = Path(name) / f"{objective}-{tuning}-{family}"
            outcomes[objective, tuning, family] = cells.outcome(objective, tuning, bases[family], folder)
            print(objective, tuning, family, outcomes[objective, tuning, family], flush=True)
    for page in (EN, ZH):
        (PAGES / page).write_text(render(outcomes, page), "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
