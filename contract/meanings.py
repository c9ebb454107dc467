"""What each field of an event means, in English and Chinese: the schema and the reference pages carry it.

A name means the same wherever it stands, or has an entry of its own as `type.name`.
"""

from __future__ import annotations

from typing import NamedTuple


class Meaning(NamedTuple):
    """One field, in the two languages of the documentation."""

    en: str
    zh: str


_ENVELOPE = {
    "event_id": Meaning("the idempotency key, a UUID (v7 from our SDKs)", "幂等键，UUID（SDK 生成 v7）"),
    "type": Meaning("which kind of event this is", "事件类型"),
    "occurred_at": Meaning(
        "when it happened, by the client's clock (RFC 3339)", "发生时间，以客户端时钟为准（RFC 3339）"
    ),
    "actor": Meaning("who did it: a pseudonymous id and a kind", "操作者：假名 id 与类别"),
    "interaction_id": Meaning("the model turn it belongs to", "所属的一轮模型交互"),
    "conversation_id": Meaning("the conversation the turn belongs to", "该轮交互所属的会话"),
    "source": Meaning("the data source it came from", "数据来源"),
    "labels": Meaning('paths such as "refund/late"', "标签路径，例如 “refund/late”"),
    "context": Meaning("anything else about the moment, up to 2 kB", "当时的其他信息，最多 2 kB"),
    "sdk": Meaning("the client library that sent it", "发送事件的客户端库"),
    "extra": Meaning("fields this release does not know", "当前版本不认识的字段"),
}
_FEEDBACK = {
    "campaign": Meaning("the campaign that asked for it", "发起询问的收集活动"),
    "messages": Meaning("the whole prompt, earlier turns included", "完整提示，包含之前各轮"),
    "candidates": Meaning("the replies that were shown", "展示过的回复"),
    "surface": Meaning("where it was shown", "展示位置"),
    "order": Meaning("candidate ids in the order they were shown", "候选回复的展示顺序"),
    "truncated": Meaning("the oldest messages were left out to fit", "为满足大小限制而省略了最早的消息"),
    "digest": Meaning("digest of the whole content, where shortened", "内容被截短时，完整内容的摘要"),
    "trial": Meaning("the blind test it belongs to; set by the gateway only", "所属的盲测；只由网关设置"),
    "candidate_id": Meaning("the reply that is meant", "所指的回复"),
    "value": Meaning("the thumb", "点赞或点踩"),
    "reasons": Meaning("reasons the person chose", "用户选择的理由"),
    "comment": Meaning("what the person wrote", "用户写下的意见"),
    "shown": Meaning("candidate ids in screen order; wins over `order`", "按屏幕顺序的候选 id；优先于 `order`"),
    "chosen": Meaning("the reply chosen, or null", "被选中的回复，或 null"),
    "outcome": Meaning("whether one was chosen, all were as good, or none was good", "选中一个、打平，或都不好"),
    "edited_text": Meaning(
        "the final text; with outcome none the agent's own reply", "最终文本；outcome 为 none 时是客服自己写的回复"
    ),
    "sent": Meaning("whether the reply went out to the customer", "回复是否已发给客户"),
    "dwell_ms": Meaning("milliseconds from shown to submitted", "从展示到提交的毫秒数"),
    "text": Meaning("the corrected reply", "修改后的回复"),
    "target": Meaning("the event taken back", "被撤回的事件"),
    "answers": Meaning("answers by label", "按标签的回答"),
    "rating": Meaning("a number, on the scale of the task", "评分，刻度由任务决定"),
    "task_id": Meaning("the annotation task", "标注任务"),
    "task_version": Meaning("the version of the task that was answered", "作答时任务的版本"),
    "stage": Meaning("the task's stage, counted from 0", "任务的阶段，从 0 起"),
    "round": Meaning("how often the item was returned before", "此前被退回的次数"),
    "slot": Meaning("which of the stage's places the answer fills", "占用该阶段的第几个名额"),
    "unit": Meaning(
        'what is asked about: "" for the whole interaction, a candidate id, or two joined by "|"',
        "所问的对象：整轮交互为 “”，或一个候选 id，或以 “|” 连接的两个",
    ),
    "label_versions": Meaning("the version of each label that was answered", "作答时各标签的版本"),
    "annotation.shown": Meaning("candidate ids in screen order", "按屏幕顺序的候选 id"),
    "preference": Meaning("which reply is better, and how clearly (1 to 3)", "哪个回复更好，以及好多少（1 到 3）"),
    "ranking": Meaning("candidate ids, best first; equally good ones as a list", "候选 id，最好的在前；并列的写成列表"),
    "spans": Meaning("marked stretches of replies, in code points", "回复中标出的片段，按码点计"),
    "correction": Meaning("a better reply", "更好的回复"),
    "skipped": Meaning("why no answer was given", "未作答的原因"),
    "suggestion_id": Meaning("the suggestion that could be seen", "可以看到的建议"),
    "suggestion_shown": Meaning("when the suggestion could be seen", "建议何时可见"),
    "active_ms": Meaning("milliseconds of work on it", "在其上工作的毫秒数"),
    "verdict": Meaning("what the reviewer decided", "审核结论"),
    "review.target": Meaning("the answer reviewed; absent, the item", "被审核的回答；缺省为整个条目"),
    "review.reasons": Meaning("reasons for the verdict", "结论的理由"),
    "return_to": Meaning("to whom a rejected item goes back", "被拒的条目退回给谁"),
    "basis": Meaning("the answers that were looked at", "参考过的回答"),
    "note": Meaning("why", "说明"),
    "note.text": Meaning("the remark", "备注内容"),
    "note.parent": Meaning("the note it replies to", "所回复的备注"),
    "resolved": Meaning("the remark is dealt with", "备注已处理"),
    "judge": Meaning("the model that judged", "作出判断的模型"),
    "swapped_agrees": Meaning("whether it agreed with itself in the other order", "交换顺序后结论是否一致"),
}
_FACTS = {
    "run_id": Meaning("the training run", "训练运行"),
    "dataset_id": Meaning("the dataset", "数据集"),
    "method": Meaning("sft, dpo or kto; auto lets the data decide", "sft、dpo 或 kto；auto 由数据决定"),
    "tuning": Meaning(
        "which weights are tuned, and how; as the champion was where nothing is said",
        "微调哪些权重、怎样微调；不写则沿用冠军的方式",
    ),
    "parent": Meaning("the adapter or dataset it continues", "所延续的适配器或数据集"),
    "config": Meaning("the settings of the run", "运行的配置"),
    "request_id": Meaning("the wish that led to it", "引发它的请求"),
    "step": Meaning("optimiser steps done", "已完成的优化步数"),
    "total_steps": Meaning("optimiser steps in all", "总优化步数"),
    "metrics": Meaning("what was measured, by name", "测得的指标，按名称"),
    "adapter_id": Meaning("the adapter", "适配器"),
    "reason": Meaning("why", "原因"),
    "baseline": Meaning("the model it is tested against", "对照模型"),
    "alias_version": Meaning("version of the alias file after it", "此后别名文件的版本"),
    "dataset.built.digest": Meaning("digest of the manifest", "清单的摘要"),
    "offsets": Meaning("how far the log was read, by topic and partition", "按主题和分区记录的已读日志位置"),
    "counts": Meaning("rows by kind and split", "按类别和划分统计的行数"),
    "params": Meaning("settings that differ from the defaults", "与默认不同的设置"),
    "path": Meaning("the label", "标签"),
    "title": Meaning("its name for people", "供人阅读的名称"),
    "description": Meaning("what it means", "含义"),
    "version": Meaning("the highest counts", "版本号最高者有效"),
    "kind": Meaning("how it is asked for", "提问方式"),
    "scope": Meaning("what it is asked of", "提问对象"),
    "choices": Meaning("the answers it offers; a key never changes its meaning", "可选的回答；键的含义从不改变"),
    "min": Meaning("the lowest rating", "最低评分"),
    "max": Meaning("the highest rating", "最高评分"),
    "definition.label.step": Meaning("distance between ratings", "评分间隔"),
    "required": Meaning("whether it must be answered", "是否必答"),
    "definition.label.parent": Meaning("the label above it", "上级标签"),
    "guideline": Meaning("the guideline to answer by", "作答指南"),
    "owner": Meaning("who looks after it", "负责人"),
    "moved_to": Meaning("the path it has now", "现在的路径"),
    "deprecated": Meaning("no longer asked for", "不再提问"),
    "id": Meaning("the guideline", "指南"),
    "markdown": Meaning("its text in English", "英文正文"),
    "markdown_zh": Meaning("its text in Chinese", "中文正文"),
    "examples": Meaning("interactions and what is right about them", "示例交互及其正确回答"),
    "definition.task.labels": Meaning("what is asked", "所问的标签"),
    "definition.task.unit": Meaning("what one item is", "一个条目是什么"),
    "query": Meaning("which interactions are items", "哪些交互成为条目"),
    "live": Meaning("whether later matches enter too", "之后符合的是否也进入"),
    "write": Meaning("the text that is asked for", "要求撰写的文本"),
    "definition.task.order": Meaning("which item comes next", "条目的先后"),
    "stages": Meaning("who answers, reviews or samples, in this order", "依次由谁作答、审核或抽检"),
    "gold": Meaning("questions whose answer is known", "已知答案的题目"),
    "items": Meaning("what enters, at most 1,000 at a time", "进入的条目，每次最多 1,000 个"),
    "state": Meaning("open, paused or closed", "开放、暂停或关闭"),
    "member": Meaning("the person", "成员"),
    "tier": Meaning("the tier the person reached", "达到的级别"),
    "evidence": Meaning("the figures it follows from", "依据的数据"),
    "batch_id": Meaning("the spot check", "抽检批次"),
    "plan": Meaning("sample size and how many faults reject", "样本量与拒收的错误数"),
    "seed": Meaning("what the draw follows from", "抽样的随机种子"),
    "population": Meaning("the items it was drawn from, at most 1,000 a part", "抽样的总体，每部分最多 1,000 个"),
    "population_size": Meaning("how many there are", "总体数量"),
    "population_digest": Meaning("digest of all of them", "总体的摘要"),
    "sample": Meaning("the items to look at", "要检查的条目"),
    "part": Meaning("which part of the population this is", "总体的第几部分"),
    "batch.verdict.scope": Meaning("what a rejection returns", "拒收时退回的范围"),
    "faults": Meaning("items found wrong", "发现有误的条目数"),
    "name": Meaning("the source", "来源"),
    "weight": Meaning("weight of its rows", "其数据行的权重"),
    "actor_digest": Meaning("digest of the person's actor id", "该用户 actor id 的摘要"),
    "before": Meaning("everything before this moment goes", "此刻之前的内容全部删除"),
}  # fmt: skip
MEANINGS: dict[str, Meaning] = _ENVELOPE | _FEEDBACK | _FACTS


def meaning(event_type: str, name: str) -> Meaning:
    """Return what a field of an event type means; raises KeyError for one that nobody described."""
    return MEANINGS.get(f"{event_type}.{name}") or MEANINGS[name]
