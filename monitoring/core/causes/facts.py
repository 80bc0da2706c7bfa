"""What is known about one failing task, for whoever asks why it fails.

Everything is optional: what could not be read, or what a task log does not hold, is simply absent,
and then no cause that rests on it is named.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile
from statistics import median
from typing import NamedTuple

from monitoring.core.findings import World
from monitoring.core.statuses import NOT_STARTED, Status
from monitoring.core.texts import one_line
from monitoring.core.values import Execution, Rule, Verdict, VerdictKind
from monitoring.core.workers import SEEN_EVERY, Heartbeat

LONGEST_WAIT = timedelta(hours=24)
"""How long ago a message may have been sent that still explains a shorter window."""
BEAT_GRACE = timedelta(minutes=5)
"""How late beat may seem: django-celery-beat notes every three minutes what it has sent."""
UNHEARD = 3 * SEEN_EVERY
"""How long a worker must have been silent to be told of as one that was last heard then."""
BEAT_FORGOTTEN = timedelta(days=7)
"""How late it is not silent any more, but replaced: its tables are those of another time."""
_FEWEST_RUNS = 3
"""Completed runs that tell how long a task usually takes."""
_CHANGES = re.compile(r"0x[0-9a-f]+|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d+", re.IGNORECASE)
_COMPARED = 300
"""Characters of an error that are compared."""


class Schedule(NamedTuple):
    """One periodic task of django-celery-beat."""

    name: str
    task_name: str
    """What it sends."""
    is_enabled: bool
    changed_at: datetime
    ends_at: datetime | None = None
    """From when on it sends nothing any more."""
    expires: float | None = None
    """Seconds after which no worker obeys a message of it any more."""
    is_noted_run: bool = False
    """What changed last is beat's own note that it has sent it."""

    def sends(self, task_name: str, now: datetime) -> bool:
        is_over = self.ends_at is not None and self.ends_at <= now
        return self.task_name == task_name and self.is_enabled and not is_over

    def has_changed_since(self, at: datetime) -> bool:
        """Say that somebody may have changed it since."""
        return not self.is_noted_run and self.changed_at > at


class Beat(NamedTuple):
    """What beat was last seen to do."""

    last_sent_at: datetime
    """When the newest message that is known of was sent, of whichever task."""
    due_at: datetime
    """When the next one should have been."""

    def is_silent(self, now: datetime) -> bool:
        return BEAT_GRACE < now - self.due_at <= BEAT_FORGOTTEN


class Due(NamedTuple):
    """When the schedules of a task have asked for it since its last run."""

    first_at: datetime | None = None
    """The first of these times; None: there was none."""
    times: int = 0
    """How many of them were counted."""
    is_more: bool = False
    """There were more than that."""


class Message(NamedTuple):
    """The newest execution of a task that has not started: it waits, or ended before it began."""

    status: Status
    submitted_at: datetime | None
    ended_at: datetime | None = None
    queue: str = ""
    worker: str = ""
    """Which has received it, or said what became of it."""
    error: str = ""
    sender: str = ""
    """The periodic task it was sent by."""
    ahead: int = 0
    """Executions that were sent to the same queue before it and wait as well."""

    @property
    def waits(self) -> bool:
        return self.status in NOT_STARTED

    @property
    def at(self) -> datetime | None:
        """When the last thing happened to it that is known."""
        return self.ended_at or self.submitted_at


class Listener(NamedTuple):
    """One worker, as its heartbeats tell."""

    node: str
    heartbeat: Heartbeat
    queues: tuple[str, ...]
    """Names and routing keys of the queues that it takes tasks from."""

    def hears(self, queue: str) -> bool:
        return any(_matches(pattern.split("."), queue.split(".")) for pattern in self.queues)

    @property
    def last_at_work(self) -> datetime:
        return self.heartbeat.stopped_at or self.heartbeat.seen_at

    def is_at_work(self, now: datetime) -> bool:
        return self.heartbeat.stopped_at is None and now - self.heartbeat.seen_at <= UNHEARD


class Queue(NamedTuple):
    """What is known of the queue that a message waits in."""

    running: int = 0
    """Executions of this queue that run at the moment."""
    listeners: tuple[Listener, ...] = ()
    """Workers that take tasks from it, or did when they were last heard."""
    workers_known: int = 0
    """Workers that have told which queues they take tasks from."""


class Past(NamedTuple):
    """How a task has fared before, as far as was looked."""

    runs: int = 0
    """Completed executions that `usual` is made of."""
    usual: timedelta | None = None
    """How long they took: half of them longer, half of them shorter."""
    same_error: int = 0
    """Failures just before this one that ended in the same error."""
    first_seen: datetime | None = None
    """Start of the first of them."""
    was_cut: bool = False
    """There may have been more of them before the oldest that was read."""
    other_error: bool = False
    """The failure before this one ended in another error."""


NO_PAST = Past()


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What is known of one rule that fails."""

    now: datetime
    rule: Rule
    verdict: Verdict
    sender: str | None = None
    """The periodic task that sent the last known execution; empty: it was none; None: not known."""
    schedules: tuple[Schedule, ...] = ()
    """Periodic tasks that send the task, and the one that did."""
    beat: Beat | None = None
    due: Due | None = None
    """None: nothing is scheduled, or a schedule was changed since the last run."""
    longest_gap: timedelta | None = None
    """The longest time between its last runs; None: there are too few, or nobody looked."""
    message: Message | None = None
    queue: Queue | None = None
    elsewhere: Execution | None = None
    """What ran in the window although the rule's context did not."""
    elsewhere_type: str = ""
    """The value of its context; empty: it has none."""
    worker: Heartbeat | None = None
    """Of the worker of the execution in question."""
    past: Past = NO_PAST
    world: World | None = None
    """Where the task might be known; None: nobody looked, or not everywhere."""

    @property
    def is_missing(self) -> bool:
        return self.verdict.kind is VerdictKind.NO_EXECUTION

    @property
    def running(self) -> Execution | None:
        """Return what still runs, of the executions that the verdict is about."""
        verdict = self.verdict
        if verdict.still_running is not None:
            return verdict.still_running
        found = verdict.execution
        return found if found is not None and found.status is Status.RUNNING else None

    @property
    def is_overdue(self) -> bool:
        """Say that a run is missing which the schedule has asked for, and not just now."""
        last, due = self.verdict.last_known, self.due
        if last is None or due is None or due.first_at is None:
            return False
        may_be_late = min(BEAT_GRACE, (due.first_at - last.started_at) / 2)
        return self.now - due.first_at > may_be_late

    @property
    def sent(self) -> Message | None:
        """Return the message that the missing execution should have come of.

        In the window, or newer than the last run and no older than a day. None also if the
        execution is not missing.
        """
        message = self.message
        if not self.is_missing or message is None or message.at is None:
            return None
        if message.at >= self.rule.window_start(self.now):
            return message
        last = self.verdict.last_known
        is_newer = last is None or message.at > last.started_at
        return message if is_newer and message.at >= self.now - LONGEST_WAIT else None


def past_of(found: Execution | None, before: Sequence[Execution], most: int) -> Past:
    """Return how a task has fared before an execution.

    before: executions of the task with their errors, the newest first, at most `most`; `found`
    may be among them.
    """
    took = [
        one.finished_at - one.started_at
        for one in before
        if one.status is Status.COMPLETED and one.finished_at is not None
    ]
    usual = timedelta(seconds=median(one.total_seconds() for one in took)) if took else None
    failures = _failures_before(found, before) if found is not None and found.error else []
    error = found.error if found is not None else ""
    same = list(takewhile(lambda one: is_same_error(one.error, error), failures))
    return Past(
        runs=len(took),
        usual=usual if len(took) >= _FEWEST_RUNS else None,
        same_error=len(same),
        first_seen=same[-1].started_at if same else None,
        was_cut=len(same) == len(failures) and len(before) >= most,
        other_error=bool(failures) and not same,
    )


def _failures_before(found: Execution, others: Sequence[Execution]) -> list[Execution]:
    return [
        one
        for one in others
        if one.status is found.status
        and one.error
        and one.pk != found.pk
        and one.started_at <= found.started_at
    ]


def is_same_error(one: str, other: str) -> bool:
    """Say whether two errors differ in nothing but numbers and ids."""
    return _bare(one) == _bare(other)


def _bare(error: str) -> str:
    return _CHANGES.sub("#", one_line(error)[:_COMPARED])


def _matches(pattern: Sequence[str], routing_key: Sequence[str]) -> bool:
    """Say whether a binding takes a routing key; `*` and `#` are those of topic exchanges."""
    if not pattern:
        return not routing_key
    first, rest = pattern[0], pattern[1:]
    if first == "#":
        return any(_matches(rest, routing_key[n:]) for n in range(len(routing_key) + 1))
    return bool(routing_key) and first in ("*", routing_key[0]) and _matches(rest, routing_key[1:])
