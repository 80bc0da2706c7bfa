"""One rule from check to check of the past, as the log stood at each of them.

What cannot change between two checks is not looked at again: months of checks are replayed while
somebody types.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from monitoring.core.hindsight import Hindsight
from monitoring.core.incidents import Action, MessageKind, OpenEvent, State, step
from monitoring.core.past import NEVER, Past, as_seen, is_over
from monitoring.core.statuses import FINISHED
from monitoring.core.values import (
    MEASURED,
    Evidence,
    Execution,
    Measured,
    Rule,
    Verdict,
    VerdictKind,
    WhileRunning,
)
from monitoring.core.verdicts import ended_as_expected, judge

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
_LEAST = timedelta.resolution
_BY_STATUS = frozenset({VerdictKind.STATUS_MISMATCH, VerdictKind.NO_EXECUTION, VerdictKind.UNKNOWN})
"""Nothing is measured any more where one of these is found."""


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
        self.executions, self.log_since = Past.of(executions), log_since
        self.incidents: list[Incident] = []
        self.changes: list[tuple[datetime, VerdictKind]] = []
        self.unknown = 0
        self._state = State()
        self._open: _Open | None = None
        self._begun = 0
        self._starts = self.executions.starts
        self._window = timedelta(hours=rule.lookback_hours)
        self._good = FINISHED.intersection(rule.expected_statuses)
        self._measured = Hindsight(self.executions, rule) if rule.measures else None

    def check(self, now: datetime, following: datetime) -> datetime | None:
        """Check, and return until when further checks are known to change nothing, or None.

        following: when the next one is, which may find another execution anyway.
        """
        self._begun = bisect_right(self._starts, now, self._begun)
        latest = self.executions[self._begun - 1] if self._begun else None
        if self._is_settled:
            is_latest = self._judges_the_latest(latest, now)
            told = latest if is_latest else self.executions.newest_over(self._begun, now)
            if told is not None and is_over(told, now) and ended_as_expected(self.rule, told, now):
                if self._measured is None:
                    self._note(VerdictKind.OK, now)
                    return self._fine_until() if is_latest else None
                if self._measured.is_plainly_fine(told, latest, now):
                    self._note(VerdictKind.OK, now)
                    if latest is not told or self._begins_by(following):
                        return None
                    fine = Verdict(kind=VerdictKind.OK, current_status=told.status)
                    return self._found_until(fine, Evidence(latest=told, latest_finished=told), now)
        seen = latest and as_seen(latest, now)
        evidence = self._evidence(seen, now)
        found = judge(self.rule, evidence, now)
        if found.kind is VerdictKind.OK and self._is_settled:
            self._note(found.kind, now)
        else:
            self._decide(found, now)
        return None if self._begins_by(following) else self._same_until(found, evidence, now)

    def pass_plainly_fine(self, checks: Sequence[datetime], number: int) -> int:
        """Take checks that find the latest execution plainly ok; return how many are over then.

        number: how many are over already. The same as `check` finds, in a tenth of the time: most
        checks of a task that runs more often than it is checked are such.
        """
        if not self._is_settled:
            return number
        past, good, window, first = self.executions, self._good, self._window, number
        begun, count = self._begun, len(self._starts)
        while number < len(checks):
            now = checks[number]
            begun = bisect_right(self._starts, now, begun)
            if (
                begun in (0, count)
                or past.statuses[begun - 1] not in good
                or past.ends[begun - 1] > now
                or past.starts[begun - 1] < now - window
            ):
                break
            if self._measured is not None:
                is_last = number + 1 == len(checks) or past.starts[begun] > checks[number + 1]
                told = past[begun - 1]
                if is_last or not self._measured.is_plainly_fine(told, told, now):
                    break
            number += 1
        if number > first:
            self._note(VerdictKind.OK, checks[first])
        return number

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
        until = [NEVER]
        window = self._window
        if self._measured is not None and found.kind not in _BY_STATUS:
            if evidence.latest is not None and evidence.latest.status not in FINISHED:
                return None  # and so does it become slow
            if (oldest := self._measured.oldest) is not None:
                until.append(oldest.started_at + window)
        if self._begun < len(self._starts):
            until.append(self._starts[self._begun] - _LEAST)
        finishes = self.executions.known_finishes
        number = bisect_right(finishes, now)
        if number < len(finishes):
            until.append(finishes[number] - _LEAST)
        judged = (evidence.latest, evidence.latest_finished)
        until += [one.started_at + window for one in judged if one is not None]
        if self.log_since is not None:
            until.append(self.log_since + window - _LEAST)
        return min(at for at in until if at >= now)

    def _reminder_at(self, event: OpenEvent) -> datetime:
        told, hours = event.last_message_at, self.rule.remind_hours
        if hours is None or (told is not None and timedelta(hours=hours) > NEVER - told):
            return NEVER
        return _LONG_AGO if told is None else told + timedelta(hours=hours)

    def _begins_by(self, at: datetime) -> bool:
        """Say whether the next execution begins by then."""
        return self._begun < len(self._starts) and self._starts[self._begun] <= at

    @property
    def _is_settled(self) -> bool:
        """Nothing is open and nothing is counted, so that an ok changes nothing."""
        return self._open is None and self._state.failing_checks == 0

    def _fine_until(self) -> datetime:
        """Return until when the newest execution, which ended well, is all that a check sees."""
        until = self._starts[self._begun - 1] + self._window
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
            latest_finished=self.executions.newest_over(self._begun, now),
            latest_running=self.executions.newest_running(self._begun, now) if limits else None,
            log_since=self.log_since,
            successes=measured.successes if measured else (),
            finished=measured.finished if measured else {},
        )

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
            measured=verdict.measured[0] if verdict.kind in MEASURED else None,
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
        if was.incident.verdict in MEASURED:
            return False  # all had come; it was too slow, or too little of it was good
        if was.judged is not None and was.judged.status in FINISHED:
            return False
        good, judged = verdict.execution, was.judged
        if good is None:
            return False
        if judged is not None and good.started_at == judged.started_at:
            return True
        after = self.executions[was.runs_before : self._number_of(good) + 1]
        return bool(after) and all(one in self.rule.expected_statuses for one in after.statuses)

    def _number_of(self, one: Execution) -> int:
        """Return the place of an execution that a verdict rests on."""
        first = bisect_left(self._starts, one.started_at)
        last = bisect_right(self._starts, one.started_at)
        return next(at for at in range(first, last) if self.executions.pks[at] == one.pk)

    def _as_it_became(self, seen: Execution | None) -> Execution | None:
        return None if seen is None else self.executions[self._number_of(seen)]
