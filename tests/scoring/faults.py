"""What went wrong with the runs of the year, and what the log and all around it show of that.

Each task is a project of its own: one periodic task, one worker for its queue and one for another.
`World` answers what the queries of the product would have, at any moment; the true cause of a wrong
run stands in `FAULTS` and is known to nothing that tells causes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import cycle
from random import Random
from typing import NamedTuple

from monitoring.core.causes.facts import (
    LONGEST_WAIT,
    NO_PAST,
    Beat,
    Due,
    Facts,
    Listener,
    Message,
    Queue,
    Schedule,
    past_of,
)
from monitoring.core.lifecycle import WORKER_LOST
from monitoring.core.rhythm import longest_gap
from monitoring.core.statuses import Status
from monitoring.core.values import ContextFilter, Evidence, Execution, Rule, Verdict
from monitoring.core.verdicts import judge
from monitoring.core.workers import Heartbeat
from tests.scoring.year import MINUTE, START, Told

SOON = timedelta(seconds=20)
PAST = 20
QUEUE, WORKER = "reports", "w1@reports"
OURS, OTHER = "A", "B"
"""The variant that rules watch, and another one of the same task."""
CONTEXT = ContextFilter(model="gap.Session", field="kind", type=OURS)


class Fault(NamedTuple):
    """Something that goes wrong, and the causes that are true of it; none: nobody can know."""

    kind: str
    causes: frozenset[str]
    status: Status = Status.STOPPED
    error: str = ""


def _fault(kind: str, *causes: str, status: Status = Status.STOPPED, error: str = "") -> Fault:
    return Fault(kind, frozenset(causes), status, error)


FAULTS = {
    "it raised": _fault("failed", "raised", error="ValueError: no figures for station {n}"),
    "it ran into its time limit": _fault("failed", "raised", error="TimeLimitExceeded(300)"),
    "its process was killed": _fault(
        "failed",
        "worker_lost",
        error="billiard.exceptions.WorkerLostError: Worker exited prematurely: signal 9 (SIGKILL)",
    ),
    "its worker was lost": _fault("failed", "worker_lost", error=WORKER_LOST),
    "it was revoked while it ran": _fault(
        "failed", "cancelled", status=Status.CANCELLED, error="terminated"
    ),
    "it hung": _fault("hung", "still_running"),
    # Those that are back drop what has expired meanwhile: a check after that is told so.
    "no worker ran": _fault(
        "outage", "not_consumed", "cancelled", status=Status.CANCELLED, error="expired"
    ),
    "the worker did not know it": _fault(
        "missed", "not_registered", error=f"NotRegistered: the worker {WORKER} knows no such task"
    ),
    "its code was retired, its schedule was not": _fault(
        "retired", "not_registered", error=f"NotRegistered: the worker {WORKER} knows no such task"
    ),
    "its message expired": _fault("missed", "cancelled", status=Status.CANCELLED, error="expired"),
    "its message was revoked": _fault(
        "missed", "cancelled", status=Status.CANCELLED, error="revoked"
    ),
    "it ran for another context": _fault("missed", "other_context", status=Status.COMPLETED),
    "its periodic task was disabled": _fault("missed", "schedule_disabled"),
    "its periodic task was deleted": _fault("missed", "schedule_deleted"),
    "beat had stopped": _fault("missed", "beat_silent"),
    "the broker lost its message": _fault("missed", status=Status.PENDING),
    "who calls it, not beat, had stopped": _fault("missed"),
}
NOTHING = "nothing, the window was too short"
TRUE_OF_NOTHING = frozenset({"before_window", "queued"})


@dataclass(frozen=True)
class Row:
    """One row of the log, as it is in the end."""

    execution: Execution | None
    """None: it never began."""
    sent_at: datetime
    ended_at: datetime | None = None
    status: Status = Status.COMPLETED
    error: str = ""
    context: str = OURS

    def begins(self, now: datetime) -> bool:
        return self.execution is not None and self.execution.started_at <= now


class World:
    """What happened to one task and around it."""

    def __init__(self, told: Told) -> None:
        self.told = told
        self.faults = dict(_faults(told))
        """By the number of the run."""
        self._by_number = {int(one.pk): one for one in told.executions}
        self.rows = [row for row in map(self._row, range(len(told.due))) if row is not None]
        self._sent = [row.sent_at for row in self.rows]
        began = sorted(
            ((row.execution, row.context) for row in self.rows if row.execution is not None),
            key=lambda pair: (pair[0].started_at, pair[0].pk),
        )
        self._any = [(one, context) for one, context in began]
        self._any_starts = [one.started_at for one, _ in began]
        self._ours = [one for one, context in began if context == OURS]
        self._starts = [one.started_at for one in self._ours]

    def true_causes(self, now: datetime) -> tuple[str, frozenset[str]]:
        """Return what went wrong last, and the causes true of all since the last good run."""
        number = self._current(now)
        while number >= 0 and number not in self.faults:
            number -= 1
        last, causes = number, frozenset[str]()
        while number in self.faults:
            causes |= FAULTS[self.faults[number]].causes
            number -= 1
        return self.faults[last], causes

    def facts(self, rule: Rule, now: datetime) -> Facts:
        """Return what the product would know of a rule that fails."""
        verdict = self._verdict(rule, now)
        found = verdict.still_running or verdict.execution
        message = self._message(now, min(rule.window_start(now), now - LONGEST_WAIT))
        elsewhere = self._elsewhere(rule, now)
        schedules = self._schedules(now)
        return Facts(
            now=now,
            rule=rule,
            verdict=verdict,
            sender=self._sender(now),
            schedules=schedules,
            beat=self._beat(now) if any(one.is_enabled for one in schedules) else None,
            due=self._due(verdict, now) if any(one.is_enabled for one in schedules) else None,
            longest_gap=longest_gap([one.started_at for one in self._before(now)]),
            message=message,
            queue=self._queue(now) if message is not None and message.waits else None,
            elsewhere=elsewhere,
            elsewhere_type=OTHER if elsewhere is not None else "",
            worker=self._worker(now) if found is not None else None,
            past=past_of(found, self._before(now), PAST) if found is not None else NO_PAST,
        )

    # What happened

    def _row(self, number: int) -> Row | None:
        """Return the row of one run, or None if it left none."""
        told, at = self.told, self.told.due[number]
        found = self._by_number.get(number)
        name = self.faults.get(number)
        fault = FAULTS[name] if name is not None else None
        if found is not None:
            error = fault.error.format(n=number) if fault else ""
            status = fault.status if fault and fault.kind == "failed" else found.status
            began = found._replace(status=status, error=error, worker=WORKER)
            return Row(began, at, found.finished_at, status, error)
        if fault is None or not (fault.error or fault.status is not Status.STOPPED):
            return None
        if fault.status is Status.COMPLETED:
            ends = at + SOON + told.schedule.takes
            began = Execution(number, told.schedule.name, fault.status, at + SOON, ends)
            return Row(began, at, ends, context=OTHER)
        if fault.status is Status.PENDING:
            return Row(None, at, status=Status.PENDING)
        outage = next((end for start, end in told.outages if start <= at < end), None)
        return Row(None, at, outage or at + SOON, fault.status, fault.error)

    def _current(self, now: datetime) -> int:
        return bisect_right(self.told.due, now) - 1

    # What the log tells

    def _verdict(self, rule: Rule, now: datetime) -> Verdict:
        seen = self._before(now)
        ended = (one for one in seen if one.status is not Status.RUNNING)
        evidence = Evidence(
            latest=seen[0] if seen else None, latest_finished=next(ended, None), log_since=START
        )
        return judge(rule, evidence, now)

    def _before(self, now: datetime) -> list[Execution]:
        end = bisect_right(self._starts, now)
        return [_as_seen(one, now) for one in self._ours[max(end - PAST, 0) : end]][::-1]

    def _elsewhere(self, rule: Rule, now: datetime) -> Execution | None:
        number = bisect_right(self._any_starts, now) - 1
        found, context = self._any[number]
        is_elsewhere = context != OURS and found.started_at >= rule.window_start(now)
        return _as_seen(found, now) if is_elsewhere else None

    def _message(self, now: datetime, since: datetime) -> Message | None:
        end = bisect_right(self._sent, now)
        unstarted = [row for row in self.rows[max(end - 200, 0) : end] if not row.begins(now)]
        waiting = [row for row in unstarted if _waits(row, now) and row.sent_at >= since]
        ended = [row for row in unstarted if not _waits(row, now)]
        newest = max((*ended[-1:], *waiting[-1:]), key=lambda row: row.sent_at, default=None)
        if newest is None:
            return None
        if _waits(newest, now):
            ahead = len(waiting) - 1
            return Message(
                Status.PENDING, newest.sent_at, queue=QUEUE, sender=self._name, ahead=ahead
            )
        told = (newest.status, newest.sent_at, newest.ended_at, QUEUE, WORKER, newest.error)
        return Message(*told, sender=self._name)

    def _queue(self, now: datetime) -> Queue:
        running = sum(one.status is Status.RUNNING for one in self._before(now))
        other = Listener("w2@mail", Heartbeat(START, now - SOON, None), ("mail",))
        ours = Listener(WORKER, self._worker(now), (QUEUE,))
        known = [one for one in (ours, other) if one.hears(QUEUE)]
        return Queue(running=running, listeners=tuple(known), workers_known=2)

    def _worker(self, now: datetime) -> Heartbeat:
        booted = START
        for number, (start, end) in enumerate(self.told.outages):
            if start <= now < end:
                # Every other time it was shut down in an orderly way.
                return Heartbeat(booted, start, start if number % 2 else None)
            booted = end if end <= now else booted
        if self.faults.get(self._current(now)) == "its worker was lost":
            booted = now - SOON
        return Heartbeat(booted, now - SOON, None)

    # What beat is known to do

    @property
    def _name(self) -> str:
        return f"Schedule of {self.told.schedule.name}"

    def _sender(self, now: datetime) -> str:
        is_ours = self.faults.get(self._current(now)) != "who calls it, not beat, had stopped"
        return self._name if is_ours else ""

    def _schedules(self, now: datetime) -> tuple[Schedule, ...]:
        current = self._current(now)
        name = self.faults.get(current)
        if name in ("its periodic task was deleted", "who calls it, not beat, had stopped"):
            return ()
        is_enabled = name != "its periodic task was disabled"
        changed_at = START if is_enabled else self.told.due[current] - MINUTE
        return (Schedule(self._name, self.told.schedule.name, is_enabled, changed_at),)

    def _beat(self, now: datetime) -> Beat | None:
        number = bisect_right(self._sent, now) - 1
        last = self._sent[number]
        following = bisect_right(self.told.due, last)
        return Beat(last, self.told.due[following]) if following < len(self.told.due) else None

    def _due(self, verdict: Verdict, now: datetime) -> Due | None:
        last, due = verdict.last_known, self.told.due
        if last is None:
            return None
        first, end = bisect_right(due, last.started_at), bisect_right(due, now)
        return Due(due[first] if first < end else None, end - first)


def _faults(told: Told) -> Iterator[tuple[int, str]]:
    """Yield what was wrong with each wrong run; those of one kind in a row share it."""
    chance = Random(told.schedule.name)
    left = {}
    for kind in ("failed", "missed", "hung", "outage", "retired"):
        names = [name for name, fault in FAULTS.items() if fault.kind == kind]
        left[kind] = cycle(chance.sample(names, len(names)))
    before: tuple[int, str, str] | None = None
    for number, kind in sorted(told.wrong.items()):
        if number >= len(told.due):
            return
        goes_on = before is not None and before[:2] == (number - 1, kind)
        name = before[2] if before is not None and goes_on else next(left[kind])
        before = number, kind, name
        yield number, name


def _as_seen(one: Execution, now: datetime) -> Execution:
    if one.finished_at is None or one.finished_at <= now:
        return one
    return one._replace(status=Status.RUNNING, finished_at=None, error="")


def _waits(row: Row, now: datetime) -> bool:
    """Say whether a message that has not begun has not ended either."""
    return row.execution is not None or row.ended_at is None or row.ended_at > now
