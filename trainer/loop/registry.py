"""The adapter registry of one project: what runs made in; adapter folders, and the file that says who is champion, out.

`models/<project>/aliases.json` is the truth; facts in the log follow from it. A change is a pure function from one
`Aliases` to the next, then one atomic write. Each change has a version, and the event id of its fact is derived from
project and version, so a fact that was not appended before a crash is appended later under the same id.

An entry is local, a folder with the adapter's files, or remote, a model at a vendor that has an id there and no files
here; whatever needs weights refuses a remote one (`weights`). `champion` null means the base. `baseline` is the
champion at the moment the challenger was registered.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from contract.envelope import Actor
from contract.errors import ThumbwheelError
from contract.events import stamp
from contract.facts import (
    ModelChallenger,
    ModelFact,
    ModelHeld,
    ModelPromoted,
    ModelRegistered,
    ModelRejected,
    ModelRolledBack,
)
from contract.ids import derived_id
from runtime.files import sweep_unfinished, sync, write_whole
from trainer.backends.run_folder import Fetched
from trainer.loop.cards import render_card
from trainer.loop.entries import LOCAL, check_entry, refuse_remote
from trainer.tuning.table import DEFAULT

FACTS: dict[str, type[ModelFact]] = {
    "registered": ModelRegistered, "challenger": ModelChallenger, "held": ModelHeld, "rejected": ModelRejected,
    "promoted": ModelPromoted, "rolled_back": ModelRolledBack,
}  # fmt: skip
ACTOR = Actor(id="trainer", kind="system")
KEY_ID = "trainer"
TAKING_IN = ".taking-in-"
# An adapter's files, a whole model's, and what is said of the base beneath.
TAKEN_FILES = (
    "*.safetensors", "adapter_config.json", "config.json", "generation_config.json", "model.safetensors.index.json",
    "tuning.json",
)  # fmt: skip


@dataclass(frozen=True)
class Change:
    """One step of the history. `at` is RFC 3339; `adapter_id` is null only when a rollback ends at the base.

    `kind` and `remote_model` belong to the change that registered the adapter.
    """

    version: int
    change: str
    adapter_id: str
    at: str
    reason: str | None = None
    run_id: str | None = None
    dataset_id: str | None = None
    parent: str | None = None
    baseline: str | None = None
    request_id: str | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    kind: str = LOCAL
    remote_model: str | None = None

    def stored(self) -> dict[str, Any]:
        """Return the step as the alias file has it: a local entry looks as it did before there were others."""
        step = asdict(self)
        if self.kind == LOCAL:
            del step["kind"], step["remote_model"]
        return step


@dataclass(frozen=True)
class Aliases:
    """Who is champion, who is under test against whom, and how that came about."""

    version: int = 0
    champion: str | None = None
    challenger: str | None = None
    baseline: str | None = None
    history: tuple[Change, ...] = ()

    def known(self) -> set[str]:
        """Return the registered adapters."""
        return {change.adapter_id for change in self.history if change.change == "registered"}

    def state_of(self, adapter_id: str) -> str | None:
        """Return the adapter's last change, None for an unknown one."""
        return next((change.change for change in reversed(self.history) if change.adapter_id == adapter_id), None)

    def details_of(self, adapter_id: str) -> Change | None:
        """Return the change that registered the adapter."""
        return next((c for c in self.history if c.adapter_id == adapter_id and c.change == "registered"), None)

    def champions(self) -> list[str | None]:
        """Return the champions one could roll back through, the base first, the present one last."""
        stack: list[str | None] = [None]
        for change in self.history:
            if change.change == "promoted":
                stack.append(change.adapter_id)
            elif change.change == "rolled_back" and len(stack) > 1:
                stack.pop()
        return stack

    def guard_failures(self) -> int:
        """Return how many runs in a row a guard held back, up to now; each halves the next learning rate."""
        count = 0
        for change in reversed(self.history):
            if change.change == "challenger":
                break
            count += change.change == "held" and bool(change.metrics.get("guards_failed"))
        return count


def _next(aliases: Aliases, change: str, adapter_id: str, details: Mapping[str, Any], **fields: Any) -> Aliases:
    version = aliases.version + 1
    at = details.get("at") or datetime.now(UTC).isoformat(timespec="milliseconds")
    rest = {name: value for name, value in details.items() if name != "at" and value is not None}
    step = Change(version, change, adapter_id, at, **rest)
    return replace(aliases, version=version, history=(*aliases.history, step), **fields)


def _need_known(aliases: Aliases, adapter_id: str) -> None:
    if adapter_id not in aliases.known():
        raise ThumbwheelError(
            "unknown_adapter", f"No adapter {adapter_id!r}.", "See the list of adapters.", "adapter_id", 404
        )


def register(aliases: Aliases, adapter_id: str, **details: Any) -> Aliases:
    """Return the aliases with a new adapter, local unless `kind` and `remote_model` say otherwise.

    Raises `already_registered`: the same weights are not tested twice; `bad_entry` for a remote one without an id.
    """
    check_entry(details.get("kind", LOCAL), details.get("remote_model"))
    if adapter_id in aliases.known():
        raise ThumbwheelError(
            "already_registered", f"The run made the same weights as {adapter_id}, which was registered before.",
            "Collect more feedback before the next run.",
        )  # fmt: skip
    return _next(aliases, "registered", adapter_id, details)


def challenge(aliases: Aliases, adapter_id: str, **details: Any) -> Aliases:
    """Return the aliases with the adapter under blind test against the champion of this moment."""
    _need_known(aliases, adapter_id)
    if aliases.challenger:
        raise ThumbwheelError("test_running", f"{aliases.challenger} is under test.", "Hold it first.")
    fields = {"challenger": adapter_id, "baseline": aliases.champion}
    return _next(aliases, "challenger", adapter_id, {**details, "baseline": aliases.champion or "base"}, **fields)


def hold(aliases: Aliases, adapter_id: str, **details: Any) -> Aliases:
    """Return the aliases with the adapter kept back; a challenger loses its alias."""
    return _withdraw(aliases, "held", adapter_id, details)


def reject(aliases: Aliases, adapter_id: str, **details: Any) -> Aliases:
    """Return the aliases with the challenger rejected and without its alias."""
    return _withdraw(aliases, "rejected", adapter_id, details)


def _withdraw(aliases: Aliases, change: str, adapter_id: str, details: Mapping[str, Any]) -> Aliases:
    _need_known(aliases, adapter_id)
    if aliases.challenger != adapter_id:
        return _next(aliases, change, adapter_id, details)
    baseline = aliases.baseline or "base"
    return _next(aliases, change, adapter_id, {**details, "baseline": baseline}, challenger=None, baseline=None)


def promote(aliases: Aliases, adapter_id: str, **details: Any) -> Aliases:
    """Return the aliases with the adapter as champion; another challenger must be withdrawn first."""
    _need_known(aliases, adapter_id)
    if aliases.champion == adapter_id:
        raise ThumbwheelError("already_champion", f"{adapter_id} is the champion already.", "Nothing to do.")
    if aliases.challenger not in (None, adapter_id):
        raise ThumbwheelError("test_running", f"{aliases.challenger} is under test.", "Hold it first.")
    parts = {**details, "baseline": aliases.champion or "base"}
    return _next(aliases, "promoted", adapter_id, parts, champion=adapter_id, challenger=None, baseline=None)


def roll_back(aliases: Aliases, **details: Any) -> Aliases:
    """Return the aliases with the champion before; the change names the adapter that was taken back."""
    stack = aliases.champions()
    if aliases.champion is None or len(stack) < 2:
        raise ThumbwheelError("nothing_to_roll_back", "The base is the champion.", "There is nothing to roll back.")
    if aliases.challenger:
        raise ThumbwheelError("test_running", f"{aliases.challenger} is under test.", "Hold it first.")
    parts = {**details, "baseline": stack[-2] or "base"}
    return _next(aliases, "rolled_back", aliases.champion, parts, champion=stack[-2])


def fact(project: str, change: Change, event_id: str | None = None) -> ModelFact:
    """Return the fact of a change, stamped; its event id is derived from project and version unless given."""
    made = FACTS[change.change](
        event_id=event_id or str(derived_id("model", project, str(change.version))),
        occurred_at=datetime.fromisoformat(change.at), actor=ACTOR, adapter_id=change.adapter_id,
        run_id=change.run_id, dataset_id=change.dataset_id, parent=change.parent, baseline=change.baseline,
        alias_version=change.version, reason=change.reason, metrics=dict(change.metrics),
        request_id=change.request_id,
    )  # fmt: skip
    return stamp(made, project=project, key_id=KEY_ID, via="trainer")


def adapter_id_for(weights_sha256: str, base: str) -> str:
    """Return the id of an adapter, derived from its weights and its base: equal weights, equal id."""
    return f"ad-{derived_id('adapter', base, weights_sha256).hex[:12]}"


def id_of(made: Fetched) -> str:
    """Return the id of what a run made, derived from its weights, or from the remote model's id."""
    if made.remote_model is None:
        return adapter_id_for(made.result["weights_sha256"], made.result["base"])
    return f"ad-{derived_id('remote adapter', made.result['base'], made.remote_model).hex[:12]}"


class Registry:
    """The folder `models/<project>`: reads and writes the alias file, takes adapters in."""

    def __init__(self, folder: Path, project: str) -> None:
        self.folder = folder
        self.project = project
        self.file = folder / "aliases.json"

    def load(self) -> Aliases:
        """Return the aliases; raises ThumbwheelError `bad_aliases` when the file is not readable."""
        if not self.file.exists():
            return Aliases()
        try:
            body = json.loads(self.file.read_text("utf-8"))
            history = tuple(Change(**step) for step in body["history"])
            for step in history:
                check_entry(step.kind, step.remote_model)
            return Aliases(body["version"], body["champion"], body["challenger"], body["baseline"], history)
        except (OSError, ValueError, KeyError, TypeError, ThumbwheelError) as error:
            raise ThumbwheelError(
                "bad_aliases", f"{self.file} cannot be read: {error}", "Restore it from a backup."
            ) from error

    def store(self, aliases: Aliases) -> None:
        """Write the alias file atomically: readers see the old one or the new one, also after a power cut."""
        self.folder.mkdir(parents=True, exist_ok=True)
        body = {**asdict(aliases), "history": [change.stored() for change in aliases.history]}
        write_whole(self.file, json.dumps(body, ensure_ascii=False, indent=1).encode(), durable=True)

    def adapter(self, adapter_id: str) -> Path:
        """Return the folder of an adapter."""
        return self.folder / "adapters" / adapter_id

    def weights(self, adapter_id: str) -> Path:
        """Return the folder of an adapter whose weights are here; raises ThumbwheelError `remote_model`."""
        details = self.load().details_of(adapter_id)
        refuse_remote(adapter_id, details.remote_model if details else None)
        return self.adapter(adapter_id)

    def start(self, adapter_id: str | None) -> tuple[Path | None, str | None]:
        """Return what a run continues: a folder here or a vendor's model; neither for the base."""
        if adapter_id in (None, "base"):
            return None, None
        details = self.load().details_of(str(adapter_id))
        remote = details.remote_model if details else None
        return (None if remote else self.adapter(str(adapter_id))), remote

    def tuning_of(self, adapter_id: str) -> str:
        """Return how an adapter was tuned, as its card says; LoRA where there is no card, or an old one."""
        try:
            card: dict[str, Any] = json.loads((self.adapter(adapter_id) / "card.json").read_text("utf-8"))
        except (OSError, ValueError):
            return DEFAULT
        return str(card.get("tuning") or DEFAULT)

    def sweep(self) -> None:
        """Remove what a writer that was killed left half done. Call it while nobody writes."""
        sweep_unfinished(self.folder)
        for path in (self.folder / "adapters").glob(f"{TAKING_IN}*"):
            shutil.rmtree(path)

    def take_in(self, adapter_id: str, source: Path, card: Mapping[str, Any]) -> Path:
        """Copy in what a run made, an adapter or a whole model, with `card.json` and a model card.

        A folder that is there stays as it is.
        """
        target = self.adapter(adapter_id)
        if target.exists():
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(dir=target.parent, prefix=TAKING_IN))
        for file in (found for pattern in TAKEN_FILES for found in source.glob(pattern)):
            shutil.copyfile(file, made / file.name)
        (made / "card.json").write_text(json.dumps(dict(card), ensure_ascii=False, indent=1), "utf-8")
        (made / "README.md").write_text(render_card(adapter_id, card), "utf-8")
        for file in made.iterdir():
            sync(file)
        made.rename(target)
        sync(target.parent)
        return target
