"""What the log and the errors say in English, pages say in the reader's language; what a person wrote stays."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from processor.console.sentences import said
from processor.console.words import NAMES, WORDS
from tests.console.bench import Bench
from tests.console.test_languages import foreign
from trainer.guarding.guards import GUARDS, judge_replies
from trainer.guarding.replies import ReplyMeasures
from trainer.loop import verdict
from trainer.progress import KEPT

ROOT = Path(__file__).parents[2]
_ROW = re.compile(r"^\| `([a-z_0-9]+)` \| (.*?) \| (.*?) \|$")
# Errors of commands that people type, of files of the machine and of tests on it: no page shows them.
NOT_ON_PAGES = {
    "already_running", "bad_aliases", "bad_card", "bad_entry", "bad_size", "unknown_state", "bad_dataset", "bad_backup",
}  # fmt: skip
ALSO_NOT = ("--config", "loss=", "thumbwheel models", "method …. |")
# Of a damaged file and another release only the trainer's own log speaks; templates of the verdict come filled.
NOT_SAID = {
    "A remote id has 1 to 256 printable characters and no spaces.", "An adapter is 7, not 7.",
    "A local adapter has no remote id, and this one has 7.", "7 is no id of a remote model.",
    "The console calls a blind test 7.", "Run the same release everywhere.", "Restore it from a backup.",
}  # fmt: skip


@pytest.fixture
def chinese(bench: Bench) -> Iterator[None]:
    with bench.app.test_request_context("/", headers={"Accept-Language": "zh-CN"}):
        yield


def documented(*packages: str, code: str | None = None) -> list[str]:
    """Return the messages and hints of a package's errors, or of those of a code, their blanks filled with a number."""
    text = (ROOT / "docs" / "reference" / "errors.md").read_text("utf-8")
    found = []
    for package in packages:
        section = text.split(f"\n## {package}\n")[1].split("\n## ")[0]
        for line in section.splitlines():
            row = _ROW.match(line)
            shown = row and row[1] not in NOT_ON_PAGES and not any(part in line for part in ALSO_NOT)
            if row and shown and code in (None, row[1]):
                found += [part.replace("…", "7").replace("\\|", "|") for part in row.groups()[1:]]
    return [one for one in found if one not in ("7", "7.", "")]


def untold(sentences: list[str]) -> list[str]:
    """Return those that are not said in Chinese; settings and commands to type stay as they are typed."""
    typed = re.compile(
        r"thumbwheel [\w -]+|--[\w-]+( \w+)?|config\.json|pip install [\w =.-]+|\blr\b"
        r"|huggingface.co|\b(?:GGUF|Modelfile|llama\.cpp|OpenAI|torchrun|accelerate launch|CPU)\b"
        r"|\[.*\]|\bdemo\b|\w+=|\blogit\b"
    )
    return [
        one for one in sentences if not re.search("[一-龟]", said(one)) or foreign(typed.sub("", said(one)), "zh_Hans")
    ]


def test_every_reason_for_which_a_run_fails_is_said_in_chinese(chinese: None) -> None:
    sentences = documented("trainer", "inference") + documented("contract", code="bad_setting")
    assert len(sentences) > 40
    assert untold(sentences) == []


def test_every_message_about_a_rejected_event_is_said_in_chinese(chinese: None) -> None:
    text = (ROOT / "docs" / "reference" / "errors.md").read_text("utf-8").split("\n## contract\n")[1].split("\n## ")[0]
    others = ("bad_dataset", "bad_setting")
    rows = [row for line in text.splitlines() if (row := _ROW.match(line)) and row[1] not in others]
    messages = [row[2].replace("…", "'x'") for row in rows if row[2] != "…"]
    assert len(messages) > 15
    unsaid = [one for one in messages if said(one) == one]
    assert unsaid == []
    assert {row[1] for row in rows} <= set(WORDS)


def reasons_of_the_trainer() -> list[str]:
    """Return every sentence the trainer's loop puts beside a change or a failed run, blanks as numbers."""
    given = {"wins": 7, "n": 9, "others": 1, "min_others": 3, "trial_days": 14.0}
    templates = (*verdict._REASONS.values(), verdict._STANDING)
    found = [one.format(**given, people=people) for one in templates for people in ("one rater", "3 raters")]
    for file in [*(ROOT / "trainer" / "loop").glob("*.py"), ROOT / "trainer" / "backends" / "local.py"]:
        if file.stem == "verdict":
            continue
        tree = ast.parse(file.read_text("utf-8"))
        documented = {id(node.body[0].value) for node in ast.walk(tree) if _has_docstring(node)}  # type: ignore[attr-defined]
        for node in ast.walk(tree):
            if id(node) in documented:
                continue
            if isinstance(node, ast.Constant | ast.JoinedStr) and (text := _text(node)):
                found.append(text)
    return found


def _has_docstring(node: ast.AST) -> bool:
    kinds = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    return isinstance(node, kinds) and ast.get_docstring(node) is not None


def _text(node: ast.Constant | ast.JoinedStr) -> str:
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    text = "".join(str(part.value) if isinstance(part, ast.Constant) else "7" for part in parts)
    return text if re.fullmatch(r"[A-Z7][^\n]* [^\n]*\.", text) and len(text) < 120 else ""


def test_every_reason_of_the_trainer_is_said_in_chinese(chinese: None) -> None:
    sentences = reasons_of_the_trainer()
    assert "Withdrawn by a person." in sentences and len(sentences) > 15
    assert untold([one for one in sentences if one not in NOT_SAID and "{" not in one]) == []


def test_every_guard_has_its_name_and_limit_in_chinese(chinese: None) -> None:
    limits = [guard.limit.format(held_out=24) for guard in GUARDS]
    side = ReplyMeasures(**dict.fromkeys(ReplyMeasures.__dataclass_fields__, 0.5))
    limits += [guard.limit for guard in judge_replies(side, side)]
    assert untold(limits) == []
    assert {guard.name for guard in GUARDS} | set(KEPT) <= set(NAMES)
    reason = "reply_nll: 4.1 against 2 of the base (limit: at most 1.5 x base)"
    assert said(f"Held by its guards. {reason}; {reason}") == (
        "被护栏搁置。基础模型对其回复的意外程度：4.1，基础模型为 2（限度：不超过基础模型的 1.5 倍）"
        "；基础模型对其回复的意外程度：4.1，基础模型为 2（限度：不超过基础模型的 1.5 倍）"
    )


@pytest.mark.parametrize(
    "text", ["the agents prefer it", "It won.", "Use the old one", "我们更喜欢它。", "a - at b", "", "."]
)
def test_a_persons_words_stay(chinese: None, text: str) -> None:
    assert said(text) == text


def test_the_english_of_a_sentence_is_itself(bench: Bench) -> None:
    with bench.app.test_request_context("/", headers={"Accept-Language": "en"}):
        for sentence in (*reasons_of_the_trainer(), *documented("trainer"), "Expected `str`, got `int` - at `$.value`"):
            if "(7)" not in sentence and "guards" not in sentence:
                assert said(sentence) == sentence
