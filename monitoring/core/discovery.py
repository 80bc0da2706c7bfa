"""Which rules are worth having: from what is known of a task to a proposal, with its grounds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from math import ceil
from typing import NamedTuple

from monitoring.core.durations import duration, percentile
from monitoring.core.rhythm import Run, steady_gap
from monitoring.core.statuses import FINISHED, Status
from monitoring.core.values import MAX_LOOKBACK_HOURS
from monitoring.core.wording import Text, ngettext
from monitoring.core.wording import Text as _

RUNS = 50
"""Executions of a task that are looked at, the newest."""
DEFAULT_INTERVAL = timedelta(minutes=5)
"""Between two checks, where none is scheduled."""
_FAR_TOO_LONG = 3
_MUCH_LONGER = 6
"""Hours; a window this much longer than needed, and three times as long, fits another schedule."""
_STEPS = ((6, 4), (48, 2))
"""Up to so many hours, a window is rounded up to so many parts of an hour; above, to hours."""
_OFTEN_CANCELLED = 0.1
_FEWEST_CANCELLED = 3


class Reason(StrEnum):
    """Why something is proposed."""

    SCHEDULED = "scheduled"
    STEADY = "steady"
    TOO_SHORT = "too_short"
    SCHEDULE_CHANGED = "schedule_changed"
    GONE = "gone"


REASONS = {
    Reason.SCHEDULED: _("a periodic task runs it, and nobody watches it"),
    Reason.STEADY: _("it runs in a steady rhythm, and nobody watches it"),
    Reason.TOO_SHORT: _("the rule looks back less far than its schedule leaves between two runs"),
    Reason.SCHEDULE_CHANGED: _("the rule looks back much further than its schedule needs"),
    Reason.GONE: _("nothing runs it: no schedule, no code, no execution in the window"),
}


class Watched(NamedTuple):
    """An enabled rule that is there already."""

    rule_id: int
    name: str
    lookback_hours: float
    has_context: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """What is known of a task before its executions are looked at."""

    name: str
    entries: tuple[tuple[str, str], ...] = ()
    """Name and schedule of each periodic task that runs it regularly."""
    gap: timedelta | None = None
    """The longest that these leave between two runs."""
    rules: tuple[Watched, ...] = ()
    is_listed: bool = False
    """JSON arguments watch it."""
    is_silenced: bool = False
    """A disabled rule names it: somebody has decided."""
    is_in_code: bool = False
    """Registered with Celery here."""
    is_refused: bool = False
    """Workers know no task of this name: its schedule is to be corrected, not to be watched."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ground:
    """Where a figure comes from."""

    field: str
    """The field of the rule."""
    text: Text


@dataclass(frozen=True, kw_only=True, slots=True)
class Proposal:
    """A rule to add, to change or to disable."""

    reason: Reason
    task_name: str
    name: str
    lookback_hours: float
    expected_statuses: tuple[Status, ...] = (Status.COMPLETED,)
    grounds: tuple[Ground, ...] = ()
    rule_id: int | None = None
    """The rule that does not fit any more; None: a new one."""
    was_hours: float | None = None
    followers: tuple[str, ...] = ()
    """Tasks that were seen to start right after it: a hint for dependent tasks."""

    @property
    def is_new(self) -> bool:
        return self.rule_id is None

    @property
    def identity(self) -> str:
        """Names the same proposal again while it stays the same."""
        return f"new:{self.task_name}" if self.is_new else f"{self.reason.value}:{self.rule_id}"


def is_open(task: Task) -> bool:
    """Say whether its executions are worth looking at, which is what costs."""
    if task.is_silenced:
        return False
    if not task.rules:
        return not task.is_listed
    if task.gap is None:
        return not (task.entries or task.is_in_code)
    return any(_misfit(task.gap, rule, _hours(task.gap)) for rule in task.rules)


def propose(
    task: Task, runs: Sequence[Run], interval: timedelta | None, now: datetime
) -> list[Proposal]:
    """Return what is worth doing about a task, if anything.

    runs: its last executions, the newest first. interval: usual time between two checks; None:
    none is scheduled. now: aware.
    """
    if not is_open(task):
        return []
    if not task.rules:
        if task.is_refused:
            return []
        gap = task.gap or steady_gap([run.started_at for run in runs], now)
        return [] if gap is None else [_new(task, gap, runs, interval)]
    if task.gap is None:
        return [_gone(task, rule) for rule in task.rules if not _has_run(runs, rule, now)]
    grounds = tuple(_lookback_grounds(task, task.gap, runs, interval))
    hours = needed_hours(task.gap, runs, interval)
    return [
        Proposal(
            reason=reason,
            task_name=task.name,
            name=rule.name,
            lookback_hours=hours,
            grounds=grounds,
            rule_id=rule.rule_id,
            was_hours=rule.lookback_hours,
        )
        for rule in task.rules
        if (reason := _misfit(task.gap, rule, hours)) is not None
    ]


def needed_hours(gap: timedelta, runs: Sequence[Run], interval: timedelta | None) -> float:
    """Return the lookback, in hours, of a task with this longest gap between runs.

    The gap, what 95 % of the runs waited and took at most, and the time between two checks;
    rounded up: to quarters up to 6 hours, to halves up to 48.
    """
    parts = [gap, interval or DEFAULT_INTERVAL, _usual(runs, "delay"), _usual(runs, "duration")]
    needed = sum((part for part in parts if part is not None), timedelta(0)) / timedelta(hours=1)
    parts_of_an_hour = next((parts for most, parts in _STEPS if needed <= most), 1)
    return min(ceil(needed * parts_of_an_hour) / parts_of_an_hour, float(MAX_LOOKBACK_HOURS))


def _misfit(gap: timedelta, rule: Watched, hours: float) -> Reason | None:
    """hours: what the rule would look back if it were new, or less."""
    if rule.lookback_hours < min(_hours(gap), MAX_LOOKBACK_HOURS):
        return Reason.TOO_SHORT
    much = max(_FAR_TOO_LONG * hours, hours + _MUCH_LONGER)
    # One variant of a task may come less often than the task.
    is_long = rule.lookback_hours >= much and not rule.has_context
    return Reason.SCHEDULE_CHANGED if is_long else None


def _hours(length: timedelta) -> float:
    return length / timedelta(hours=1)


def _has_run(runs: Sequence[Run], rule: Watched, now: datetime) -> bool:
    return any(_hours(now - run.started_at) <= rule.lookback_hours for run in runs)


def _new(task: Task, gap: timedelta, runs: Sequence[Run], interval: timedelta | None) -> Proposal:
    statuses, why = _expected(runs)
    # People know a task by the name of its schedule.
    name = task.entries[0][0] if len(task.entries) == 1 else task.name
    return Proposal(
        reason=Reason.STEADY if task.gap is None else Reason.SCHEDULED,
        task_name=task.name,
        name=name,
        lookback_hours=needed_hours(gap, runs, interval),
        expected_statuses=statuses,
        grounds=(*_lookback_grounds(task, gap, runs, interval), why),
    )


def _gone(task: Task, rule: Watched) -> Proposal:
    return Proposal(
        reason=Reason.GONE,
        task_name=task.name,
        name=rule.name,
        lookback_hours=rule.lookback_hours,
        rule_id=rule.rule_id,
        was_hours=rule.lookback_hours,
    )


def _usual(runs: Sequence[Run], what: str) -> timedelta | None:
    known = [value for run in runs if (value := getattr(run, what)) is not None]
    return percentile(known) if known else None


def _lookback_grounds(
    task: Task, gap: timedelta, runs: Sequence[Run], interval: timedelta | None
) -> Iterator[Ground]:
    for text in _lookback_texts(task, gap, runs, interval):
        yield Ground(field="lookback_hours", text=text)


def _lookback_texts(
    task: Task, gap: timedelta, runs: Sequence[Run], interval: timedelta | None
) -> Iterator[Text]:
    if task.gap is None:
        yield _(
            "up to {gap} passed between its last {count} runs", gap=duration(gap), count=len(runs)
        )
    else:
        schedules = "; ".join(dict.fromkeys(schedule for _name, schedule in task.entries))
        yield _(
            "its schedule leaves up to {gap} between two runs ({schedules})",
            gap=duration(gap),
            schedules=schedules,
        )
    delay, took = _usual(runs, "delay"), _usual(runs, "duration")
    yield (
        _("no wait for a worker is known yet")
        if delay is None
        # xgettext:no-python-format
        else _("95 % of its runs waited at most {delay} for a worker", delay=duration(delay))
    )
    yield (
        _("no duration is known yet")
        if took is None
        # xgettext:no-python-format
        else _("95 % of its runs took at most {took}", took=duration(took))
    )
    yield (
        _("no check is scheduled, {interval} are assumed", interval=duration(DEFAULT_INTERVAL))
        if interval is None
        else _("a check comes every {interval}", interval=duration(interval))
    )


def _expected(runs: Sequence[Run]) -> tuple[tuple[Status, ...], Ground]:
    """Return the statuses that are fine, by how the task ends; failing is never fine."""
    ends = Counter(run.status for run in runs if run.status in FINISHED)
    total, cancelled = ends.total(), ends[Status.CANCELLED]
    statuses: tuple[Status, ...] = (Status.COMPLETED,)
    if not total:
        text = _("it has not been seen to end yet")
    elif not ends[Status.COMPLETED]:
        text = ngettext(
            "its last run did not complete: the rule alerts until one does",
            "none of its last {count} runs completed: the rule alerts until one does",
            total,
        )
    else:
        text = _(
            "{good} of its last {count} runs completed", good=ends[Status.COMPLETED], count=total
        )
    if cancelled >= max(_FEWEST_CANCELLED, _OFTEN_CANCELLED * total):
        statuses = (Status.COMPLETED, Status.CANCELLED)
        text = _("{text}, {count} were cancelled", text=text, count=cancelled)
    return statuses, Ground(field="expected_statuses", text=text)
