"""A blind test as it runs: ballots and time in, the first decision out.

It is looked at after every ballot and at two deadlines, and the first decision stands: a ballot that arrives at or
after it counts for nothing. The deadlines: `trial_days` after the start, and, where a side has won but only with one
rater, `rater_wait_days` after that or after the newest decisive pick of anybody else, whichever is later.
"""

from __future__ import annotations

from collections.abc import Iterable

from trials.rule import DAY_US, Decision, Look, ReasonKey, Rule, Side, State, Tally, decision, look, used_up
from trials.votes import Ballot, Votes, in_order

_RUNNING = Look(None, False, "too_few_picks")


class Trial:
    """One blind test. `started` is when its challenger was registered, in microseconds; None: no limit of days."""

    def __init__(self, rule: Rule | None = None, started: int | None = None) -> None:
        self.rule = rule or Rule()
        self.state: State = "running"
        self.decided_at: int | None = None
        self._started = started
        self._votes = Votes()
        self._looked_at = 0
        self._seen = _RUNNING
        self._why: ReasonKey = _RUNNING.why
        # Since when a side has won without its raters being able to decide it.
        self._won_since: int | None = None
        self._latest_of_others: int | None = None

    @property
    def tally(self) -> Tally:
        """Return the picks that count up to the decision, or up to now."""
        return self._votes.tally()

    def why_not(self) -> dict[str, str]:
        """Return the event ids of picks that do not count, each with its reason, up to the decision or up to now."""
        return self._votes.why_not()

    def take(self, ballot: Ballot) -> State:
        """Take the next ballot, none before the last one; return the state after it."""
        self.pass_time(ballot.arrived)
        if self.state != "running":
            return self.state
        self._votes.take(ballot)
        if self._votes.changes != self._looked_at:
            self._looked_at = self._votes.changes
            self._look(ballot.arrived)
        return self.state

    def _look(self, now: int) -> None:
        tally = self._votes.tally()
        before: Side | None = self._seen.side
        seen = self._seen = look(tally, self.rule)
        self._why = seen.why
        if seen.side is None or seen.side != before:
            self._won_since = None if seen.side is None else now
        self._latest_of_others = tally.latest_of_others if seen.side else None
        if seen.settled and seen.side is not None:
            self._end(seen.side, seen.why, now)
        elif tally.n >= self.rule.max_picks:
            self._end("held", used_up(seen, "picks_used_up"), now)

    def pass_time(self, now: int) -> State:
        """Decide what a deadline up to `now` decides; return the state."""
        until, waits = self._deadline()
        if self.state == "running" and until is not None and until <= now:
            self._end("held", used_up(self._seen, "waiting_for_others" if waits else "time_used_up"), until)
        return self.state

    def decision(self, now: int | None = None) -> Decision:
        """Return the decision, or how it stands, at `now`."""
        if now is not None:
            self.pass_time(now)
        until, waits = self._deadline()
        until = until if waits and self.state == "running" else None
        return decision(self.tally, self.rule, self.state, self._why, decided_at=self.decided_at, until=until)

    def _deadline(self) -> tuple[int | None, bool]:
        """Return when the test ends without another pick, and whether it then ends by waiting for other raters."""
        end = None if self._started is None else self._started + round(self.rule.trial_days * DAY_US)
        if self._won_since is None:
            return end, False
        since = max(self._won_since, self._latest_of_others or self._won_since)
        waited = since + round(self.rule.rater_wait_days * DAY_US)
        return (waited, True) if end is None or waited <= end else (end, False)

    def _end(self, state: State, why: ReasonKey, at: int) -> None:
        self.state, self._why, self.decided_at = state, why, at


def replay(
    ballots: Iterable[Ballot], rule: Rule | None = None, started: int | None = None, now: int | None = None
) -> Decision:  # fmt: skip
    """Return the decision of all these ballots, in any order, at `now` (None: when the last one arrived)."""
    trial = Trial(rule, started)
    for ballot in in_order(ballots):
        if trial.take(ballot) != "running":
            break
    return trial.decision(now)
