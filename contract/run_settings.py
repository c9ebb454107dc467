"""What a training run may be told: every setting with its form, its limits and its meaning.

In: the `params` of a wish to train, the settings of a project, a table of `thumbwheel.toml`. Out: the same, checked and
in one form, or a refusal that names the setting. What the trainer does where nobody chose is its own affair
(`trainer/recipes.py`); docs/reference/training.md is made of both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from contract.errors import ThumbwheelError
from contract.facts import TrainMethod, TrainTuning

Form = Literal["number", "whole", "switch", "choice", "list", "object"]
_SWITCH = {"true": True, "false": False, "yes": True, "no": False, "on": True, "off": False}


@dataclass(frozen=True)
class Setting:
    """One setting. `low` and `high` are included; `periodic`: a project may have one for every run of its own."""

    form: Form
    example: str
    en: str
    zh: str
    low: float = 0.0
    high: float = math.inf
    choices: tuple[str, ...] = ()
    periodic: bool = False


def _chosen(example: str, choices: tuple[str, ...], en: str, zh: str, periodic: bool = False) -> Setting:
    return Setting("choice", example, en, zh, choices=choices, periodic=periodic)


def _by_vendor(example: str, en: str, zh: str) -> Setting:
    """Return a setting that a vendor chooses itself where it is `auto`."""
    return Setting("number", example, en, zh, 1e-9, 1e6, choices=("auto",))


METHODS: tuple[str, ...] = get_args(TrainMethod)
SETTINGS: dict[str, Setting] = {
    "method": _chosen(
        "auto", METHODS, "what is trained: `auto` plans SFT, DPO and KTO, one after the other, from what there is",
        "训练什么：`auto` 按现有数据依次安排 SFT、DPO、KTO", periodic=True,
    ),
    "start": _chosen(
        "champion", ("champion", "base"), "what a run starts from: the champion, or the base with all data so far",
        "训练的起点：冠军，或用迄今全部数据从基础模型开始", periodic=True,
    ),
    "tuning": _chosen(
        "lora", get_args(TrainTuning), "which weights are tuned, and how; nothing said: as the champion was",
        "调整哪些权重、怎样调整；不填则与冠军相同", periodic=True,
    ),
    "lr": Setting(
        "number", "0.0005", "highest learning rate; it falls to 0 in a straight line", "最高学习率，线性降到 0",
        1e-8, 1.0, periodic=True,
    ),
    "epochs": Setting(
        "number", "1", "passes over the rows; SFT takes at most 3", "遍历数据的次数；SFT 最多 3 次",
        0.01, 1e6, periodic=True,
    ),
    "batch": Setting("whole", "8", "rows a step learns from", "每一步学习的数据行数", 1, 4096, periodic=True),
    "micro_batch": Setting(
        "whole", "4", "rows in memory at a time, 0 for the whole batch; less memory, the same result",
        "同时放入内存的行数，0 表示整批；占内存更少，结果不变", 0, 4096,
    ),
    "beta": Setting(
        "number", "0.1", "DPO and KTO: how closely the adapter stays to what it started from; more is closer",
        "DPO 与 KTO：适配器与起点保持多近；越大越近", 1e-6, 100.0, periodic=True,
    ),
    "loss": Setting("list", '["sigmoid", "sft"]', "DPO: the terms of its loss", "DPO：损失的各项"),
    "loss_weights": Setting("list", "[1, 1]", "DPO: what each term counts", "DPO：各项的权重"),
    "rank": Setting("whole", "16", "rank of the adapter", "适配器的秩", 1, 32, periodic=True),
    "alpha": Setting("whole", "32", "scale of the adapter: alpha / rank", "适配器的缩放：alpha / rank", 1, 4096),
    "layers": Setting(
        "list", "[0, -1]", "LoRA: blocks by number, -1 the last; all unless told",
        "LoRA：按编号的层，-1 为最后一层；默认全部",
    ),
    "modules": Setting(
        "list", '["q_proj", "v_proj"]', "LoRA: linear layers by name; all unless told",
        "LoRA：按名称的线性层；默认全部",
    ),
    "frozen_layers": Setting(
        "list", "[0, 1]", "tuning `frozen`: blocks that stay; the lower half unless told",
        "`frozen`：保持不变的层；默认下半部分",
    ),
    "frozen_modules": Setting(
        "list", '["embed_tokens"]', "tuning `frozen`: modules that stay, by a part of their name",
        "`frozen`：保持不变的模块，按名称的一部分",
    ),
    "stages": Setting(
        "whole", "3", "tuning `progressive`: in how many stages blocks are unfrozen",
        "`progressive`：分几个阶段解冻各层", 2, 1000,
    ),
    "virtual_tokens": Setting(
        "whole", "20", "prompt, P- and prefix tuning: virtual tokens before every prompt",
        "prompt、P-、prefix 调优：每个提示前的虚拟词元数", 1, 100,
    ),
    "checkpointing": Setting(
        "switch", "true", "compute activations again instead of keeping them: less memory, more time",
        "重新计算而不保存激活值：省内存，更耗时",
    ),
    "max_length": Setting(
        "whole", "512", "most tokens of a prompt with its reply; longer prompts lose their oldest turns",
        "提示与回复合计的最多词元数；更长的提示从最早的轮次开始删减", 16, 10_000_000, periodic=True,
    ),
    "thinking": _chosen(
        "off", ("on", "off"),
        "whether models that can think before they reply do so (`chat_template_kwargs`), in training, serving and "
        "picks alike; thoughts are never shown, logged or trained",
        "能先思考再回复的模型是否思考（`chat_template_kwargs`），训练、服务与挑选一致；思考内容不展示、不记录、不训练",
        periodic=True,
    ),
    "packing": Setting("switch", "true", "SFT: several short rows in one sequence", "SFT：把多条短数据放进一个序列"),
    "replay_share": Setting(
        "number", "0.2", "most of a run's rows, as a share, that a run before learnt from, or another model wrote",
        "一次训练中，以前训练过的或来自其他模型的数据最多占多少", 0.0, 0.95, periodic=True,
    ),
    "balance": Setting(
        "number", "4",
        "the largest kind of feedback, and the largest source, have at most so many times the rows of the others; "
        "0: as many as there are",
        "数据最多的反馈类型和来源，行数最多是其余之和的多少倍；0 表示不限", 0.0, 1000.0, periodic=True,
    ),
    "seed": Setting("whole", "0", "draws the order of the rows", "决定数据行的顺序", 0, 2**31 - 1),
    "dtype": _chosen(
        "auto", ("auto", "float32", "bfloat16"), "form of the weights in memory", "权重在内存中的格式"
    ),
    "challenge": Setting(
        "switch", "true", "whether the adapter goes into a blind test when it passes its guards",
        "适配器通过护栏后是否进入盲测",
    ),
    "trial_labels": Setting(
        "list", '["refund"]', "its blind test counts picks of these labels only", "盲测只计入带这些标签的选择"
    ),
    "filters": Setting(
        "object", '{"kinds": ["preference"]}', "filters of the dataset that is built for the run",
        "为这次训练构建数据集时的筛选条件",
    ),
    "confirm_cost": Setting(
        "number", "5", "hosted jobs: the most that one may cost, in the vendor's currency; without it none is made",
        "托管微调：任务最多可花费的金额，按供应商的币种；不填则不会创建任务", 0.0, 1e9,
    ),
    "n_epochs": _by_vendor("3", "hosted jobs: passes over the rows", "托管微调：遍历数据的次数"),
    "batch_size": _by_vendor("8", "hosted jobs: rows a step learns from", "托管微调：每一步学习的数据行数"),
    "learning_rate_multiplier": _by_vendor(
        "2", "hosted jobs: factor on the vendor's learning rate", "托管微调：供应商学习率的系数"
    ),
    "lr_scale": Setting(
        "number", "0.5", "factor on the learning rate; the trainer sets it after an adapter was held",
        "学习率的系数；适配器被搁置后由训练器设置", 1e-6, 1.0,
    ),
}  # fmt: skip
PERIODIC = tuple(name for name, setting in SETTINGS.items() if setting.periodic)
# What a stage may have of its own, such as {"sft": {"lr": 1e-4}}: the adapter itself belongs to the whole run.
STAGES = tuple(method for method in METHODS if method != "auto")
OF_A_STAGE = frozenset(
    {"lr", "epochs", "batch", "micro_batch", "beta", "loss", "loss_weights", "max_length", "packing"}
)


def checked(name: str, value: Any, setting: Setting | None = None) -> Any:
    """Return one value in its form; raises ThumbwheelError `bad_setting` that names it."""
    about = setting or SETTINGS[name]
    if about.form == "number" and value in about.choices:
        return value
    try:
        found = _read(about, value)
    except (TypeError, ValueError, KeyError) as error:
        raise ThumbwheelError(
            "bad_setting", f"{name}={value!r:.200} is malformed.", f"It looks like {about.example}.", name
        ) from error
    if about.form == "choice" and found not in about.choices:
        raise ThumbwheelError(
            "bad_setting", f"{name}={value!r:.200} is none of the choices.", f"Use {', '.join(about.choices)}.", name
        )
    if about.form in ("number", "whole") and not about.low <= found <= about.high:
        raise ThumbwheelError(
            "bad_setting", f"{name}={value!r:.200} is outside {about.low:g}..{about.high:g}.",
            f"It looks like {about.example}.", name,
        )  # fmt: skip
    return found


def _read(about: Setting, value: Any) -> Any:
    if about.form == "switch":
        return value if isinstance(value, bool) else _SWITCH[str(value).strip().lower()]
    if about.form in ("number", "whole"):
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise TypeError(type(value).__name__)
        number = float(value)
        if not math.isfinite(number) or (about.form == "whole" and number != int(number)):
            raise ValueError(value)
        return int(number) if about.form == "whole" else number
    if about.form == "object":
        return dict(value)
    if about.form == "choice":
        return _text(value)
    # One word stands for a list of one.
    return list(value) if isinstance(value, list | tuple) else [value]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(type(value).__name__)
    return value.strip()


def thinking_of(values: Mapping[str, Any]) -> bool | None:
    """Return whether models think by these settings; None where they do not say."""
    chosen = values.get("thinking")
    return None if chosen is None else bool(checked("thinking", chosen) == "on")


def check_params(params: Any) -> dict[str, Any]:
    """Return the `params` of a wish, checked; raises ThumbwheelError `bad_setting` that names a wrong one."""
    return _check(params, frozenset(SETTINGS) | set(STAGES))


def check_project(values: Any) -> dict[str, Any]:
    """Return the settings of a project's own runs, checked; None takes one back, so it is left out."""
    if isinstance(values, Mapping):
        values = {name: value for name, value in values.items() if value is not None}
    return _check(values, frozenset(PERIODIC) | set(STAGES))


def _check(values: Any, known: frozenset[str]) -> dict[str, Any]:
    if not isinstance(values, Mapping):
        raise ThumbwheelError("bad_setting", f"{values!r:.200} is no object of settings.", 'Write {"lr": 0.0005}.')
    found: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            names = ", ".join(sorted(known))
            raise ThumbwheelError("bad_setting", f"Unknown setting {name!r:.200}.", f"Known: {names}.", str(name))
        found[name] = _check(value, OF_A_STAGE) if name in STAGES else checked(name, value)
    return found
