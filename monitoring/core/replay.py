"""One rule from check to check of the past, as the log stood at each of them.

What cannot change between two checks is not looked at again: months of checks are replayed while
somebody types.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import accumulate

from monitoring.core.hindsight import Hindsight, as_seen, end_of, is_over
from monitoring.core.incidents import Action, MessageKind, OpenEvent, State, step
from monitoring.core.statuses import FINISHED, Status
from monitoring.core.values import (
    Evidence,
    Execution,
    Measured,
    Rule,
    Verdict,
    VerdictKind,
    WhileRunning,
)
from monitoring.core.verdicts import is_plainly_ok, judge

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
_FAR_AHEAD = datetime.max.replace(tzinfo=UTC)
_LEAST = timedelta.resolution
_BY_STATUS = frozenset({VerdictKind.STATUS_MISMATCH, VerdictKind.NO_EXECUTION, VerdictKind.UNKNOWN})
"""Nothing is measured any more where one of these is found."""
_MEASURED = frozenset({VerdictKind.SLOW, VerdictKind.LOW_SUCCESS_RATE})


@dataclass(kw_only=True, slots=True)
class Incident:
    """One alert event that would have been opened."""

    opened_at: datetime
    verdict: VerdictKind
    current_status: str
    messages: int = 0
    resolved_at: datetime | None = None
    was_a_late_run: bool = False
    """Nothing had gone wrong: the very next run resolved it, or the judged one by its finish.

    Several runs may have come between two checks; then all of them must have ended well.
    """
    execution: Execution | None = None
    """The execution that was judged, as the log holds it today; None: there was none."""
    measured: Measured | None = None
    """What was too slow, or too seldom good."""
    resolved_by: Execution | None = None
    """The execution that made it fine again."""


@dataclass(kw_only=True, slots=True)
class _Open:
    event: OpenEvent
    incident: Incident
    judged: Execution | None
    runs_before: int
    """Executions that had begun when it was opened."""


class Replay:
    """The state of a rule from one check to the next."""

    def __init__(
        self, rule: Rule, executions: Sequence[Execution], log_since: datetime | None
    ) -> None:
        # Whoever tries a rule wants to know what it does, not that it was written just now.
        self.rule = replace(rule, snoozed_until=None, watched_since=log_since or _LONG_AGO)
        self.executions, self.log_since = executions, log_since
        self.incidents: list[Incident] = []
        self.changes: list[tuple[datetime, VerdictKind]] = []
        self.unknown = 0
        self._state = State()
        self._open: _Open | None = None
        self._begun = 0
        self._starts = [one.started_at for one in executions]
        self._measured = Hindsight(executions) if rule.measures else None

    @cached_property
    def _finishes(self) -> list[datetime]:
        return sorted(one.finished_at for one in self.executions if one.finished_at is not None)

    @cached_property
    def _latest_finishes(self) -> list[datetime]:
        """The latest finish of each execution and all before it."""
        return list(accumulate(map(end_of, self.executions), max))

    def check(self, now: datetime, following: datetime) -> datetime | None:
        """Check, and return until when further checks are known to change nothing, or None.

        following: when the next one is, which may find another execution anyway.
        """
        self._begun = bisect_right(self._starts, now, self._begun)
        latest = self.executions[self._begun - 1] if self._begun else None
        if self._is_settled:
            is_latest = self._judges_the_latest(latest, now)
            told = latest if is_latest else self._newest(now, running=False)
            if told is not None and is_over(told, now) and is_plainly_ok(self.rule, told, now):
                self._note(VerdictKind.OK, now)
                return self._fine_until() if is_latest else None
        seen = latest and as_seen(latest, now)
        evidence = self._evidence(seen, now)
        found = judge(self.rule, evidence, now)
        if found.kind is VerdictKind.OK and self._is_settled:
            self._note(found.kind, now)
        else:
            self._decide(found, now)
        if self._begun < len(self._starts) and self._starts[self._begun] <= following:
            return None
        return self._same_until(found, evidence, now)

    def pass_over(self, checks: int) -> None:
        """Count checks that find what the last one did."""
        self.unknown += checks if self.changes[-1][1] is VerdictKind.UNKNOWN else 0

    def _same_until(self, found: Verdict, evidence: Evidence, now: datetime) -> datetime | None:
        """Return until when checks find the same and nothing is owed; None: not known."""
        if not found.is_failing:
            return self._found_until(found, evidence, now)
        if self._open is None:
            return None  # the threshold is still to come
        until, owed_at = (
            self._found_until(found, evidence, now),
            self._reminder_at(self._open.event),
        )
        return None if until is None or owed_at <= now + _LEAST else min(until, owed_at - _LEAST)

    def _found_until(self, found: Verdict, evidence: Evidence, now: datetime) -> datetime | None:
        """Return until when nothing begins, ends or leaves the window; None: not known."""
        if evidence.latest_running is not None:
            return None  # which overruns by the mere passing of time
        until = [_FAR_AHEAD]
        window = timedelta(hours=self.rule.lookback_hours)
        if self._measured is not None and found.kind not in _BY_STATUS:
            if evidence.latest is not None and evidence.latest.status not in FINISHED:
                return None  # and so does it become slow
            if (oldest := self._measured.oldest) is not None:
                until.append(oldest.started_at + window)
        if self._begun < len(self._starts):
            until.append(self._starts[self._begun] - _LEAST)
        number = bisect_right(self._finishes, now)
        if number < len(self._finishes):
            until.append(self._finishes[number] - _LEAST)
        judged = (evidence.latest, evidence.latest_finished)
        until += [one.started_at + window for one in judged if one is not None]
        if self.log_since is not None:
            until.append(self.log_since + window - _LEAST)
        return min(at for at in until if at >= now)

    def _reminder_at(self, event: OpenEvent) -> datetime:
        told, hours = event.last_message_at, self.rule.remind_hours
        if hours is None or (told is not None and timedelta(hours=hours) > _FAR_AHEAD - told):
            return _FAR_AHEAD
        return _LONG_AGO if told is None else told + timedelta(hours=hours)

    @property
    def _is_settled(self) -> bool:
        """Nothing is open and nothing is counted, so that an ok changes nothing."""
        return self._open is None and self._state.failing_checks == 0

    def _fine_until(self) -> datetime:
        """Return until when the newest execution, which ended well, is all that a check sees."""
        until = self._starts[self._begun - 1] + timedelta(hours=self.rule.lookback_hours)
        if self._begun < len(self._starts):
            until = min(until, self._starts[self._begun] - timedelta.resolution)
        return until

    def _judges_the_latest(self, latest: Execution | None, now: datetime) -> bool:
        """Say whether the verdict turns on it, and not on the newest that has finished."""
        if latest is None or is_over(latest, now):
            return True
        waits = self.rule.while_running is WhileRunning.WAIT
        return not waits or self.rule.max_runtime_minutes is not None

    def _evidence(self, latest: Execution | None, now: datetime) -> Evidence:
        limits = self.rule.max_runtime_minutes is not None
        measured = self._measured
        if measured is not None:
            measured.move_to(now, self.rule.window_start(now))
        return Evidence(
            latest=latest,
            latest_finished=self._newest(now, running=False),
            latest_running=self._newest(now, running=True) if limits else None,
            log_since=self.log_since,
            successes=measured.successes if measured else (),
            finished=measured.finished if measured else {},
        )

    def _newest(self, now: datetime, *, running: bool) -> Execution | None:
        """Return the newest execution that had finished, or that ran."""
        for number in range(self._begun - 1, -1, -1):
            if running and self._latest_finishes[number] <= now:
                return None  # nor does any before it run
            one = self.executions[number]
            if not running and is_over(one, now):
                return one
            if running and (seen := as_seen(one, now)).status is Status.RUNNING:
                return seen
        return None

    def _note(self, kind: VerdictKind, now: datetime) -> None:
        if not self.changes or self.changes[-1][1] is not kind:
            self.changes.append((now, kind))

    def _decide(self, verdict: Verdict, now: datetime) -> None:
        self._note(verdict.kind, now)
        self.unknown += verdict.kind is VerdictKind.UNKNOWN
        if self._goes_on(verdict, now):
            return
        found = step(self.rule, self._state, verdict, now)
        if found.action is Action.OPEN:
            self._opened(verdict, now)
        if self._open is not None:
            self._went_on(verdict, found.action, found.owed, now)
        self._state = State(
            verdict=verdict.kind,
            failing_checks=found.failing_checks,
            open_event=self._open.event if self._open else None,
        )

    def _goes_on(self, verdict: Verdict, now: datetime) -> bool:
        """Say that `step` would find the open event still failing, with nothing to tell of it."""
        if self._open is None or verdict.kind is not self._open.event.verdict:
            return False
        return now < self._reminder_at(self._open.event)

    def _opened(self, verdict: Verdict, now: datetime) -> None:
        incident = Incident(
            opened_at=now,
            verdict=verdict.kind,
            current_status=verdict.current_status,
            execution=self._as_it_became(verdict.execution),
            measured=verdict.measured[0] if verdict.kind in _MEASURED else None,
        )
        self.incidents.append(incident)
        self._open = _Open(
            event=OpenEvent(verdict=verdict.kind, failing_checks=1, opened_at=now),
            incident=incident,
            judged=verdict.execution,
            runs_before=self._begun,
        )

    def _went_on(
        self, verdict: Verdict, action: Action, owed: MessageKind | None, now: datetime
    ) -> None:
        was = self._open
        if was is None:
            return
        was.incident.messages += owed is not None
        if action is Action.RESOLVE:
            was.incident.resolved_at = now
            was.incident.resolved_by = self._as_it_became(verdict.execution)
            was.incident.was_a_late_run = self._was_late(was, verdict)
            self._open = None
        elif action is not Action.NONE:
            was.event = replace(
                was.event,
                verdict=verdict.kind,
                last_message_at=now if owed else was.event.last_message_at,
            )

    def _was_late(self, was: _Open, verdict: Verdict) -> bool:
        """Say that nothing had failed: what was missing or still ran came to a good end."""
        if was.incident.verdict in _MEASURED:
            return False  # all had come; it was too slow, or too little of it was good
        if was.judged is not None and was.judged.status in FINISHED:
            return False
        good, judged = verdict.execution, was.judged
        if good is None:
            return False
        if judged is not None and good.started_at == judged.started_at:
            return True
        after = self.executions[was.runs_before : self._number_of(good) + 1]
        return bool(after) and all(one.status in self.rule.expected_statuses for one in after)

    def _number_of(self, one: Execution) -> int:
        """Return the place of an execution that a verdict rests on."""
        first = bisect_left(self._starts, one.started_at)
        last = bisect_right(self._starts, one.started_at)
        return next(at for at in range(first, last) if self.executions[at].pk == one.pk)

    def _as_it_became(self, seen: Execution | None) -> Execution | None:
        return None if seen is None else self.executions[self._number_of(seen)]
