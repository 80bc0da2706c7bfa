"""What a rule would have done: the same verdicts and steps, over executions that are history.

An execution is seen as it stood at each check: running until its finish. What waited in the queue,
snoozes, acknowledgements and upstreams are not replayed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import accumulate

from monitoring.core.incidents import Action, MessageKind, OpenEvent, State, step
from monitoring.core.statuses import FINISHED, Status
from monitoring.core.values import Evidence, Execution, Rule, Verdict, VerdictKind, WhileRunning
from monitoring.core.verdicts import is_plainly_ok, judge

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(kw_only=True, slots=True)
class Incident:
    """One alert event that would have been opened."""

    opened_at: datetime
    verdict: VerdictKind
    current_status: str
    messages: int = 0
    resolved_at: datetime | None = None
    was_a_late_run: bool = False
    """Nothing had gone wrong: the very next run resolved it, or the judged one by its finish."""


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
    check on included. checks: aware, UTC, in order, at least one. log_since: since when the log
    holds whatever ran; None: it holds nothing.
    """
    replay = _Replay(rule, executions, log_since)
    for now in checks:
        replay.check(now)
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
        self._latest_finishes = list(accumulate(map(_end, executions), max))

    def check(self, now: datetime) -> None:
        while self._begun < len(self.executions):
            if self.executions[self._begun].started_at > now:
                break
            self._begun += 1
        latest = _as_seen(self.executions[self._begun - 1], now) if self._begun else None
        if self._open is None and self._state.failing_checks == 0:
            told = latest if self._judges_the_latest(latest) else self._newest(now, running=False)
            if is_plainly_ok(self.rule, told, now):
                self._note(VerdictKind.OK, now)
                return
        self._decide(judge(self.rule, self._evidence(latest, now), now), now)

    def _judges_the_latest(self, latest: Execution | None) -> bool:
        """Say whether the verdict turns on it, and not on the newest that has finished."""
        if latest is None or latest.status in FINISHED:
            return True
        waits = self.rule.while_running is WhileRunning.WAIT
        return not waits or self.rule.max_runtime_minutes is not None

    def _evidence(self, latest: Execution | None, now: datetime) -> Evidence:
        limits = self.rule.max_runtime_minutes is not None
        return Evidence(
            latest=latest,
            latest_finished=self._newest(now, running=False),
            latest_running=self._newest(now, running=True) if limits else None,
            log_since=self.log_since,
        )

    def _newest(self, now: datetime, *, running: bool) -> Execution | None:
        """Return the newest execution that had finished, or that ran."""
        for number in range(self._begun - 1, -1, -1):
            if running and self._latest_finishes[number] <= now:
                return None  # nor does any before it run
            seen = _as_seen(self.executions[number], now)
            if (seen.status is Status.RUNNING) if running else (seen.status in FINISHED):
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
            opened_at=now, verdict=verdict.kind, current_status=verdict.current_status
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
        if was.judged is not None and was.judged.status in FINISHED:
            return False
        good, judged = verdict.execution, was.judged
        if good is None:
            return False
        if judged is not None and good.started_at == judged.started_at:
            return True
        after = self.executions[was.runs_before : was.runs_before + 1]
        return bool(after) and after[0].started_at == good.started_at


def _end(one: Execution) -> datetime:
    if one.finished_at is not None:
        return one.finished_at
    return one.started_at if one.status in FINISHED else datetime.max.replace(tzinfo=UTC)


def _as_seen(one: Execution, now: datetime) -> Execution:
    """Return an execution as the log had it at that time."""
    if one.finished_at is not None and one.finished_at > now:
        return one._replace(status=Status.RUNNING, finished_at=None)
    return one


def in_words(found: Backtest) -> str:
    """Return what a rule would have done, and how far the log could tell.

    Never "no event" where there was no data.
    """
    days = _days(found.end - found.start)
    if found.covered_from is None:
        return f"cannot be told: the log holds nothing of the last {days}"
    if found.unknown_checks == found.checks:
        covered = f"the log covers {_days(found.covered)} of the last {days}"
        return f"cannot be told: {covered}, less than the rule looks back"
    count, late = len(found.incidents), found.late_runs
    text = f"would have opened {_count(count, 'event')} in {days}"
    if count:
        parts = [(count - late, "failure"), (late, "late run")]
        text += ": " + ", ".join(_count(some, what) for some, what in parts if some)
    text += f"; {_count(found.messages, 'message')}"
    if found.covered_from > found.start:
        text += f"; the log covers {_days(found.covered)} of these"
    return text


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number or 'no'} {what}s"


def _days(length: timedelta) -> str:
    if length >= timedelta(days=2):
        return f"{round(length / timedelta(days=1))} days"
    if length >= timedelta(hours=2):
        return f"{round(length / timedelta(hours=1))} h"
    return f"{round(length / timedelta(minutes=1))} min"
