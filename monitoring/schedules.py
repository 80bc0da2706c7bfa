"""When periodic tasks run: what Celery's own schedule objects hold, laid out over years.

Asking those objects for run after run is exact and slow: an every-minute task has a million runs in
two years. So the runs of a crontab are counted from what Celery has read out of it, and a test
holds them against what Celery decides, minute by minute around every change of the clock.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Sequence
from copy import copy
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from heapq import merge
from itertools import groupby, islice, pairwise
from statistics import median_low
from typing import Any, NamedTuple

from celery import current_app
from django.db import connections
from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask, SolarSchedule

from monitoring.core.crontabs import Crontab, crontab_runs, days_of_change
from monitoring.models.raw_values import as_utc

logger = logging.getLogger("monitoring.schedules")

TWO_YEARS = timedelta(days=731)
"""Holds every gap of all schedules but those that skip years."""
_TEN_YEARS = timedelta(days=3653)
_WEEK = timedelta(days=7)
_DAY = timedelta(days=1)
_QUARTER = timedelta(minutes=15)
_ASKED_BY_KEY = 500
"""Of more schedules, all of their kind are read."""
_MOST_USUAL = 2000
"""Runs from which the usual wait is told."""


class Schedule(NamedTuple):
    """One schedule of a periodic task as plain values, to be found again in a cache."""

    kind: str
    """`interval`, `crontab` or `solar`."""
    values: tuple[Any, ...]
    """The fields of django-celery-beat's model of that kind, in the order of `_FIELDS`."""
    begins: datetime | None = None
    ends: datetime | None = None


_MODELS = {"interval": IntervalSchedule, "crontab": CrontabSchedule, "solar": SolarSchedule}
_FIELDS = {
    "interval": ("every", "period"),
    "crontab": ("minute", "hour", "day_of_week", "day_of_month", "month_of_year", "timezone"),
    "solar": ("event", "latitude", "longitude"),
}


class Entry(NamedTuple):
    """A periodic task that runs regularly."""

    name: str
    task: str
    schedule: Schedule
    text: str
    """The schedule in words, or as a crontab with its time zone."""


def entries(now: datetime, task_names: Iterable[str] | None = None) -> list[Entry]:
    """Return what beat runs regularly, by name; of some tasks only if they are given.

    One query, and one for each kind of schedule among them.
    Disabled periodic tasks, those that run once (clocked ones do) and those that have expired are
    left out, and so are those whose schedule cannot be read. now: aware.
    """
    rows = PeriodicTask.objects.filter(enabled=True, one_off=False, clocked=None)
    rows = rows.filter(Q(expires=None) | Q(expires__gt=now)).order_by("name")
    wanted = None if task_names is None else set(task_names)
    if wanted is not None:
        rows = rows.filter(task__in=sorted(wanted))
    # MariaDB compares without regard to case.
    return [entry for entry in _read(rows) if wanted is None or entry.task in wanted]


def of_periodic_task(name: str) -> Schedule | None:
    """Return the schedule of one periodic task, enabled or not; None: nobody can read it."""
    found = (entry for entry in _read(PeriodicTask.objects.filter(name=name)))
    return next((entry.schedule for entry in found if entry.name == name), None)


def read(row: PeriodicTask) -> Schedule | None:
    """Return the schedule of a periodic task; None: it has none that comes again and again."""
    for kind in _MODELS:
        model = getattr(row, kind)
        if model is not None:
            schedule = of(model)._replace(begins=row.start_time, ends=row.expires)
            return schedule if _celery(kind, schedule.values) is not None else None
    return None


def _read(rows: QuerySet[PeriodicTask]) -> Iterator[Entry]:
    """Yield those that come again and again. As values: making rows of thousands takes seconds.

    Each schedule is read once, however many periodic tasks share it.
    """
    columns = [f"{kind}_id" for kind in _MODELS]
    # Times as text: Django converts each by itself, also the many that are null.
    times = {"begins": Cast("start_time", TextField()), "ends": Cast("expires", TextField())}
    found = list(rows.annotate(**times).values_list("name", "task", *times, *columns))
    zone = connections[rows.db].timezone
    known = [
        _usable(kind, {row[place] for row in found} - {None}, rows.db)
        for place, kind in enumerate(_MODELS, start=4)
    ]
    for name, task, begins, ends, *pks in found:
        for pk, usable in zip(pks, known, strict=True):
            if pk in usable:
                schedule, text = usable[pk]
                if begins is not None or ends is not None:
                    schedule = schedule._replace(
                        begins=as_utc(begins, zone) if begins else None,
                        ends=as_utc(ends, zone) if ends else None,
                    )
                yield Entry(name, task, schedule, text)
                break


def _usable(kind: str, pks: Collection[int], using: str) -> dict[int, tuple[Schedule, str]]:
    """Return the schedules of a kind that beat could use, with their texts, by primary key."""
    if not pks:
        return {}
    rows = _MODELS[kind].objects.using(using).order_by()
    if len(pks) <= _ASKED_BY_KEY:
        rows = rows.filter(pk__in=pks)
    read = ((pk, tuple(values)) for pk, *values in rows.values_list("pk", *_FIELDS[kind]))
    return {
        pk: (Schedule(kind, values), _text(kind, values))
        for pk, values in read
        if _celery(kind, values) is not None
    }


@lru_cache(maxsize=4096)
def _text(kind: str, values: tuple[Any, ...]) -> str:
    """Return a schedule as django-celery-beat shows it, less its legend of a crontab."""
    return str(_model(kind, values)).replace(" (m/h/dM/MY/d)", "")


def _model(kind: str, values: tuple[Any, ...]) -> Any:
    return _MODELS[kind](**dict(zip(_FIELDS[kind], values, strict=True)))


def of(model: IntervalSchedule | CrontabSchedule | SolarSchedule) -> Schedule:
    """Return a row of django-celery-beat's as plain values."""
    kind = next(kind for kind, one in _MODELS.items() if isinstance(model, one))
    return Schedule(kind, tuple(getattr(model, field) for field in _FIELDS[kind]))


@lru_cache(maxsize=4096)
def _celery(kind: str, values: tuple[Any, ...]) -> Any:
    """Return Celery's schedule object, or None for one that beat could not use either."""
    try:
        schedule = _model(kind, values).schedule
        is_usable = kind != "interval" or schedule.run_every > timedelta(0)
        return schedule if is_usable else None
    except Exception as error:  # 30 February, a crontab that is none, the sun without ephem
        logger.debug("a schedule cannot be read: %s %s: %s", kind, values, error)
        return None


def next_run(schedule: Schedule, at: datetime) -> datetime | None:
    """Return when it comes after a run at that time; None: not within two years. at: aware."""
    begins = max(at, schedule.begins or at)
    found = next(_runs(schedule, begins, begins + TWO_YEARS), None)
    return None if found is None else datetime.fromtimestamp(found, UTC)


def runs_between(
    schedules: Iterable[Schedule], since: datetime, until: datetime
) -> Iterator[datetime]:
    """Yield when the schedules of a task come after a run at `since` and not after `until`."""
    for run in merge(*(_runs(one, since, until) for one in schedules)):
        at = datetime.fromtimestamp(run, UTC)
        if at > until:
            return
        yield at


def largest_gap(
    schedules: Iterable[Schedule], since: datetime, until: datetime
) -> timedelta | None:
    """Return the longest time between two runs, the earlier of which comes in a stretch of time.

    All of these schedules run the same task. An interval counts from its last run, so that it may
    fall anywhere between the others: the worst counts. None: it does not run twice. since, until:
    aware.
    """
    found = set(schedules)
    # The same in one order, to be found again; most tasks have one, which need not be written out.
    in_order = tuple(found) if len(found) < 2 else tuple(sorted(found, key=repr))
    return _largest_gap(in_order, since, until)


@lru_cache(maxsize=4096)
def _largest_gap(
    schedules: Sequence[Schedule], since: datetime, until: datetime
) -> timedelta | None:
    schedules = [one for one in schedules if _celery(one.kind, one.values) is not None]
    intervals = [one for one in schedules if one.kind == "interval"]
    always = [
        _longest_interval(one.values, since, until)
        for one in intervals
        if not _is_cut(one, since, until)
    ]
    found = min(always, default=None)
    points = [one for one in schedules if one.kind != "interval"]
    gap = _largest_between(points, since, until)
    if gap is not None:
        return gap if found is None else min(found, gap)
    if found is None and intervals:
        return max(_longest_interval(one.values, since, until) for one in intervals)
    return found


def _is_cut(schedule: Schedule, since: datetime, until: datetime) -> bool:
    """Say that it begins or ends inside a stretch of time."""
    begins, ends = schedule.begins or since, schedule.ends or until
    return begins > since or ends < until


def _largest_between(
    schedules: Sequence[Schedule], since: datetime, until: datetime
) -> timedelta | None:
    largest = -1
    for start, end in _stretches(schedules, since, until):
        last = end.timestamp()
        for earlier, later in pairwise(merge(*(_runs(one, start, end) for one in schedules))):
            if earlier > last:
                break
            if later - earlier > largest:
                largest = later - earlier
    return timedelta(seconds=largest) if largest >= 0 else None


def _stretches(
    schedules: Sequence[Schedule], since: datetime, until: datetime
) -> list[tuple[datetime, datetime]]:
    """Return where to look: what comes every day differs only where the clocks change."""
    if not all(_is_daily(one) and not _is_cut(one, since, until) for one in schedules):
        return [(since, until)]
    zones = {_celery(one.kind, one.values).tz for one in schedules}
    days = {day for zone in zones for day in days_of_change(zone, since, until)}
    return [(day - 2 * _DAY, day + 3 * _DAY) for day in sorted({since + 2 * _DAY, *days})]


def _is_daily(schedule: Schedule) -> bool:
    if schedule.kind != "crontab":
        return False
    found = _celery(schedule.kind, schedule.values)
    days = (found.day_of_week, found.day_of_month, found.month_of_year)
    return tuple(map(len, days)) == (7, 31, 12)


def coming_gap(schedules: Sequence[Schedule], now: datetime) -> timedelta | None:
    """Return the largest gap of the coming two years; of ten, if it does not run twice in those."""
    if not schedules:
        return None
    # From midnight, so that it is counted once a day.
    since = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    gap = largest_gap(schedules, since, since + TWO_YEARS)
    return gap if gap is not None else largest_gap(schedules, since, since + _TEN_YEARS)


def usual_gap(schedules: Sequence[Schedule], now: datetime) -> timedelta | None:
    """Return the time between two runs that is usual in the coming week, nights and days off apart.

    What runs at the same instant counts once. None: it never runs twice. now: aware.
    """
    schedules = list(dict.fromkeys(schedules))
    if (often := _often(schedules, now)) is not None:
        return often
    merged = merge(*(_runs(one, now, now + _WEEK) for one in schedules))
    runs = (run for run, _same in groupby(merged))
    gaps = [later - earlier for earlier, later in pairwise(islice(runs, _MOST_USUAL))]
    return timedelta(seconds=median_low(gaps)) if gaps else coming_gap(schedules, now)


def _often(schedules: Sequence[Schedule], now: datetime) -> timedelta | None:
    """Return the interval of a schedule that has nothing else, which need not be asked for runs.

    None: it is another kind of schedule, begins or ends in this week, or comes so rarely that a
    change of the clock counts.
    """
    if len(schedules) != 1:
        return None
    only = schedules[0]
    if only.kind != "interval" or _is_cut(only, now, now + _WEEK):
        return None
    celery = _celery(only.kind, only.values)
    if celery is None or celery.run_every.microseconds or celery.run_every > _DAY:
        return None
    every: timedelta = celery.run_every
    return every


def _runs(schedule: Schedule, since: datetime, until: datetime) -> Iterator[int]:
    """Yield the runs that follow one at `since`, in seconds since 1970, up to one after `until`."""
    celery = _celery(schedule.kind, schedule.values)
    if celery is None:
        return
    since = max(since, schedule.begins or since)
    ends = schedule.ends.timestamp() if schedule.ends else None
    last = until.timestamp()
    runs = _crontab_runs if schedule.kind == "crontab" else _asked_runs
    # The one after `until` may be as far away again.
    for run in runs(celery, since, until + (until - since)):
        if ends is not None and run > ends:
            return
        yield run
        if run > last:
            return


def _crontab_runs(found: Any, since: datetime, until: datetime) -> Iterator[int]:
    days = (found.day_of_week, found.day_of_month, found.month_of_year)
    return crontab_runs(Crontab(found.minute, found.hour, *days, found.tz), since, until)


def _asked_runs(schedule: Any, since: datetime, until: datetime) -> Iterator[int]:
    """Yield runs by asking Celery for one after the other."""
    schedule, at = copy(schedule), since
    while True:
        wait = _wait(schedule, at)
        if wait <= timedelta(0):
            return
        at += wait
        if at > until:
            return
        yield int(at.timestamp())


def _wait(schedule: Any, at: datetime) -> timedelta:
    """Return how long beat waits after a run; not above 0: it does not come again.

    schedule: nobody else's, because it is told what time it is.
    """
    at = at.astimezone(current_app.timezone)
    schedule.nowfun = lambda: at
    try:
        wait: timedelta = schedule.remaining_estimate(at)
    except Exception as error:  # where the sun never rises
        logger.debug("a schedule cannot be asked: %s: %s", schedule, error)
        return timedelta(0)
    return wait


def _longest_interval(values: tuple[Any, ...], since: datetime, until: datetime) -> timedelta:
    """Return the longest wait of an interval: some releases of Celery count it by the clock."""
    schedule = copy(_celery("interval", values))
    half = schedule.run_every / 2
    moments = [since]
    for day in days_of_change(current_app.timezone, since, until):
        moments += [day + number * _QUARTER - half for number in range(100)]
    return max(_wait(schedule, at) for at in moments)
