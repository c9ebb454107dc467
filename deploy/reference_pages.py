"""Write the reference pages that are made from code: events, settings, training and errors, in English and Chinese.

    python deploy/reference_pages.py            # write docs/reference/{events,settings,training,errors}[.zh-CN].md
    python deploy/reference_pages.py --check    # exit 1 and name the pages that are stale

Events come from the Structs in `contract.events`, settings from `runtime.settings`, training from
`contract.run_settings` and the objectives, errors from every place in the source that raises one. What stands outside
the marked part of a page is written by hand.
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterator
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from contract.events import STRUCTS  # noqa: E402
from contract.meanings import meaning  # noqa: E402
from contract.run_settings import SETTINGS, Setting  # noqa: E402
from contract.schema import schema  # noqa: E402
from runtime.setting_meanings import ABOUT  # noqa: E402
from runtime.settings import PREFIX, Settings  # noqa: E402
from trainer.methods import OBJECTIVES  # noqa: E402

FOLDER = ROOT / "docs" / "reference"
BEGIN, END = "<!-- made by deploy/reference_pages.py -->", "<!-- end -->"
SERVICES = (
    "contract", "trials", "inference", "runtime", "control_store", "eventlog", "collector", "processor", "gateway",
    "trainer", "cli",
)  # fmt: skip
LANGUAGES = {"en": "", "zh": ".zh-CN"}
WORDS = {
    "field": {"en": "field", "zh": "字段"}, "form": {"en": "form", "zh": "形式"},
    "needed": {"en": "needed", "zh": "必填"}, "meaning": {"en": "meaning", "zh": "含义"},
    "yes": {"en": "yes", "zh": "是"}, "every": {"en": "Every event", "zh": "所有事件"},
    "setting": {"en": "setting", "zh": "设置"}, "default": {"en": "default", "zh": "默认值"},
    "for": {"en": "what it is for", "zh": "用途"}, "code": {"en": "code", "zh": "代码"},
    "message": {"en": "message", "zh": "消息"}, "hint": {"en": "what to do", "zh": "处理方法"},
    "large": {"en": "from 1 billion parameters", "zh": "十亿参数起"},
    "project": {"en": "per project", "zh": "可按项目设置"},
    "list of": {"en": "list of", "zh": "列表："},
    "id": {"en": "id (1..128 visible ASCII)", "zh": "id（1..128 个 ASCII 字符）"},
}  # fmt: skip
ENVELOPE = (
    "event_id",
    "type",
    "occurred_at",
    "actor",
    "conversation_id",
    "source",
    "labels",
    "context",
    "sdk",
    "extra",
)
Parts = dict[str, str]


@dataclass(frozen=True)
class Raised:
    """One error that the source can raise; `…` stands for what is filled in."""

    service: str
    code: str
    message: str
    hint: str


def table(heads: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    cells = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    lines = [heads, ["---"] * len(heads), *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def events(language: str) -> str:
    """Return the events part: the envelope once, then what each type has of its own."""
    document = schema()
    shapes = {tag: document["$defs"][cls.__name__] for tag, cls in STRUCTS.items()}
    parts = [f"## {WORDS['every'][language]}\n\n" + _fields("thumb", shapes["thumb"], ENVELOPE, language)]
    for tag, shape in shapes.items():
        own = [name for name in shape["properties"] if name not in ENVELOPE]
        parts.append(f"## `{tag}`\n\n{shape['description'].splitlines()[0]}\n\n{_fields(tag, shape, own, language)}")
    inner = sorted(set(document["$defs"]) - {cls.__name__ for cls in STRUCTS.values()} - {"Trial"})
    for name in inner:
        shape = document["$defs"][name]
        rows = [
            [f"`{field}`", form(one, language), _needed(field, shape, language)]
            for field, one in shape["properties"].items()
        ]
        heads = [WORDS[word][language] for word in ("field", "form", "needed")]
        parts.append(f"## {name}\n\n{shape['description'].splitlines()[0]}\n\n{table(heads, rows)}")
    return "\n\n".join(parts)


def _fields(tag: str, shape: dict[str, Any], names: Any, language: str) -> str:
    heads = [WORDS[word][language] for word in ("field", "form", "needed", "meaning")]
    rows = [
        [
            f"`{name}`", form(shape["properties"][name], language), _needed(name, shape, language),
            getattr(meaning(tag, name), language),
        ]
        for name in names
    ]  # fmt: skip
    return table(heads, rows)


def _needed(name: str, shape: dict[str, Any], language: str) -> str:
    return WORDS["yes"][language] if name in shape.get("required", ()) else ""


def form(shape: dict[str, Any], language: str) -> str:
    """Return a JSON Schema in a few words."""
    if "$ref" in shape:
        name = shape["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in shape:
        return " / ".join(form(one, language) for one in shape["anyOf"])
    if "enum" in shape:
        return " / ".join(f"`{one}`" for one in shape["enum"])
    if shape.get("type") == "array":
        inner = form(shape.get("items", {}), language)
        return f"{WORDS['list of'][language]} {inner}{_limits(shape, 'minItems', 'maxItems')}"
    if "pattern" in shape:
        return WORDS["id"][language]
    kind = str(shape.get("format") or shape.get("type") or "JSON")
    return kind + _limits(shape, "minLength", "maxLength") + _limits(shape, "minimum", "maximum")


def _limits(shape: dict[str, Any], low: str, high: str) -> str:
    if low in shape or high in shape:
        return f" ({shape.get(low, '')}..{shape.get(high, '')})"
    return ""


def settings(language: str) -> str:
    """Return the settings part."""
    rows = []
    for field in fields(Settings):
        about = ABOUT[field.name]
        default = getattr(about, f"default_{language}") or f"`{_plain(field.default)}`"
        rows.append([f"`{PREFIX}{field.name.upper()}`", default, getattr(about, language)])
    return table([WORDS[word][language] for word in ("setting", "default", "for")], rows)


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def training(language: str) -> str:
    """Return the training part: every setting of a run with its form, its defaults and its meaning."""
    small = {objective.name: _defaults(objective.name) for objective in OBJECTIVES}
    large = {objective.name: small[objective.name] | dict(objective.large) for objective in OBJECTIVES}
    rows = [
        [
            f"`{name}`", _run_form(about), _by_objective(name, small, about), _by_objective(name, large, about),
            WORDS["yes"][language] if about.periodic else "", getattr(about, language),
        ]
        for name, about in SETTINGS.items()
    ]  # fmt: skip
    return table([WORDS[word][language] for word in ("setting", "form", "default", "large", "project", "for")], rows)


def _run_form(about: Setting) -> str:
    if about.choices:
        return " / ".join(f"`{one}`" for one in about.choices)
    if about.form in ("number", "whole"):
        return f"{about.low:g}..{about.high:g}"
    return f"`{about.example}`"


def _defaults(objective: str) -> dict[str, Any]:
    """Return the defaults of an objective's settings, read from its source: importing it would load torch."""
    tree = ast.parse((ROOT / "trainer" / "objectives" / f"{objective}.py").read_text("utf-8"))
    kind = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name.endswith("Config"))
    return {
        node.target.id: ast.literal_eval(node.value)
        for node in kind.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None
    }


def _by_objective(name: str, defaults: dict[str, dict[str, Any]], about: Setting) -> str:
    """Return a default once where all objectives that have the setting agree, else by objective."""
    found = {objective: values[name] for objective, values in defaults.items() if name in values}
    if not found:
        return "" if name in ("trial_labels", "filters", "lr_scale") else f"`{about.example}`"
    if len({str(value) for value in found.values()}) == 1:
        return f"`{_json(next(iter(found.values())))}`"
    return ", ".join(f"{objective.upper()} `{_json(value)}`" for objective, value in found.items())


def _json(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else json.dumps(value)


def errors(language: str) -> str:
    """Return the errors part: by service, then by code."""
    parts = []
    for service in SERVICES:
        found = sorted(set(raised(service)), key=astuple)
        rows = [[f"`{one.code}`", one.message, one.hint] for one in found]
        heads = [WORDS[word][language] for word in ("code", "message", "hint")]
        parts.append(f"## {service}\n\n{table(heads, rows)}")
    return "\n\n".join(parts)


def raised(service: str) -> Iterator[Raised]:
    """Yield every error of one package whose code is written where it is raised."""
    for file in sorted((ROOT / service).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and _makes_error(node) and (found := _raised(service, node)):
                yield found


def _makes_error(node: ast.Call) -> bool:
    name = getattr(node.func, "id", getattr(node.func, "attr", ""))
    return name in {
        "ThumbwheelError", "EventError", "SettingsError", "StoreError", "Refused", "LogUnavailable", "BodyEnded",
        "ControlUnavailable", "StoreDamaged", "StoreFatal", "StoreMemory", "Held", "NothingLeft",
    }  # fmt: skip


def _raised(service: str, node: ast.Call) -> Raised | None:
    given = dict(zip(("code", "message", "hint"), node.args, strict=False))
    given |= {word.arg: word.value for word in node.keywords if word.arg}
    if getattr(node.func, "id", "") == "LogUnavailable":
        given = {"code": ast.Constant("log_unavailable"), "message": node.args[0], "hint": (node.args[1:] or [None])[0]}
    code = given.get("code")
    if not isinstance(code, ast.Constant):
        return None
    return Raised(service, str(code.value), _text(given.get("message")), _text(given.get("hint")))


def _text(node: ast.AST | None) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
    return "…" if node is not None else ""


def pages() -> Iterator[tuple[Path, str]]:
    """Yield each page and what it should say."""
    for language, suffix in LANGUAGES.items():
        for name, part in (("events", events), ("settings", settings), ("training", training), ("errors", errors)):
            path = FOLDER / f"{name}{suffix}.md"
            before, _, rest = path.read_text("utf-8").partition(BEGIN)
            after = rest.partition(END)[2]
            yield path, f"{before}{BEGIN}\n\n{part(language)}\n\n{END}{after}"


def main(argv: list[str]) -> int:
    """Write or check the pages."""
    stale = [(path, text) for path, text in pages() if path.read_text("utf-8") != text]
    if "--check" in argv:
        for path, _ in stale:
            print(f"{path.relative_to(ROOT)} is stale: run make reference", file=sys.stderr)
        return 1 if stale else 0
    for path, text in stale:
        path.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
