"""What a row of a format says, where formats have more to say than a prompt and a reply."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eventlog.log import Log
from eventlog.opening import open_log
from processor.datasets.parquet import SCHEMAS
from processor.exporters import export_dataset
from processor.importers import import_file
from processor.importers.reading import RowError
from processor.importers.shapes import READERS, Said
from processor.steps.normalise import blank, normalise, same_text
from tests.processor.samples import event, interaction, pick

ASKED = [{"role": "user", "content": "Where is it?"}]


def said(content: str) -> dict[str, Any]:
    return {"role": "assistant", "content": content}


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    opened = open_log(f"sqlite:///{tmp_path}/log/events.db")
    yield opened
    opened.close()


def read(form: str, row: dict[str, Any]) -> Said:
    return READERS[form](row, {})


# -- what is empty, and what is the same


FORMAT_CHARACTERS = [chr(n) for n in range(0x110000) if unicodedata.category(chr(n)) == "Cf"]
# They stand before digits, and are seen.
SEEN = set("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd")


def test_every_character_without_width_is_nothing() -> None:
    fillers = "\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0\ufe0f\u180b\U000e0100\u2800\x00\x1f\x85\u3000\xa0"
    assert [c for c in (*FORMAT_CHARACTERS, *fillers) if not blank(c) and c not in SEEN] == []
    assert blank("") and blank(" \u200b\n\u2060\ufeff\t\U000e0061 ")
    assert not any(map(blank, (*SEEN, "a\u200b", "\u2764\ufe0f", "\u0301", "\u200d👩")))
    assert normalise("re\u00adturn \u2061parcel\U000e0061") == "return parcel"


@pytest.mark.parametrize("nothing", ["\u200b", "\u2060\ufeff", "\u3164", " \u00ad\u034f ", "\U000e0041", "\u2800"])
def test_a_reply_without_width_is_empty(tmp_path: Path, log: Log, nothing: str) -> None:
    rows = [
        {"prompt": "q", "completion": nothing}, {"prompt": "q", "chosen": "a", "rejected": nothing},
        {"prompt": nothing, "completion": "a"},
    ]  # fmt: skip
    (tmp_path / "f.json").write_text(json.dumps(rows))
    report = import_file(tmp_path / "f.json", "trl", "default", log)
    assert [error.partition(": ")[2] for error in report.errors] == [
        "a reply is empty", "a reply is empty", "there is no question",
    ]  # fmt: skip


def test_replies_without_width_train_nothing(put: Any, rows: Any) -> None:
    put(
        interaction("i-1", {"a": "\u200b\u2060", "b": "Two."}), pick("i-1", ("a", "b"), "a"),
        event("thumb", "t1", interaction_id="i-1", candidate_id="a", value="up"),
        event("edit", "e1", interaction_id="i-1", candidate_id="b", text="\ufeff\u3164", actor="ben"),
        interaction("i-2", {"a": "One.", "b": "Two."}, prompt="\u200e\u200f"), pick("i-2", ("a", "b"), "a"),
        interaction("i-3", {"a": "One.", "b": "Two."}),
        pick("i-3", ("a", "b"), None, edited_text="\u2060"),
    )  # fmt: skip
    assert set(rows("SELECT why_not FROM pairs")) == {"empty_reply", "no_prompt"}
    assert rows("SELECT why_not FROM unpaired") == ["empty_reply"]
    assert rows("SELECT why_not FROM demonstrations") == ["empty_reply"]


def test_one_word_in_two_spellings_is_one_text(put: Any, rows: Any) -> None:
    one, other = "Déjà vu, 가나다.", unicodedata.normalize("NFD", "Déjà vu, 가나다.")
    assert one != other and same_text(one, other) and same_text("étude", unicodedata.normalize("NFD", "étude"))
    assert not same_text("été", "ete")
    put(interaction("i-1", {"a": one, "b": other, "c": "No."}), pick("i-1", ("a", "b", "c"), "a"))
    assert rows("SELECT rejected FROM pairs") == ["No."]
    put(event("edit", "e1", interaction_id="i-1", candidate_id="a", text=other, actor="ben"))
    assert rows("SELECT count(*) FROM pairs WHERE kind = 'edit'") == [0]
    assert rows("SELECT text FROM demonstrations") == [other]


# -- Alpaca


def test_history_of_alpaca(log: Log) -> None:
    row = {"instruction": "And it?", "output": "Here."}
    for history in (None, []):
        assert read("alpaca", {**row, "history": history, "input": None, "system": None}).messages == [
            {"role": "user", "content": "And it?"}
        ]
    assert len(read("alpaca", {**row, "history": [["q", "a"]]}).messages) == 3
    for turn in ([None, "a"], ["q", None], ["q", 1], [["q"], "a"]):
        with pytest.raises(RowError, match="not text"):
            read("alpaca", {**row, "history": [turn]})
    with pytest.raises(RowError, match="history is not"):
        read("alpaca", {**row, "history": ["q"]})


# -- OpenAI


def test_replies_of_weight_0_are_no_demonstrations() -> None:
    again = {"role": "user", "content": "And then?"}
    dialogue = [*ASKED, said("Here."), again, {**said("There."), "weight": 0}]
    found = read("openai", {"messages": dialogue})
    assert (found.messages, found.reply) == (ASKED, "Here.")
    kept = read(
        "openai", {"messages": [*ASKED, {**said("Here."), "weight": 0}, again, {**said("There."), "weight": 1}]}
    )
    assert kept.reply == "There." and len(kept.messages) == 3
    for weight in (0, 0.0):
        with pytest.raises(RowError, match="weight 0"):
            read("openai", {"messages": [*ASKED, {**said("Here."), "weight": weight}]})


# -- what a row has beside its texts


@pytest.mark.parametrize("name", ["tools", "functions", "images", "image", "videos", "audios"])
@pytest.mark.parametrize(
    ("form", "row"),
    [
        ("sharegpt", {"conversations": [*ASKED, said("Here.")]}),
        ("sharegpt", {"conversations": ASKED, "chosen": said("a"), "rejected": said("b")}),
        ("alpaca", {"instruction": "q", "output": "a"}), ("trl", {"prompt": "q", "chosen": "a", "rejected": "b"}),
        ("trl", {"prompt": "q", "completion": "a"}), ("openai", {"messages": [*ASKED, said("Here.")]}),
        ("trl", {"messages": [*ASKED, said("Here.")]}), ("csv", {"prompt": "q", "completion": "a"}),
    ],
)  # fmt: skip
def test_a_row_with_more_than_text_is_refused_by_name(form: str, row: dict[str, Any], name: str) -> None:
    for value in ([{"name": "look_up"}], '[{"name": "look_up"}]', "cat.png", {"path": "cat.png"}):
        with pytest.raises(RowError, match=f"^{name} cannot be imported"):
            read(form, {**row, name: value})
    for value in (None, [], "", "[]", {}, "  "):
        assert isinstance(read(form, {**row, name: value}), Said)


# -- TRL


@pytest.mark.parametrize(
    ("chosen", "rejected", "prompt", "replies"),
    [
        ("The sky is blue.", "The sky is green.", "The sky is", ("blue.", "green.")),
        ("The sky is black.", "The sky is blue.", "The sky is", ("black.", "blue.")),
        ("天空是什么颜色？蓝色的。", "天空是什么颜色？绿色的。", "天空是什么颜色？", ("蓝色的。", "绿色的。")),
        ("Say yes or no: yes", "Say yes or no: no", "Say yes or no:", ("yes", "no")),
    ],
)
def test_texts_that_begin_alike_share_their_prompt(
    chosen: str, rejected: str, prompt: str, replies: tuple[str, str]
) -> None:
    found = read("trl", {"chosen": chosen, "rejected": rejected})
    assert found.messages == [{"role": "user", "content": prompt}]
    assert (found.reply, found.rejected) == replies


def test_transcripts_are_read_turn_by_turn() -> None:
    shared = "\n\nHuman: Where is it?\n\nAssistant: Which one?\n\nHuman: The parcel.\n\nAssistant: "
    found = read("trl", {"chosen": shared + "It is here.", "rejected": shared + "It is gone."})
    assert [message["role"] for message in found.messages] == ["user", "assistant", "user"]
    assert [message["content"] for message in found.messages] == ["Where is it?", "Which one?", "The parcel."]
    assert (found.reply, found.rejected) == ("It is here.", "It is gone.")
    with pytest.raises(RowError, match="part before a reply begins"):
        read("trl", {"chosen": "\n\nHuman: A?\n\nAssistant: x", "rejected": "\n\nHuman: B?\n\nAssistant: y"})
    with pytest.raises(RowError, match="goes on"):
        read("trl", {"chosen": shared + "Yes.\n\nHuman: And?\n\nAssistant: No.", "rejected": shared + "No."})


def test_ultrafeedback_binarized_is_read() -> None:
    row = {
        "prompt": "Where is it?", "prompt_id": "x", "chosen": [*ASKED, said("Here.")],
        "rejected": [*ASKED, said("Gone.")], "messages": [*ASKED, said("Here.")], "score_chosen": 8.5,
        "score_rejected": 4.0,
    }  # fmt: skip
    found = read("trl", row)
    assert (found.messages, found.reply, found.rejected) == (ASKED, "Here.", "Gone.")
    assert found.extra == {"prompt_id": "x", "score_chosen": 8.5, "score_rejected": 4.0}
    system = {"role": "system", "content": "Be brief."}
    longer = {side: [system, *row[side]] for side in ("chosen", "rejected")}
    assert read("trl", {**row, **longer}).messages == [system, *ASKED]
    assert read("trl", {**row, **longer, "prompt": [system, *ASKED]}).messages == [system, *ASKED]
    with pytest.raises(RowError, match="prompt is not what"):
        read("trl", {**row, "prompt": "Who are you?"})


@pytest.mark.parametrize(
    ("label", "up"),
    [(1.0, True), (0.0, False), (1, True), (0, False), ("1.0", True), ("0.0", False), (True, True), ("false", False),
     (-1.0, False), ("+1", True)],
)  # fmt: skip
def test_labels_are_read_however_they_are_written(label: Any, up: bool) -> None:
    assert read("trl", {"prompt": "q", "completion": "a", "label": label}).label is up
    assert read("sharegpt", {"messages": [*ASKED, said("a")], "kto_tag": label}).label is up


@pytest.mark.parametrize("label", [0.5, 2, "maybe", [], {}])
def test_labels_that_say_neither_are_refused(label: Any) -> None:
    with pytest.raises(RowError, match="neither true nor false"):
        read("trl", {"prompt": "q", "completion": "a", "label": label})


# -- exports


@pytest.mark.parametrize("form", ["trl", "sharegpt", "openai"])
def test_a_developer_message_is_exported(tmp_path: Path, log: Log, form: str) -> None:
    lead = [{"role": "system", "content": "Be kind."}, {"role": "developer", "content": "Be brief."}]
    data = tmp_path / "dataset" / "data"
    for config, prompts in (("preference", [lead[1:], lead]), ("demonstration", [lead[1:]])):
        rows = [
            {"prompt": [*prompt, *ASKED], "chosen": [said("Here.")], "rejected": [said("Gone.")],
             "completion": [said("Here.")]} for prompt in prompts
        ]  # fmt: skip
        (data / config).mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(rows, SCHEMAS[config]), data / config / "train-00000-of-00001.parquet")
    report = export_dataset(tmp_path / "dataset", form, tmp_path / "out")
    assert (report.written, report.refused) == (3, {})
    text = (tmp_path / "out" / f"preference-train.{'json' if form == 'sharegpt' else 'jsonl'}").read_text("utf-8")
    if form == "sharegpt":
        turns = [row["conversations"][0] for row in json.loads(text)]
        assert turns == [{"from": "system", "value": text} for text in ("Be brief.", "Be kind.\n\nBe brief.")]
    for name in report.files:
        if name != "dataset_info.json":
            again = import_file(tmp_path / "out" / name, form, "default", log)
            assert again.errors == [] and again.imported > 0
