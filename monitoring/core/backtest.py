"""What a rule would have done: the same verdicts and steps, over executions that are history.

An execution is seen as it stood at each check: running until its finish. What waited in the queue,
snoozes, acknowledgements and upstreams are not replayed.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import accumulate

from monitoring.core.hindsight import Hindsight, end_of
from monitoring.core.incidents import Action, MessageKind, OpenEvent, State, step
from monitoring.core.statuses import FINISHED, Status
from monitoring.core.values import Evidence, Execution, Rule, Verdict, VerdictKind, WhileRunning
from monitoring.core.verdicts import is_plainly_ok, judge
from monitoring.core.wording import Text, joined, ngettext
from monitoring.core.wording import Text as _

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
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
    resolved_by: Execution | None = None
    """The execution that made it fine again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Backtest:
    """What a rule would have done from `start` to `end`."""

    start: datetime
    end: datetime
    covered_from: datetime | None
    """From here on the log could answer; None: it holds nothing of this time."""
    checks: int
    unknown_checks: int
    """Checks that could not judge, because the log was young."""
    incidents: Sequence[Incident]
    changes: Sequence[tuple[datetime, VerdictKind]]
    """When the verdict became another, the first one included."""

    @property
    def messages(self) -> int:
        return sum(incident.messages for incident in self.incidents)

    @property
    def late_runs(self) -> int:
        return sum(incident.was_a_late_run for incident in self.incidents)

    @property
    def covered(self) -> timedelta:
        """How much of the time the log could answer for."""
        return self.end - self.covered_from if self.covered_from else timedelta(0)


def check_times(start: datetime, end: datetime, every: timedelta) -> Iterator[datetime]:
    """Yield when checks would have run. Raises ValueError if `every` is not above 0."""
    if every <= timedelta(0):
        raise ValueError("checks must have some time between them")
    at = start
    while at <= end:
        yield at
        at += every


def backtest(
    rule: Rule,
    executions: Sequence[Execution],
    checks: Sequence[datetime],
    log_since: datetime | None,
) -> Backtest:
    """Replay checks of a rule over past executions.

    executions: of the rule's task and context, by start, those from one window before the first
    check on included; with a duration factor, also the last before these that completed. checks:
    aware, UTC, in order, at least one. log_since: since when the log holds whatever ran; None: it
    holds nothing.
    """
    replay = _Replay(rule, executions, log_since)
    number = 0
    while number < len(checks):
        same_until = replay.check(checks[number])
        number += 1
        if same_until is not None:
            number = bisect_right(checks, same_until, number)
    start, end = checks[0], checks[-1]
    covered_from = None if log_since is None or log_since >= end else max(log_since, start)
    return Backtest(
        start=start,
        end=end,
        covered_from=covered_from,
        checks=len(checks),
        unknown_checks=replay.unknown,
        incidents=replay.incidents,
        changes=replay.changes,
    )


@dataclass(kw_only=True, slots=True)
class _Open:
    event: OpenEvent
    incident: Incident
    judged: Execution | None
    runs_before: int
    """Executions that had begun when it was opened."""


class _Replay:
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
    def _latest_finishes(self) -> list[datetime]:
        """The latest finish of each execution and all before it."""
        return list(accumulate(map(end_of, self.executions), max))

    def check(self, now: datetime) -> datetime | None:
        """Check, and return until when further checks are known to change nothing, or None."""
        self._begun = bisect_right(self._starts, now, self._begun)
        latest = self.executions[self._begun - 1] if self._begun else None
        if self._is_settled:
            is_latest = self._judges_the_latest(latest, now)
            told = latest if is_latest else self._newest(now, running=False)
            if told is not None and _is_over(told, now) and is_plainly_ok(self.rule, told, now):
                self._note(VerdictKind.OK, now)
                return self._latest_until() if is_latest else None
        seen = latest and _as_seen(latest, now)
        found = judge(self.rule, self._evidence(seen, now), now)
        if found.kind is VerdictKind.OK and self._is_settled:
            self._note(found.kind, now)
        else:
            self._decide(found, now)
        return self._failing_until(found) if self._only_fails_on else None

    @property
    def _only_fails_on(self) -> bool:
        """Nothing becomes of the open event, and nothing is owed, while the verdict stays."""
        is_told = self._open is not None and self._open.event.last_message_at is not None
        return is_told and self.rule.remind_hours is None and not self.rule.measures

    def _failing_until(self, found: Verdict) -> datetime | None:
        """Return until when checks find the same; None: something is in progress."""
        if found.kind is VerdictKind.NO_EXECUTION:
            return self._just_before_the_next() or datetime.max.replace(tzinfo=UTC)
        if found.kind is VerdictKind.STATUS_MISMATCH and found.execution is not None:
            is_latest = found.execution == self.executions[self._begun - 1]
            return (
                self._latest_until() if is_latest and found.execution.status in FINISHED else None
            )
        return None

    def _just_before_the_next(self) -> datetime | None:
        if self._begun == len(self._starts):
            return None
        return self._starts[self._begun] - timedelta.resolution

    @property
    def _is_settled(self) -> bool:
        """Nothing is open and nothing is counted, so that an ok changes nothing."""
        return self._open is None and self._state.failing_checks == 0

    def _latest_until(self) -> datetime:
        """Return until when the newest execution, which has finished, is all that a check sees."""
        until = self._starts[self._begun - 1] + timedelta(hours=self.rule.lookback_hours)
        return min(until, self._just_before_the_next() or until)

    def _judges_the_latest(self, latest: Execution | None, now: datetime) -> bool:
        """Say whether the verdict turns on it, and not on the newest that has finished."""
        if latest is None or _is_over(latest, now):
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
            if not running and _is_over(one, now):
                return one
            if running and (seen := _as_seen(one, now)).status is Status.RUNNING:
                return seen
        return None

    def _note(self, kind: VerdictKind, now: datetime) -> None:
        if not self.changes or self.changes[-1][1] is not kind:
            self.changes.append((now, kind))

    def _decide(self, verdict: Verdict, now: datetime) -> None:
        self._note(verdict.kind, now)
        self.unknown += verdict.kind is VerdictKind.UNKNOWN
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

    def _opened(self, verdict: Verdict, now: datetime) -> None:
        incident = Incident(
            opened_at=now,
            verdict=verdict.kind,
            current_status=verdict.current_status,
            execution=self._as_it_became(verdict.execution),
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


def _is_over(one: Execution, now: datetime) -> bool:
    """Say whether the log had the outcome at that time."""
    return one.status in FINISHED and (one.finished_at is None or one.finished_at <= now)


def _as_seen(one: Execution, now: datetime) -> Execution:
    """Return an execution as the log had it at that time."""
    if one.finished_at is not None and one.finished_at > now:
        return one._replace(status=Status.RUNNING, finished_at=None)
    return one


def in_words(found: Backtest) -> Text:
    """Return what a rule would have done, and how far the log could tell.

    Never "no event" where there was no data.
    """
    length = days(found.end - found.start)
    if found.covered_from is None:
        return _("cannot be told: the log holds nothing of the last {time}", time=length)
    if found.unknown_checks == found.checks:
        return _(
            "cannot be told: the log covers {covered} of the last {time}, less than the rule "
            "looks back",
            covered=days(found.covered),
            time=length,
        )
    count, late = len(found.incidents), found.late_runs
    said: list[str] = [_("would have opened {events} in {time}", events=events(count), time=length)]
    if count:
        kinds = [
            (count - late, ngettext("{count} failure", "{count} failures", count - late)),
            (late, ngettext("{count} late run", "{count} late runs", late)),
        ]
        said += [": ", joined((text for number, text in kinds if number), ", ")]
    said += ["; ", messages(found.messages)]
    if found.covered_from > found.start:
        said += ["; ", _("the log covers {time} of these", time=days(found.covered))]
    return joined(said, "")


def events(count: int) -> Text:
    return ngettext("{count} event", "{count} events", count) if count else _("no events")


def messages(count: int) -> Text:
    return ngettext("{count} message", "{count} messages", count) if count else _("no messages")


def days(length: timedelta) -> Text:
    """Return a length of time in whole days, hours or minutes, at least two of each."""
    if length >= timedelta(days=2):
        return ngettext("{count} day", "{count} days", round(length / timedelta(days=1)))
    if length >= timedelta(hours=2):
        return _("{hours} h", hours=round(length / timedelta(hours=1)))
    return _("{minutes} min", minutes=round(length / timedelta(minutes=1)))
