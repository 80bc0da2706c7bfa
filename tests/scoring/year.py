"""A year of simulated executions with known incidents; the same for the same seed.

Tasks run by schedules of a zone with daylight saving. Most runs start within moments, some late
because a worker was busy: that is no incident. Incidents are runs that failed, runs that never
came, runs that hung and kept the others waiting, and outages in which nothing ran.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from operator import attrgetter
from random import Random
from zoneinfo import ZoneInfo

from monitoring import schedules
from monitoring.core.statuses import Status
from monitoring.core.values import Execution

ZONE = ZoneInfo("Europe/Berlin")
START = datetime(2025, 1, 1, tzinfo=UTC)
END = datetime(2026, 1, 1, tzinfo=UTC)
"""Clocks change on 30 March and 26 October."""
SCHEDULE_CHANGES = datetime(2025, 7, 1, tzinfo=UTC)

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
Due = Callable[[], Iterator[datetime]]


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """When a task is due, and how it usually goes."""

    name: str
    due: Due
    beat: schedules.Schedule
    """The same as beat has it, and as whoever asks beat is told."""
    beat_later: schedules.Schedule | None = None
    """What it is changed to in the middle of the year."""
    takes: timedelta
    late: timedelta
    """How late a run of a busy day may come, which is no incident."""
    often_late: float = 0.02
    in_guideline: bool = True
    """The documented table has a row for how often it runs."""

    def in_force(self, now: datetime) -> schedules.Schedule:
        """Return what beat has at a time; changes to come are not known to it."""
        is_changed = self.beat_later is not None and now >= SCHEDULE_CHANGES
        return self.beat_later if self.beat_later is not None and is_changed else self.beat


@dataclass(frozen=True, kw_only=True)
class Known:
    """One incident, from when something was wrong until it was fine again."""

    kind: str
    start: datetime
    end: datetime


@dataclass(frozen=True, kw_only=True)
class Told:
    """What happened to one task in the year."""

    schedule: Schedule
    due: list[datetime] = field(default_factory=list)
    """When each run was, and when its message was sent if there was one."""
    executions: list[Execution] = field(default_factory=list)
    """By start; the primary key of each is its number among those that were due."""
    wrong: dict[int, str] = field(default_factory=dict)
    """What went wrong with a run, by its number."""
    outages: list[tuple[datetime, datetime]] = field(default_factory=list)
    incidents: list[Known] = field(default_factory=list)


def every(length: timedelta, first: timedelta = timedelta(0)) -> Due:
    def due() -> Iterator[datetime]:
        at = START + first
        while at < END:
            yield at
            at += length

    return due


def at_local(*times: time, weekdays: range = range(7)) -> Due:
    """Return when a crontab of the zone is due."""

    def due() -> Iterator[datetime]:
        day = date(START.year, 1, 1)
        while day.year == START.year:
            if day.weekday() in weekdays:
                for at in times:
                    yield datetime.combine(day, at, ZONE).astimezone(UTC)
            day += DAY

    return due


def changed(before: Due, after: Due) -> Due:
    def due() -> Iterator[datetime]:
        yield from (at for at in before() if at < SCHEDULE_CHANGES)
        yield from (at for at in after() if at >= SCHEDULE_CHANGES)

    return due


def interval(every: int, period: str) -> schedules.Schedule:
    return schedules.Schedule("interval", (every, period))


def crontab(minute: str, hour: str, weekday: str = "*") -> schedules.Schedule:
    """Return a crontab of the zone."""
    return schedules.Schedule("crontab", (minute, hour, weekday, "*", "*", ZONE))


WORKING = range(5)
OFFICE = [time(hour) for hour in range(8, 19)]
SCHEDULES = (
    Schedule(
        name="hourly",
        due=every(HOUR, 5 * MINUTE),
        beat=interval(1, "hours"),
        takes=4 * MINUTE,
        late=25 * MINUTE,
    ),
    Schedule(
        name="every two hours",
        due=every(2 * HOUR),
        beat=interval(2, "hours"),
        takes=15 * MINUTE,
        late=40 * MINUTE,
    ),
    Schedule(
        name="daily at eight",
        due=at_local(time(8)),
        beat=crontab("0", "8"),
        takes=30 * MINUTE,
        late=40 * MINUTE,
    ),
    Schedule(
        name="nightly at half past two",
        due=at_local(time(2, 30)),
        beat=crontab("30", "2"),
        takes=HOUR,
        late=HOUR / 2,
    ),
    Schedule(
        name="weekly",
        due=at_local(time(9), weekdays=range(1)),
        beat=crontab("0", "9", "1"),
        takes=HOUR,
        late=45 * MINUTE,
    ),
    Schedule(
        name="every half hour",
        due=every(30 * MINUTE, 10 * MINUTE),
        beat=interval(30, "minutes"),
        takes=3 * MINUTE,
        late=12 * MINUTE,
        in_guideline=False,
    ),
    Schedule(
        name="on working days",
        due=at_local(time(7), weekdays=WORKING),
        beat=crontab("0", "7", "1-5"),
        takes=20 * MINUTE,
        late=40 * MINUTE,
        in_guideline=False,
    ),
    Schedule(
        name="hourly in office hours",
        due=at_local(*OFFICE, weekdays=WORKING),
        beat=crontab("0", "8-18", "1-5"),
        takes=5 * MINUTE,
        late=20 * MINUTE,
        in_guideline=False,
    ),
    Schedule(
        name="daily behind another",
        due=at_local(time(5)),
        beat=crontab("0", "5"),
        takes=20 * MINUTE,
        late=55 * MINUTE,
        often_late=0.6,
        in_guideline=False,
    ),
    Schedule(
        name="two-hourly, later six-hourly",
        due=changed(every(2 * HOUR, HOUR), every(6 * HOUR, HOUR)),
        beat=interval(2, "hours"),
        beat_later=interval(6, "hours"),
        takes=10 * MINUTE,
        late=40 * MINUTE,
        in_guideline=False,
    ),
)


@cache
def simulate(seed: int = 1) -> list[Told]:
    """Return what happened to each task."""
    outages = list(_outages(Random(seed)))
    return [_run(one, outages, Random(seed * 1000 + n)) for n, one in enumerate(SCHEDULES)]


def _outages(chance: Random) -> Iterator[tuple[datetime, datetime]]:
    """Yield when no worker ran: six times in the year, for an hour and a half to 36 hours."""
    for month in (2, 4, 5, 8, 10, 12):
        start = datetime(2025, month, chance.randint(2, 27), chance.randint(0, 23), tzinfo=UTC)
        yield start, start + chance.uniform(1.5, 36) * HOUR


def _run(schedule: Schedule, outages: list[tuple[datetime, datetime]], chance: Random) -> Told:
    due = list(schedule.due())
    wrong = _wrong(len(due), chance)
    told = Told(schedule=schedule, due=due, wrong=wrong, outages=outages)
    free_at = START
    """A run that hangs keeps those after it waiting until then."""
    broken: tuple[str, datetime] | None = None
    """What went wrong first, since the last good run."""
    for number, at in enumerate(due):
        if any(start <= at < end for start, end in outages):
            wrong[number] = "outage"
        kind = wrong.get(number, "")
        if kind and broken is None:
            broken = kind, at
        if kind in ("outage", "missed"):
            continue
        start = max(at, free_at) + _delay(schedule, chance)
        finish = start + schedule.takes * chance.uniform(0.7, 1.3)
        if kind == "hung":
            finish = free_at = start + _gap_after(due, number) * chance.uniform(2.5, 4)
        told.executions.append(
            Execution(
                pk=number,
                task_name=schedule.name,
                status=Status.STOPPED if kind == "failed" else Status.COMPLETED,
                started_at=start,
                finished_at=finish,
            )
        )
        if not kind and broken is not None:
            told.incidents.append(Known(kind=broken[0], start=broken[1], end=finish))
            broken = None
    if broken is not None:
        told.incidents.append(Known(kind=broken[0], start=broken[1], end=END))
    told.executions.sort(key=attrgetter("started_at", "pk"))
    return told


def _gap_after(due: list[datetime], number: int) -> timedelta:
    return due[number + 1] - due[number] if number + 1 < len(due) else DAY


def _wrong(count: int, chance: Random) -> dict[int, str]:
    """Return the runs that fail, never come or hang, by number: 13 incidents, some of them long."""
    wrong: dict[int, str] = {}
    for kind, incidents in (("failed", 7), ("missed", 5)):
        for number in chance.sample(range(count), incidents):
            for more in range(chance.choice((1, 1, 2, 3))):
                wrong[number + more] = kind
    wrong[chance.randrange(count // 6, count)] = "hung"
    return wrong


def _delay(schedule: Schedule, chance: Random) -> timedelta:
    if chance.random() < schedule.often_late:
        return schedule.late * chance.uniform(0.2, 1)
    return timedelta(seconds=chance.uniform(1, 50))
