"""The trainer's service loop: wishes, triggers and the promotion gate in; runs, aliases and facts out.

Each turn, for every project: append facts that are missing, act on wishes in order, let the gate judge a running test,
train when enough is new. One job at a time over all projects. A run whose process died goes on from its checkpoint.
The alias file is the truth and changes first; the fact follows, and follows again after a crash.

A run trains when 300 pairs are new (THUMBWHEEL_TRAIN_MIN_PAIRS), or when 7 days have passed since the last run
(THUMBWHEEL_TRAIN_EVERY_DAYS) and at least 50 pairs are new; not while a challenger is under test. Imported pairs
are new like others, unless THUMBWHEEL_TRAIN_ON_IMPORT is false. A wish trains at once; a challenger whose test is
undecided by then is held.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from contract.dataset_folder import is_dataset
from contract.errors import LogUnavailable, ThumbwheelError
from eventlog.log import Log
from runtime.data_api import Api, ApiAway
from runtime.settings import Settings
from trainer.backends.run_folder import Backend, Look, Work, goes_on
from trainer.loop import building, jobs, registry, taking_in, trigger, wishes
from trainer.loop.asking import run_settings
from trainer.loop.jobs import Record
from trainer.loop.outbox import Outbox
from trainer.loop.registry import Aliases, Registry
from trainer.loop.starting import tuning_and_start
from trainer.loop.verdict import read_verdict
from trainer.tuning.table import DEFAULT
from trials.process import consequence

log = logging.getLogger("trainer")
# What a decision keeps of the counts it was made on.
SUPPORT = (
    "wins", "losses", "ties", "none", "rate", "unweighted_rate", "interval", "e_value", "e_plus", "e_minus", "k",
    "raters", "others", "needed", "counted", "excluded", "excluded_ids", "by_kind", "by_label", "labels", "sampling",
    "reason", "trial_scope", "rule_version", "decided_at",
)  # fmt: skip


_MOVES: dict[str, Callable[..., Aliases]] = {
    "promote": registry.promote, "reject": registry.reject, "hold": registry.hold,
}  # fmt: skip


def _kept(item: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a decision keeps of the test it was made on."""
    return {name: item.get(name) for name in SUPPORT} | {"basis": answer.get("basis")}


@dataclass(frozen=True)
class Running:
    """The job that trains now: how far its metrics are told; `told`: its start is in the log, or waits for it."""

    record: Record
    folder: Path
    seen: int = 0
    told: bool = True


class Scheduler:
    """Everything the loop knows. `turn()` does one round and never raises for what passes by itself."""

    def __init__(
        self, settings: Settings, events: Log, api: Api, *, projects: Callable[[], list[str]], backend: Backend
    ) -> None:
        self._settings = settings
        self._api = api
        self._projects = projects
        self._backend = backend
        self._job: Running | None = None
        self._interrupted: list[Record] = []
        self._outbox = Outbox(events)
        self._reconciled: set[str] = set()
        self._answered: set[str] = set()

    # -- one turn

    def turn(self) -> None:
        """Do what there is to do in every project, once."""
        self._outbox.flush()
        self._watch_job()
        if self._job is None and self._interrupted:
            self._start(self._interrupted.pop(0))
        for project in self._projects():
            try:
                self._turn_of(project)
            except (ApiAway, LogUnavailable) as error:
                self._outbox.note_away(error.message)
                return
            except ThumbwheelError as error:
                log.error("project %s: %s", project, error.line())
        self._outbox.note_away("")

    def _turn_of(self, project: str) -> None:
        if project not in self._reconciled:
            self._reconcile(project)
        self._act_on_wishes(project)
        self._judge_test(project)
        if self._job is None:
            self._train_if_due(project)

    def stop(self) -> None:
        """End the running job, if any; the next start goes on with it, and this start of it does not count."""
        if self._job is not None:
            job, self._job = self._job, None
            self._backend.stop(job.folder)
            jobs.write_record(job.folder, replace(job.record, attempt=job.record.attempt - 1))
            log.info("project %s: run %s will go on", job.record.project, job.record.run_id)
        self._outbox.flush()

    # -- what was there before this process

    def recover(self) -> None:
        """Take finished runs in, watch running ones, resume lost ones. Called once, before the first turn."""
        for folder in sorted((self._settings.home / "runs").glob("*")):
            self._registry(folder.name).sweep()
            for record in jobs.read_records(folder):
                if record.request_id:
                    self._answered.add(record.request_id)
                if record.state != "running":
                    continue
                run = folder / record.run_id
                found = self._backend.look(run)
                if found.state == "running":
                    self._job = Running(record, run, told=False)
                else:
                    self._settle(record, run, found, told=False)

    def _reconcile(self, project: str) -> None:
        """Append facts that the log does not show: the trainer may have stopped between the change and its fact."""
        seen = {
            item["event_id"]
            for kind in ("run", "model")
            for item in self._api.of(project).get("/api/v1/facts", type=kind)["items"]
        }
        aliases = self._registry(project).load()
        self._answered.update(change.request_id for change in aliases.history if change.request_id)
        wanted: list[Any] = [registry.fact(project, change) for change in aliases.history]
        for record in jobs.read_records(self._runs(project)):
            wanted.extend(jobs.facts(record))
        missing = [event for event in wanted if event.event_id not in seen]
        waiting = self._outbox.waiting()
        self._outbox.send([event for event in missing if event.event_id not in waiting])
        self._reconciled.add(project)

    # -- wishes

    def _act_on_wishes(self, project: str) -> None:
        for wish in self._api.of(project).get("/api/v1/requests", limit="500")["items"]:
            if wish["handled"] or wish["event_id"] in self._answered:
                continue
            if wish["type"] == "request.train":
                if self._job is not None:
                    return  # Wishes keep their order: what comes after this one waits with it.
                self._train_as_wished(project, wish)
            else:
                self._move_as_wished(project, wish)

    def _train_as_wished(self, project: str, wish: Mapping[str, Any]) -> None:
        body = wish["body"]
        aliases = self._registry(project).load()
        if aliases.challenger:
            self._change(project, registry.hold(
                aliases, aliases.challenger, reason="The next run was asked for before its test was decided."
            ))  # fmt: skip
        settings = self._settings_of(project)
        method, params = run_settings(settings, body.get("method"), body.get("params") or {})
        self._train(project, method, params, body.get("dataset_id"), wish["event_id"], body.get("tuning"))

    def _settings_of(self, project: str) -> Mapping[str, Any]:
        """Return what the project's runs are told, by the console and by thumbwheel.toml."""
        found: Mapping[str, Any] = self._api.of(project).get("/api/v1/training")["settings"]
        return found

    def _move_as_wished(self, project: str, wish: Mapping[str, Any]) -> None:
        body, request_id = wish["body"], wish["event_id"]
        aliases = self._registry(project).load()
        try:
            changed = wishes.meet(aliases, wish["type"], body, request_id, wishes.moment(wish.get("occurred_at")))
        except ThumbwheelError as error:
            adapter_id = body.get("adapter_id") or aliases.champion or "base"
            log.warning("project %s: a wish is refused: %s", project, error.line())
            self._outbox.send([wishes.refusal(project, aliases, adapter_id, request_id, error.message)])
        else:
            self._change(project, changed)
        self._answered.add(request_id)

    # -- the gate

    def _judge_test(self, project: str) -> None:
        aliases = self._registry(project).load()
        if aliases.challenger is None and aliases.champion is None:
            return
        answer = self._api.of(project).get("/api/v1/support")
        if aliases.challenger is None:
            self._judge_champion(project, aliases, answer)
            return
        for item in answer["items"]:
            sides = (item["challenger"], item["baseline"])
            if sides != (aliases.challenger, aliases.baseline or "base") or item.get("ended_by"):
                continue
            verdict = read_verdict(item)
            move = _MOVES.get(consequence("promotion", verdict.decision))
            if move is not None:
                details = {"reason": verdict.reason, "metrics": {"support": _kept(item, answer)}}
                self._change(project, move(aliases, aliases.challenger, **details))
                return

    def _judge_champion(self, project: str, aliases: Aliases, answer: Mapping[str, Any]) -> None:
        """Roll back a champion that lost against its predecessor in a test of their own."""
        for item in answer.get("rollbacks", []):
            predecessor, verdict = aliases.champions()[-2] or "base", read_verdict(item)
            sides = (item["challenger"], item["baseline"])
            if sides == (predecessor, aliases.champion) and consequence("rollback", verdict.decision) == "roll_back":
                reason = f"Worse than its predecessor {predecessor}. {verdict.reason}"
                details = {"reason": reason, "metrics": {"support": _kept(item, answer)}}
                self._change(project, registry.roll_back(aliases, **details))
                return

    # -- training

    def _train_if_due(self, project: str) -> None:
        ready = self._api.of(project).get("/api/v1/readiness")
        if ready.get("challenger") or self._registry(project).load().challenger:
            return
        records = jobs.read_records(self._runs(project))
        why = trigger.due(ready, records, self._first_seen(project), self._settings, datetime.now(UTC))
        if why:
            log.info("project %s: training, because %s", project, why)
            self._train(project, *run_settings(self._settings_of(project), None, {}), None, None)

    def _first_seen(self, project: str) -> datetime:
        file = self._runs(project) / "first-seen"
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(jobs.now(), "utf-8")
        return datetime.fromisoformat(file.read_text("utf-8"))

    def _train(
        self, project: str, method: str, params: dict[str, Any], dataset_id: str | None, request_id: str | None,
        wished: str | None = None,
    ) -> None:  # fmt: skip
        aliases = self._registry(project).load()
        wished = wished or params.pop("tuning", None)
        challenge = bool(params.pop("challenge", True))
        filters = {"replay_share": params["replay_share"]} if "replay_share" in params else {}
        filters |= params.pop("filters", None) or {}
        trial_labels = params.pop("trial_labels", ())
        if failures := aliases.guard_failures():
            params["lr_scale"] = 0.5**failures
        record = Record(
            jobs.new_run_id(), project, method, config=params, request_id=request_id, challenge=challenge,
            started_at=jobs.now(), tuning=wished or DEFAULT,
        )  # fmt: skip
        try:
            record = replace(record, trial_labels=jobs.checked_labels(trial_labels))
            tuning, start = tuning_and_start(self._registry(project), aliases, params, wished)
            dataset_id = dataset_id or self._build(project, aliases, start, filters)
            record = replace(record, tuning=tuning, parent=start or "base", dataset_id=dataset_id)
        except ApiAway:
            raise
        except ThumbwheelError as error:
            self._fail(record, error.line(), told=False)
            return
        self._start(record)

    def _start(self, record: Record) -> None:
        """Start the process of a run: for the first time, or again, from its last checkpoint, when it was lost."""
        home, project = self._settings.home, record.project
        dataset = home / "datasets" / project / str(record.dataset_id)
        try:
            if not is_dataset(dataset):
                raise ThumbwheelError("no_dataset", f"No dataset {record.dataset_id!r}.", "See the list of datasets.")
            start, remote = self._registry(project).start(record.parent)
        except ThumbwheelError as error:
            self._fail(record, error.line(), told=False)
            return
        origin = goes_on(folder := self._runs(project) / record.run_id)
        jobs.write_record(folder, record := record if origin else replace(record, began=record.attempt))
        self._remember(record)
        base, resume = self._settings.base_model, bool(origin)
        work = Work(
            project, record.method, record.config, dataset, folder, base, home, start, resume, remote, record.tuning
        )
        try:
            self._backend.start(work)
        except ThumbwheelError as error:
            self._fail(record, error.line(), told=record.attempt > 1)
            return
        self._job = Running(record, folder)
        if record.attempt == 1:
            self._outbox.send(jobs.facts(record))
        log.info(
            "project %s: run %s, start %s, begins %s", project, record.run_id, record.attempt, origin or "from nothing"
        )

    def _build(self, project: str, aliases: Aliases, start: str | None, filters: Mapping[str, Any] | None) -> str:
        """Return the id of a dataset for a run that starts from `start`, built through the data API."""
        api = self._api.of(project)
        ours = building.filters_for(self._registry(project), aliases, start, self._settings.base_model == "demo")
        try:
            return str(api.post("/api/v1/datasets", {**ours, **(filters or {})})["dataset_id"])
        except ApiAway:
            raise
        except ThumbwheelError as error:
            if error.status != 409 or start:
                raise
        # Imported rows have no known writer, so next to none counts as fresh: with the base as start, all may train.
        ours.pop("policy")
        return str(api.post("/api/v1/datasets", {**ours, **(filters or {})})["dataset_id"])

    # -- the running job

    def _watch_job(self) -> None:
        job = self._job
        if job is None:
            return
        found = self._backend.look(job.folder, job.seen)
        self._job = replace(job, seen=found.seen)
        self._outbox.send([jobs.progress_fact(job.record, line) for line in found.lines])
        if found.state != "running":
            self._job = None
            self._settle(job.record, job.folder, found, job.told)

    def _settle(self, record: Record, folder: Path, found: Look, told: bool) -> None:
        """Take in, fail, or begin again later what trains no more."""
        if found.state == "ended":
            self._take_in(record, folder, told)
        elif found.state == "failed":
            self._fail(record, found.reason, told)
        elif record.attempt >= jobs.MAX_ATTEMPTS:
            self._fail(record, f"Its process ended {record.attempt} times before it was through. {found.reason}")
        else:
            self._interrupted.append(replace(record, attempt=record.attempt + 1))

    def _fail(self, record: Record, reason: str, told: bool = True) -> None:
        """Mark a run failed; `told`: its start is in the log already, or waits for it."""
        failed = jobs.ended(record, "failed", reason=reason)
        jobs.write_record(self._runs(record.project) / record.run_id, failed)
        self._remember(failed)
        self._outbox.send(jobs.facts(failed)[-1 if told else 0 :])
        log.warning("project %s: run %s failed: %s", record.project, record.run_id, reason)

    def _take_in(self, record: Record, folder: Path, told: bool) -> None:
        """Register what a finished run made, and put it under test when its guards pass."""
        aliases = self._registry(record.project).load()
        own = next((c for c in aliases.history if c.change == "registered" and c.run_id == record.run_id), None)
        try:
            made = self._backend.fetch(folder)
            adapter_id = registry.id_of(made)
            if own is None:
                aliases = taking_in.register(self._registry(record.project), aliases, adapter_id, made, record)
        except ThumbwheelError as error:
            self._fail(record, error.line(), told)
            return
        finished = jobs.ended(
            replace(record, method=made.result["method"]),
            "finished",
            adapter_id=adapter_id,
            metrics=made.result["metrics"],
        )
        if own is None or aliases.state_of(adapter_id) == "registered":
            aliases = taking_in.place(aliases, finished, made.result)
        self._change(record.project, aliases)
        jobs.write_record(folder, finished)
        self._remember(finished)
        self._outbox.send(jobs.facts(finished)[-1 if told else 0 :])
        log.info("project %s: run %s finished with %s", record.project, record.run_id, adapter_id)

    # -- files and the log

    def _registry(self, project: str) -> Registry:
        return Registry(self._settings.home / "models" / project, project)

    def _runs(self, project: str) -> Path:
        return self._settings.home / "runs" / project

    def _change(self, project: str, aliases: Aliases) -> None:
        """Write the aliases, then append the facts of the changes since the file before."""
        reg = self._registry(project)
        before = reg.load().version
        if aliases.version == before:
            return
        reg.store(aliases)
        new = [change for change in aliases.history if change.version > before]
        for change in new:
            log.info("project %s: %s %s %s", project, change.change, change.adapter_id, change.reason or "")
        self._outbox.send([registry.fact(project, change) for change in new])

    def _remember(self, record: Record) -> None:
        if record.request_id:
            self._answered.add(record.request_id)
