"""The runs of a crontab over years, in its own time zone."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import date, datetime, timedelta, tzinfo
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

_DAY = timedelta(days=1)
_DAY_SECONDS = 86_400


class Crontab(NamedTuple):
    """When to run, as Celery reads it: every number that fits."""

    minutes: Collection[int]
    hours: Collection[int]
    days_of_week: Collection[int]
    """0 is Sunday."""
    days_of_month: Collection[int]
    months: Collection[int]
    zone: tzinfo


def crontab_runs(crontab: Crontab, since: datetime, until: datetime) -> Iterator[int]:
    """Yield the runs of a crontab that follow one at `since`, in seconds since 1970.

    since, until: aware.

    As Celery does: it goes from the clock time of the last run to the next one that fits. A clock
    time that is skipped in spring comes as much later; one that is there twice in autumn counts as
    the first, so that nothing runs in the hour that is repeated.
    """
    zone = crontab.zone
    times = sorted((hour, minute) for hour in crontab.hours for minute in crontab.minutes)
    seconds = [hour * 3600 + minute * 60 for hour, minute in times]
    began = since.timestamp()
    clock = since.astimezone(zone).replace(tzinfo=None, second=0, microsecond=0)
    first, end = clock.date(), until.astimezone(zone).date()
    midnights = _midnights(zone, first, (end - first).days + 2)
    for number, (midnight, next_midnight) in enumerate(pairwise(midnights)):
        day = first + number * _DAY
        if (
            day.day not in crontab.days_of_month
            or day.month not in crontab.months
            or day.isoweekday() % 7 not in crontab.days_of_week
        ):
            continue
        if number and next_midnight - midnight == _DAY_SECONDS:
            for some in seconds:
                yield midnight + some
            continue
        for hour, minute in times:
            wanted = datetime(day.year, day.month, day.day, hour, minute)  # noqa: DTZ001 - a clock
            if wanted <= clock:
                continue
            at = wanted.replace(tzinfo=zone).timestamp()
            if at > began:
                yield int(at)
                clock = datetime.fromtimestamp(at, zone).replace(tzinfo=None)


@lru_cache(maxsize=256)
def _midnights(zone: tzinfo, first: date, count: int) -> Sequence[int]:
    days = (first + number * _DAY for number in range(count))
    return [int(datetime(at.year, at.month, at.day, tzinfo=zone).timestamp()) for at in days]


@lru_cache(maxsize=256)
def days_of_change(zone: tzinfo, since: datetime, until: datetime) -> Sequence[datetime]:
    """Return the days, counted from a whole hour, in which the clocks of a zone change."""
    found = []
    day = since.replace(minute=0, second=0, microsecond=0)
    while day < until:
        if day.astimezone(zone).utcoffset() != (day + _DAY).astimezone(zone).utcoffset():
            found.append(day)
        day += _DAY
    return found
