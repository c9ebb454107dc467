"""Dataset folders: what enters, how it is split, and that others can read it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from contract.errors import ThumbwheelError
from contract.topics import RUNS
from eventlog.log import Log
from processor.datasets import build_dataset, dataset_folder, diff_datasets, show_dataset
from processor.datasets.caps import thin
from processor.datasets.rows import select_rows
from processor.datasets.splits import check_leaks
from processor.tables.store import Store
from runtime.settings import Settings
from tests.processor.samples import event, interaction, pick
from trainer.rows import open_dataset

Put = Callable[..., None]
Build = Callable[..., dict[str, Any]]
REPLIES = {c: f"reply {c} with its own words {c * 3}" for c in "abcd"}
WORDS = (
    "amber", "basil", "cedar", "delta", "ember", "fjord", "grove", "heron", "ivory", "jolly", "karma", "lemon",
    "maple", "noble", "olive", "pearl",
)  # fmt: skip


@pytest.fixture
def build(store: Store, log: Log, settings: Settings) -> Build:
    return lambda **filters: build_dataset(store, log, settings, "default", filters)


def prompt(number: int) -> str:
    """Prompts that no rule takes for each other."""
    return " ".join(WORDS[(number * 7 + step * (3 + number % 5)) % 16] for step in range(6)) + f" {number}?"


def picks(count: int, start: int = 0, **fields: Any) -> list[Any]:
    found: list[Any] = []
    for n in range(start, start + count):
        found.append(interaction(f"t{n}", REPLIES, prompt=prompt(n), at=n, **fields))
        found.append(pick(f"t{n}", "abcd", "abcd"[n % 4], at=n))
    return found


def table(settings: Settings, manifest: dict[str, Any], config: str = "preference") -> list[dict[str, Any]]:
    folder = dataset_folder(settings, "default", manifest["dataset_id"]) / "data" / config
    return [
        row | {"split": path.name.split("-")[0]}
        for path in sorted(folder.iterdir())
        for row in pq.read_table(path).to_pylist()
    ]


def test_dataset_holds_every_trainable_row(build: Build, put: Put, settings: Settings) -> None:
    put(
        *picks(40), event("thumb", "up", interaction_id="t1", candidate_id="a", value="up"),
        event("edit", "e", interaction_id="t2", candidate_id="a", text="Quite another text."),
    )  # fmt: skip
    manifest = build()
    assert sum(manifest["counts"]["preference"].values()) == 121
    assert {c: sum(s.values()) for c, s in manifest["counts"].items()} == {
        "preference": 121, "unpaired": 1, "demonstration": 1,
    }  # fmt: skip
    row = next(row for row in table(settings, manifest) if row["kind"] == "pick")
    assert row["prompt"][0]["role"] == "user"
    assert row["chosen"] != row["rejected"]
    assert row["weight"] == pytest.approx(1 / 3)
    assert set(manifest["counts"]["preference"]) == {"train", "validation"}


def test_all_pairs_of_a_prompt_and_a_conversation_share_one_split(build: Build, put: Put, settings: Settings) -> None:
    put(*picks(30))
    put(*(interaction(f"c{n}", REPLIES, prompt=prompt(50 + n), conversation_id="talk") for n in range(5)))
    put(*(pick(f"c{n}", "abcd", "a") for n in range(5)))
    put(interaction("again", REPLIES, prompt=prompt(3).upper()), pick("again", "ab", "b"))
    rows = table(settings, build(split=[0.5, 0.3, 0.2]))
    by_prompt: dict[str, set[str]] = {}
    for row in rows:
        by_prompt.setdefault(row["prompt"][-1]["content"].casefold(), set()).add(row["split"])
        if row["conversation_id"]:
            by_prompt.setdefault("talk", set()).add(row["split"])
    assert all(len(splits) == 1 for splits in by_prompt.values())
    assert {row["split"] for row in rows} == {"train", "validation", "test"}


def test_rows_never_move_between_splits_as_data_grows(build: Build, put: Put, settings: Settings) -> None:
    put(*picks(30))
    before = {row["id"]: row["split"] for row in table(settings, build())}
    put(*picks(30, start=30))
    after = {row["id"]: row["split"] for row in table(settings, build())}
    assert {row: after[row] for row in before} == before


def test_a_near_duplicate_of_a_training_prompt_is_left_out_of_validation(
    build: Build, put: Put, store: Store, settings: Settings
) -> None:
    put(*picks(30))
    rows = table(settings, build())
    train = next(row for row in rows if row["split"] == "train")["interaction_id"]
    held = next(row for row in rows if row["split"] == "validation")["interaction_id"]
    with store.transaction() as cursor:
        cursor.execute(
            "INSERT INTO duplicates "
            "SELECT 'default', a.interaction_key, b.interaction_key, 0.95, 'embedding', 'm', 0.9 "
            "FROM interactions a, interactions b WHERE a.interaction_id = ? AND b.interaction_id = ?",
            [held, train],
        )
    manifest = build()
    assert manifest["dropped"] == {"near_train": 3}
    assert held not in {row["interaction_id"] for row in table(settings, manifest)}


def test_close_wording_is_left_out_of_validation_too(build: Build, put: Put, settings: Settings) -> None:
    twins = []
    for n in range(12):
        text = f"Please tell me how the {prompt(n)} thing in my latest order can be returned to your shop"
        twins += [interaction(f"x{n}", REPLIES, prompt=text), interaction(f"y{n}", REPLIES, prompt=text + " now")]
        twins += [pick(f"x{n}", "ab", "a"), pick(f"y{n}", "ab", "a")]
    put(*twins)
    manifest = build(split=[0.5, 0.5, 0.0])
    assert manifest["dropped"]["near_train"] > 0
    splits = {row["interaction_id"]: row["split"] for row in table(settings, manifest)}
    assert all(splits.get(f"x{n}") == splits.get(f"y{n}") for n in range(12) if f"x{n}" in splits and f"y{n}" in splits)


def test_templated_chinese_prompts_are_different_questions(build: Build, put: Put, settings: Settings) -> None:
    cities, dishes = ("北京", "上海", "广州", "成都", "杭州"), ("红烧肉", "酸辣汤", "宫保鸡丁", "番茄炒蛋", "清蒸鱼")
    asked = [
        f"请帮我查询一下从{one}到{other}的最便宜的机票价格是多少" for one in cities for other in cities if one != other
    ]
    asked += [f"请告诉我在家里应该怎么做一份{days}天也不会坏的{dish}" for dish in dishes for days in "一三五七"]
    assert len(set(asked)) == 40
    told = [interaction(f"t{n}", REPLIES, prompt=text, at=n) for n, text in enumerate(asked)]
    put(*told, *(pick(f"t{n}", "ab", "a") for n in range(40)))
    manifest = build(split=[0.6, 0.2, 0.2])
    rows = table(settings, manifest)
    assert (len(rows), manifest["dropped"]) == (40, {})
    assert {row["split"] for row in rows} == {"train", "validation", "test"}


def test_leak_check_refuses_a_prompt_in_two_splits(build: Build, put: Put, store: Store) -> None:
    from processor.datasets import parse_filters

    put(*picks(1))
    with store.read() as cursor:
        rows = select_rows(cursor, "default", parse_filters({})).rows
    for row, split in zip(rows, ("train", "validation", "train"), strict=True):
        row.split = split
    with pytest.raises(ThumbwheelError, match="two splits"):
        check_leaks(rows, [])


def test_over_max_rows_losers_go_before_picks(build: Build, put: Put, settings: Settings) -> None:
    put(*picks(20))
    manifest = build(max_rows=40, split=[1.0, 0.0, 0.0])
    rows = table(settings, manifest)
    assert len(rows) == 40
    assert len({row["event_id"] for row in rows}) == 20
    assert {row["weight"] for row in rows} == {0.5}
    assert manifest["dropped"] == {"over_max_rows": 20}


def test_fewer_rows_than_picks_keeps_the_newest(build: Build, put: Put, settings: Settings) -> None:
    put(*picks(10))
    rows = table(settings, build(max_rows=4, split=[1.0, 0.0, 0.0]))
    assert sorted(row["interaction_id"] for row in rows) == ["t6", "t7", "t8", "t9"]
    assert {row["weight"] for row in rows} == {1.0}


def test_thin_keeps_everything_within_budget() -> None:
    assert thin([], 0, "s") == []


def test_replay_alone_is_nothing_to_train_on(build: Build, put: Put) -> None:
    put(*picks(20, models=dict.fromkeys("abcd", "ad-old")))
    with pytest.raises(ThumbwheelError) as refused:
        build(policy="ad-new")
    assert refused.value.status == 409
    assert "over_replay_share 60" in refused.value.hint


def test_replay_is_at_most_a_fifth_and_marked(build: Build, put: Put, settings: Settings) -> None:
    put(*picks(20, models=dict.fromkeys("abcd", "ad-new")))
    put(*picks(20, start=20, models=dict.fromkeys("abcd", "ad-old")))
    manifest = build(policy="ad-new")
    rows = table(settings, manifest)
    replay = [row for row in rows if row["replay"]]
    assert {row["rejected_model"] for row in replay} == {"ad-old"}
    assert len(replay) == manifest["replay_rows"] <= 0.2 * len(rows)
    assert len(rows) - len(replay) == 60


def test_labels_choose_rows_and_what_lies_below_them(build: Build, put: Put, settings: Settings) -> None:
    put(*picks(10, labels=["refund/late"]), *picks(10, start=10, labels=["spam"]))
    assert sum(build(include_labels=["refund"])["counts"]["preference"].values()) == 30
    manifest = build(exclude_labels=["spam"])
    assert manifest["dropped"] == {"label_excluded": 30}


def test_evaluation_prompts_never_train(build: Build, put: Put, settings: Settings) -> None:
    put(*picks(10), *picks(5, start=10, labels=["evaluation"]))
    put(interaction("same-question", REPLIES, prompt=prompt(12)), pick("same-question", "ab", "a"))
    manifest = build()
    assert manifest["dropped"]["evaluation_prompt"] == 16
    assert {row["interaction_id"] for row in table(settings, manifest)} == {f"t{n}" for n in range(10)}


def test_picks_of_a_running_test_train_only_once_it_is_decided(build: Build, put: Put) -> None:
    trial = {"challenger": "ad-1", "baseline": "base", "counted": True}
    put(*picks(10), *picks(10, start=10, trial=trial))
    assert build()["dropped"] == {"test_running": 30}
    put(event("model.promoted", "m", at=100, adapter_id="ad-1", via="trainer"))
    assert build()["dropped"] == {}


def test_untrusted_rows_are_counted_not_taken(build: Build, put: Put) -> None:
    put(*picks(10))
    inline = {"messages": [{"role": "user", "content": "q"}], "candidates": [{"candidate_id": "a", "content": "x"}]}
    put(event("thumb", "t", interaction_id="pub", candidate_id="a", value="up", via="public", **inline))
    assert build()["dropped"] == {"untrusted": 1}


def test_nothing_trainable_is_a_conflict_with_a_hint(build: Build) -> None:
    with pytest.raises(ThumbwheelError) as raised:
        build()
    assert raised.value.status == 409
    assert raised.value.hint


@pytest.mark.parametrize("wrong", [{"splits": [1]}, {"split": [0.5, 0.2, 0.1]}, {"max_rows": 0}, {"kinds": ["x"]}])
def test_wrong_filters_are_named(build: Build, wrong: dict[str, Any]) -> None:
    with pytest.raises(ThumbwheelError) as raised:
        build(**wrong)
    assert raised.value.status == 400


def test_same_rows_give_the_same_id_and_the_same_bytes(build: Build, put: Put, settings: Settings) -> None:
    put(*picks(20))
    first = build(max_rows=30)
    folder = dataset_folder(settings, "default", first["dataset_id"])
    bytes_before = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    shutil.rmtree(folder)
    assert build(max_rows=30) == first
    assert {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()} == bytes_before
    put(event("run.started", "r", run_id="r", method="dpo", via="trainer"))
    assert build(max_rows=30) == first
    assert [path.name for path in folder.parent.iterdir()] == [first["dataset_id"]]


def test_build_tells_the_log_and_the_manifest_names_offsets(build: Build, put: Put, log: Log) -> None:
    put(*picks(5))
    manifest = build()
    assert manifest["created_from"]["thumbwheel.events.v1"] == {"0": 10}
    [record] = log.reader({(RUNS, 0): 0}).poll(10, 1.0)
    assert json.loads(record.value)["dataset_id"] == manifest["dataset_id"]


def test_lineage_names_the_event_of_every_row(build: Build, put: Put, settings: Settings, rows: Any) -> None:
    put(*picks(5))
    folder = dataset_folder(settings, "default", build()["dataset_id"])
    lineage = pq.read_table(folder / "lineage.parquet").to_pylist()
    assert {row["event_id"] for row in lineage} == set(rows("SELECT event_id FROM feedback"))
    assert len(lineage) == 15


def test_card_says_how_far_model_and_length_predict_the_choice(build: Build, put: Put, settings: Settings) -> None:
    two = {"a": "short", "b": "a much longer reply than the other"}
    for n in range(10):
        put(interaction(f"t{n}", two, prompt=prompt(n), models={"a": "ad-1", "b": "base"}), pick(f"t{n}", "ab", "a"))
    manifest = build()
    assert manifest["shortcuts"] == {"model": {"rows": 10, "accuracy": 1.0}, "length": {"rows": 10, "accuracy": 1.0}}
    card = (dataset_folder(settings, "default", manifest["dataset_id"]) / "README.md").read_text()
    assert "Which model wrote it: predicts the chosen side in 100% of 10 pairs" in card


def test_show_and_diff(build: Build, put: Put, settings: Settings) -> None:
    put(*picks(10))
    first = build()["dataset_id"]
    put(*picks(2, start=10))
    second = build()["dataset_id"]
    assert show_dataset(settings, "default", first)["dataset_id"] == first
    changes = diff_datasets(settings, "default", first, second)
    assert (len(changes["added"]), len(changes["removed"]), changes["kept"], changes["moved"]) == (6, 0, 30, [])
    with pytest.raises(ThumbwheelError, match="no dataset"):
        show_dataset(settings, "default", "ds-000000000000")


def test_datasets_library_loads_the_folder(build: Build, put: Put, settings: Settings, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="needs the datasets library")
    put(*picks(20), event("thumb", "t", interaction_id="t1", candidate_id="a", value="up"))
    folder = dataset_folder(settings, "default", build()["dataset_id"])
    loaded = datasets.load_dataset(str(folder), "preference", cache_dir=str(tmp_path / "cache"))
    assert set(loaded) == {"train", "validation"}
    assert loaded["train"][0]["chosen"][0]["role"] == "assistant"
    thumbs = datasets.load_dataset(str(folder), "unpaired", cache_dir=str(tmp_path / "cache"))
    assert next(iter(thumbs.values()))[0]["label"] is True


@pytest.mark.slow
def test_trl_trains_on_the_folder_unchanged(build: Build, put: Put, settings: Settings, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="needs the datasets library")
    trl = pytest.importorskip("trl", reason="needs trl")
    transformers = pytest.importorskip("transformers", reason="needs transformers")
    tokenizers = pytest.importorskip("tokenizers", reason="needs tokenizers")
    put(*picks(6))
    folder = dataset_folder(settings, "default", build(split=[1.0, 0.0, 0.0])["dataset_id"])
    rows = datasets.load_dataset(str(folder), "preference", split="train", cache_dir=str(tmp_path / "cache"))
    known = {word for reply in REPLIES.values() for word in reply.split()}
    words = sorted(known | set(WORDS) | {"user", "assistant", "[UNK]", "</s>"})
    plain = tokenizers.Tokenizer(tokenizers.models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    plain.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=plain, unk_token="[UNK]", pad_token="[UNK]", eos_token="</s>"
    )
    tokenizer.chat_template = "{% for m in messages %}{{ m.role }} {{ m.content }} </s> {% endfor %}"
    model = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=len(words), hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
            num_key_value_heads=2, pad_token_id=0, eos_token_id=words.index("</s>"), bos_token_id=None,
        )
    )  # fmt: skip
    model.save_pretrained(tmp_path / "model")
    config = trl.DPOConfig(
        output_dir=str(tmp_path / "run"), max_steps=2, per_device_train_batch_size=4, use_cpu=True, bf16=False,
        gradient_checkpointing=False, report_to=[], save_strategy="no",
    )  # fmt: skip
    trainer = trl.DPOTrainer(model=str(tmp_path / "model"), args=config, train_dataset=rows, processing_class=tokenizer)
    assert trainer.train().training_loss > 0


def test_rows_that_hold_control_tokens_as_text_are_counted_and_named_in_the_card(
    build: Build, put: Put, settings: Settings
) -> None:
    put(*picks(8))
    assert build()["control_text_rows"] == 0
    put(*picks(2, start=8, messages=[{"role": "user", "content": "hi<|im_end|>"}]))
    shown = {**REPLIES, "b": "said </s> here"}
    put(interaction("said", shown, prompt=prompt(10), at=10), pick("said", "abcd", "b", at=10))
    manifest = build()
    assert manifest["control_text_rows"] == 9
    card = (dataset_folder(settings, "default", manifest["dataset_id"]) / "README.md").read_text()
    assert "control tokens as text, such as `<|im_end|>`: 9." in card


def test_a_rated_reply_that_was_cut_says_so_to_the_trainer(build: Build, put: Put, settings: Settings) -> None:
    cut = {
        "a": {"content": "It was", "finish_reason": "max_tokens"},
        "b": {"content": "Whole.", "finish_reason": "stop"},
    }
    for n in range(6):
        shown = [event("thumb", f"{n}{c}", interaction_id=f"t{n}", candidate_id=c, value="up") for c in "ab"]
        put(interaction(f"t{n}", cut, prompt=prompt(n), at=n), *shown)
    manifest = build()
    told = {row["completion"][0]["content"]: row["truncated"] for row in table(settings, manifest, "unpaired")}
    assert told == {"It was": True, "Whole.": False}
    folder = dataset_folder(settings, "default", manifest["dataset_id"])
    assert {row.completion[0]["content"]: row.cut for row in open_dataset(folder).rated("train")} == told


def test_the_card_is_there_in_chinese_too_and_says_the_same(build: Build, put: Put, settings: Settings) -> None:
    two = {"a": "short", "b": "a much longer reply than the other"}
    for n in range(10):
        said = [{"role": "user", "content": f"hi<|im_end|> {n}"}]
        put(
            interaction(f"t{n}", two, messages=said, models={"a": "ad-1", "b": "base"}, at=n),
            pick(f"t{n}", "ab", "a", at=n),
        )
    put(interaction("left", two, prompt=prompt(50), labels=["old"]), pick("left", "ab", "a"))
    manifest = build(exclude_labels=["old"])
    folder = dataset_folder(settings, "default", manifest["dataset_id"])
    english, chinese = (folder / name for name in ("README.md", "README.zh-CN.md"))
    text = chinese.read_text("utf-8")
    assert text.startswith(f"# 数据集 {manifest['dataset_id']}\n"), "the header is the English card's"
    assert "由哪个模型撰写：在 10 对中，有 100% 能据此猜中选中的一方" in text
    assert "| label_excluded | 1 |" in text and "控制标记（如 `<|im_end|>`）的行：10。" in text
    card = english.read_text("utf-8").partition("---\n\n")[2]
    assert sorted(re.findall(r"\d+", text)) == sorted(re.findall(r"\d+", card)), "the same figures"
    assert text.count("\n") == card.count("\n")
    assert f"[简体中文]({chinese.name})" in card and f"[English]({english.name})" in text
    said = text.partition("```json")[0].replace(manifest["dataset_id"], "").replace(f"[English]({english.name})", "")
    codes = r"`[^`]*`|preference|train|validation|label_excluded|Thumbwheel|DPO|KTO|SFT"
    assert re.findall(r"[A-Za-z]{3,}", re.sub(codes, "", said)) == []
