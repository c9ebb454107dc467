"""The client a host program holds. Nothing here raises into the host, except for wrong settings when it is made."""

from __future__ import annotations

import atexit
import functools
import logging
import os
import secrets
import threading
import time
import weakref
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Callable, Optional, TypeVar, Union, cast

from thumbwheel.campaigns import Campaigns, decide
from thumbwheel.delivery.children import flush_at_child_end, warn_in_child
from thumbwheel.delivery.journal import Item
from thumbwheel.delivery.outbox import Outbox
from thumbwheel.delivery.reports import Reports
from thumbwheel.delivery.sender import SHUTDOWN, Sender, send_now
from thumbwheel.delivery.spool import Spool
from thumbwheel.delivery.transport import Transport
from thumbwheel.fields import ActorLike, Event, NotKept, build, encode
from thumbwheel.results import Problem, Result, Stats
from thumbwheel.settings import check_settings, prepared
from thumbwheel.signing import sign

if TYPE_CHECKING:
    from typing_extensions import Literal, Unpack

    from thumbwheel.campaigns import Campaign
    from thumbwheel.fields import Annotation, Common, Feedback

log = logging.getLogger("thumbwheel")

CAMPAIGNS_PATH = "/v1/campaigns"
# How long a shutdown waits for an idle connection to be closed.
CLOSE_SECONDS = 0.5

LEFT = {
    "spool_full": Problem("spool_full", "Processes that are gone left too many events behind."),
    "spool_unreadable": Problem("spool_unreadable", "An event in the spool is damaged."),
}

# What a call returns: the event's id (None when it was not kept), or with sync=True a Result.
Sent = Union[str, Result, None]
BeforeSend = Callable[[Event], Optional[Event]]
OnError = Callable[[Problem, Optional[str]], object]
F = TypeVar("F", bound=Callable[..., Any])

_living: weakref.WeakSet[Client] = weakref.WeakSet()
_hooked = threading.Event()


def _guarded(call: F) -> F:
    """Turn whatever goes wrong in a call, wrong arguments too, into a counted drop."""

    @functools.wraps(call)
    def guarded(self: Client, *args: Any, **fields: Any) -> Any:
        try:
            return call(self, *args, **fields)
        except NotKept as error:
            return self._drop(error.problem, fields.get("event_id"))
        except Exception as error:
            problem = Problem("failed", f"{call.__name__}() could not make the event ({type(error).__name__}).")
            return self._drop(problem, fields.get("event_id"))

    return cast(F, guarded)


class Client:
    """Sends feedback to one collector under one key. Thread-safe; works on in a forked child.

    A call returns the event's id, or None when the event was not kept; with `sync=True` it waits for the collector
    and returns a Result. `dropped` counts by reason what will not arrive; `on_error` hears of each.
    """

    def __init__(
        self, url: str, key: str, actor: ActorLike | None = None, sync: bool = False,
        consent: Literal["granted", "required"] | None = None, *, path: str = "/v1/events",
        source: str | None = None, labels: Sequence[str] | None = None, context: Mapping[str, Any] | None = None,
        conversation_id: str | None = None, before_send: BeforeSend | None = None, on_error: OnError | None = None,
        max_events: int = 10_000, max_bytes: int = 16 * 1024 * 1024, timeout: float = 10.0,
        exit_timeout: float = 2.0, spool: str | os.PathLike[str] | None = None, key_id: str | None = None,
        project: str = "default",
    ) -> None:  # fmt: skip
        """Make a client; raises ValueError that names a wrong setting. Nothing is connected to yet.

        `before_send` sees every event and returns it, changed or not, or None to drop it. `max_events` and `max_bytes`
        bound what waits (the oldest goes first). `timeout` in seconds holds for one request, and in sync mode for all
        tries of a call; `exit_timeout` for what still waits at exit. `spool` is a folder where what waits outlasts the
        process; processes may share it. `key_id` and `project` are for `sign`.
        """
        check_settings(url, key, actor, consent, path, max_events, max_bytes, timeout, exit_timeout)
        self._address = url.rstrip("/") + path
        self._campaigns_address = url.rstrip("/") + CAMPAIGNS_PATH
        self._key = key
        self._defaults = {
            "actor": actor, "source": source, "labels": labels, "context": context, "conversation_id": conversation_id,
        }  # fmt: skip
        self.sync = sync
        self._allowed = consent != "required"
        self._closed = False
        self._before_send = before_send
        self._on_error = on_error
        self._bounds = (max_events, max_bytes)
        self._timeout = timeout
        self._exit_timeout = exit_timeout
        self._key_id = key_id
        self._project = project
        self._folder = None if spool is None else prepared(spool, sync)
        self._start_empty()
        _living.add(self)
        _hook_process()
        self._send_left()

    def _start_empty(self) -> None:
        """Begin without events, threads, locks or sockets of another process."""
        self._counting = threading.Lock()
        self._dropped: Counter[str] = Counter()
        self._sync_accepted = 0
        self._sync_retries = 0
        self._transport = Transport(self._address, self._key, self._timeout)
        spool = self._make_spool()
        self._reports = Reports(None if spool is None else spool.write_note)
        self._outbox = Outbox(*self._bounds, spool, adopting=self._allowed)
        self._sender = Sender(self._transport, self._outbox, self._reports, lost=self._lose)
        self._campaigns = Campaigns(Transport(self._campaigns_address, self._key, self._timeout))

    @property
    def _scope(self) -> str:
        """Where events go and under which key: those of one client never go another way."""
        return f"{self._address}\n{self._key}"

    def _make_spool(self) -> Spool | None:
        if self._folder is None:
            return None
        max_events, max_bytes = self._bounds
        return Spool(
            self._folder, self._scope, max_events=max_events, max_bytes=max_bytes, gone=self._lose_left,
            take_over=self._take_over,
        )  # fmt: skip

    def _send_left(self) -> None:
        """Begin with what processes that are gone left behind."""
        if self._outbox.left:
            self._sender.wake()

    # -- calls

    @_guarded
    def interaction(
        self, interaction_id: str, messages: Sequence[Mapping[str, Any]], candidates: Sequence[Mapping[str, Any]], *,
        surface: Literal["chat", "choice", "workbench"] | None = None, order: Sequence[str] | None = None,
        **common: Unpack[Common],
    ) -> Sent:  # fmt: skip
        """Record what was asked and what was shown. Needs a secret key."""
        if self._key.startswith("tw_pub_"):
            hint = "Use a secret key, on a server."
            raise NotKept(Problem("needs_secret_key", "A public key may not record an interaction.", hint))
        own = {"messages": messages, "candidates": candidates, "surface": surface, "order": order}
        return self._keep("interaction", interaction_id, own, common)

    @_guarded
    def thumb(
        self, interaction_id: str, candidate_id: str, value: Literal["up", "down"], *,
        reasons: Sequence[str] | None = None, comment: str | None = None, **common: Unpack[Feedback],
    ) -> Sent:  # fmt: skip
        """Send a thumb up or down on one reply."""
        own = {"candidate_id": candidate_id, "value": value, "reasons": reasons, "comment": comment}
        return self._keep("thumb", interaction_id, own, common)

    @_guarded
    def choice(
        self, interaction_id: str, shown: Sequence[str], outcome: Literal["chosen", "tie", "none"],
        chosen: str | None = None, **common: Unpack[Feedback],
    ) -> Sent:  # fmt: skip
        """Send which of 2..8 replies, in the order they stood on the screen, a user picked."""
        return self._keep("choice", interaction_id, {"shown": shown, "outcome": outcome, "chosen": chosen}, common)

    @_guarded
    def pick(
        self, interaction_id: str, shown: Sequence[str], outcome: Literal["chosen", "tie", "none"],
        chosen: str | None = None, *, edited_text: str | None = None, sent: bool | None = None,
        dwell_ms: int | None = None, **common: Unpack[Feedback],
    ) -> Sent:  # fmt: skip
        """Send which reply an agent picked; `edited_text` is the final text where it differs."""
        own = {
            "shown": shown, "outcome": outcome, "chosen": chosen, "edited_text": edited_text, "sent": sent,
            "dwell_ms": dwell_ms,
        }  # fmt: skip
        return self._keep("pick", interaction_id, own, common)

    @_guarded
    def edit(self, interaction_id: str, candidate_id: str, text: str, **common: Unpack[Feedback]) -> Sent:
        """Send a corrected reply."""
        return self._keep("edit", interaction_id, {"candidate_id": candidate_id, "text": text}, common)

    @_guarded
    def annotate(
        self, interaction_id: str, answers: Mapping[str, Any] | None = None, **said: Unpack[Annotation]
    ) -> Sent:  # fmt: skip
        """Send answers to labels, by label path; each replaces the actor's earlier answer to that label alone.

        They are about the whole interaction, or the reply that `candidate_id` or `unit` names. `task_id`, and an actor
        who is no user, need a secret key.
        """
        return self._keep("annotation", interaction_id, {"answers": answers}, said)

    @_guarded
    def retract(self, interaction_id: str, target: str, **common: Unpack[Feedback]) -> Sent:
        """Take back the event whose id is `target`. The history stays, the vote no longer counts."""
        return self._keep("retract", interaction_id, {"target": target}, common)

    def campaign(
        self, interaction_id: str, surface: Literal["chat", "choice", "workbench"] = "chat", *,
        labels: Sequence[str] | None = None, scenario: str | None = None, actor: ActorLike | None = None,
        timeout: float = 1.0,
    ) -> Campaign | None:  # fmt: skip
        """Return the open campaign that asks this actor about this interaction, or None.

        The answer is the same however often it is asked, here and in a page. Pass its `campaign_id` as `campaign` with
        the feedback. Only the first call waits for the collector, `timeout` seconds at most.
        """
        try:
            defaults: dict[str, Any] = self._defaults
            who = actor or defaults["actor"]
            actor_id = who if isinstance(who, str) else str(who["id"])
            known = self._campaigns.open(timeout) if self._allowed and not self._closed else []
            return decide(
                known, self._campaigns.asked, time.time(), actor_id=actor_id, interaction_id=interaction_id,
                surface=surface, labels=labels or defaults["labels"] or (), scenario=scenario,
            )  # fmt: skip
        except Exception as error:
            self._tell(Problem("failed", f"campaign() could not decide ({type(error).__name__})."), None)
            return None

    def sign(self, interaction_id: str, actor_id: str | None = None) -> str:
        """Return a new candidate id whose feedback counts as verified, made offline.

        Name the actor the reply is shown to: then only their feedback counts, and in a blind test they are a rater of
        their own. Needs a secret key and `key_id`; without them the id is random, unsigned, and `on_error` hears of it.
        """
        if self._key_id and not self._key.startswith("tw_pub_"):
            return sign(self._key, self._key_id, str(interaction_id), self._project, actor_id)
        hint = "Pass the secret key and its key_id to init()."
        self._tell(Problem("cannot_sign", "A candidate id could not be signed.", hint), None)
        return "c-" + secrets.token_urlsafe(12)

    # -- delivery

    def flush(self, timeout: float = 5.0) -> bool:
        """Send what waits now; say whether nothing waits any more. Returns after `timeout` seconds at the latest."""
        return self._sender.finish(timeout)

    def shutdown(self, timeout: float = 5.0) -> bool:
        """Flush, then take nothing more. Say whether all was sent.

        What is left stays in the spool for the next process; without one it is counted as dropped.
        """
        empty = self.flush(timeout)
        self._closed = True
        left = self._outbox.leave()
        if left:
            self._lose(SHUTDOWN, left)
        self._sender.end(CLOSE_SECONDS)
        self._transport.close()
        return empty

    def opt_in(self) -> None:
        """Keep and send from now on."""
        self._allowed = self._outbox.adopting = True
        self._send_left()

    def opt_out(self) -> None:
        """Forget what waits, in the spool too, and keep nothing from now on."""
        self._allowed = self._outbox.adopting = False
        waiting = self._outbox.clear()
        self._reports.clear()
        if waiting:
            self._lose(Problem("consent", "Feedback was turned off."), waiting)

    @property
    def dropped(self) -> dict[str, int]:
        """Events that will not arrive, by reason."""
        with self._counting:
            return dict(self._dropped)

    def stats(self) -> Stats:
        """Return counts since the client was made (in a forked child: since the fork)."""
        accepted = self._sender.accepted + self._sync_accepted
        return Stats(accepted, self._sender.retries + self._sync_retries, len(self._outbox), self.dropped)

    # -- inside

    def _keep(self, event_type: str, interaction_id: str, own: Event, common: Mapping[str, Any]) -> Sent:
        if not self._allowed:
            raise NotKept(Problem("consent", "Feedback is off until opt_in() is called."))
        if self._closed:
            raise NotKept(Problem("closed", "The client was shut down."))
        event: Event | None = build(event_type, self._defaults, {"interaction_id": interaction_id, **common, **own})
        if self._before_send is not None and event is not None:
            event = self._before_send(event)
        if event is None:
            raise NotKept(Problem("before_send", "before_send dropped the event."))
        item = Item(str(event["event_id"]), encode(event), time.monotonic())
        return self._send_now(item) if self.sync else self._queue(item)

    def _queue(self, item: Item) -> str | None:
        if self._folder is None:
            warn_in_child()
        gone = self._outbox.add(item)
        if gone is None:
            raise NotKept(Problem("closed", "The client was shut down."))
        if gone:
            self._lose(Problem("queue_full", "Too many events wait."), [old.event_id for old in gone])
        self._sender.wake()
        return None if item in gone else item.event_id

    def _send_now(self, item: Item) -> Result:
        status, problem, retries = send_now(self._transport, self._reports, item, self._timeout)
        with self._counting:
            self._sync_retries += retries
            self._sync_accepted += status == "accepted"
        if problem is not None:
            # The caller of a `retry` decides: it may call again, and a rejected event is kept by the collector.
            self._lose(problem, [item.event_id], known=status != "dropped")
        return Result(item.event_id, status, problem)

    def _drop(self, problem: Problem, event_id: Any) -> Sent:
        named = None if event_id is None else str(event_id)
        self._lose(problem, [named])
        return Result(named, "dropped", problem) if self.sync else None

    def _lose(self, problem: Problem, event_ids: Sequence[str | None], known: bool = False) -> None:
        """Count events that will not arrive; `known` ones are not reported to the collector, which has them."""
        if not known:
            self._reports.add(problem.code, len(event_ids))
        with self._counting:
            first = problem.code not in self._dropped
            self._dropped[problem.code] += len(event_ids)
        # Ids and reasons only: an event's content is never logged.
        log.log(logging.WARNING if first else logging.DEBUG, "%d event(s) dropped: %s", len(event_ids), problem.code)
        for event_id in event_ids:
            self._tell(problem, event_id)

    def _lose_left(self, reason: str, event_ids: Sequence[str | None]) -> None:
        self._lose(LEFT[reason], event_ids)

    def _take_over(self, name: str, note: bytes) -> None:
        self._reports.take_over(name, note)

    def _tell(self, problem: Problem, event_id: str | None) -> None:
        if self._on_error is None:
            return
        try:
            self._on_error(problem, event_id)
        except Exception as error:
            log.warning("on_error failed: %s", type(error).__name__)

    def _at_exit(self) -> None:
        if not self._closed:
            self.shutdown(self._exit_timeout)


def _hook_process() -> None:
    """Hook exit and fork, once a process, when the first client is made."""
    if _hooked.is_set():
        return
    _hooked.set()
    atexit.register(_at_exit)
    flush_at_child_end(_at_exit)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_after_fork)


def _at_exit() -> None:
    for client in list(_living):
        client._at_exit()


def _after_fork() -> None:
    """Leave what waited to the parent, which sends it once; the child starts empty."""
    for client in list(_living):
        client._outbox.abandon()
        client._start_empty()
    flush_at_child_end(_at_exit)
