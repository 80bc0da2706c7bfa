"""The runs of a schedule over years, held against what Celery itself decides."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from celery import current_app
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    SolarSchedule,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring import schedules
from monitoring.schedules import Schedule, coming_gap, next_run, usual_gap
from tests.factories import NOW

HOUR = timedelta(hours=1)
DAY = 24 * HOUR
ZONES = (
    "Europe/Berlin",
    "America/New_York",
    "Africa/Cairo",  # changes at midnight
    "Australia/Lord_Howe",  # by half an hour, in the other half of the year
    "America/Santiago",
)
CRONTABS = (
    ("*", "*"),
    ("*/15", "*"),
    ("30", "*"),
    ("0", "*/2"),
    ("30", "2"),
    ("0,45", "0-3"),
    ("15", "1,23"),
    ("59", "1"),
)


def crontab(
    minute: str = "0",
    hour: str = "*",
    zone: str = "UTC",
    *,
    day_of_week: str = "*",
    day_of_month: str = "*",
    month_of_year: str = "*",
    **limits: datetime,
) -> Schedule:
    days = (day_of_week, day_of_month, month_of_year)
    return Schedule("crontab", (minute, hour, *days, ZoneInfo(zone)), **limits)


def interval(every: int, period: str = "hours", **limits: datetime) -> Schedule:
    return Schedule("interval", (every, period), **limits)


def changes(zone: str) -> Iterator[datetime]:
    """Yield when the clocks of a zone change in the coming two years, to the minute."""
    at, here = NOW, ZoneInfo(zone)
    while at < NOW + schedules.TWO_YEARS:
        if at.astimezone(here).utcoffset() != (at + HOUR).astimezone(here).utcoffset():
            minutes = (at + number * HOUR / 60 for number in range(1, 61))
            before = at.astimezone(here).utcoffset()
            yield next(one for one in minutes if one.astimezone(here).utcoffset() != before)
        at += HOUR


def decided_by_celery(schedule: Schedule, start: datetime, hours: int) -> list[datetime]:
    """Return when beat would send, if it looked once a minute: after a run at `start`."""
    celery = CrontabSchedule(
        **dict(zip(schedules._FIELDS["crontab"], schedule.values, strict=True))
    )
    asked, last, runs = celery.schedule, start, []
    for minute in range(1, hours * 60 + 1):
        now = start + timedelta(minutes=minute)
        asked.nowfun = lambda now=now: now
        if asked.is_due(last)[0]:
            runs.append(now)
            last = now
    return runs


def counted(schedule: Schedule, start: datetime, hours: int) -> list[datetime]:
    end = start + hours * HOUR
    runs = (datetime.fromtimestamp(at, UTC) for at in schedules._runs(schedule, start, end))
    return [run for run in runs if run <= end]


@pytest.mark.matrix
@pytest.mark.parametrize("zone", ZONES)
def test_around_every_change_of_the_clock_the_runs_are_those_that_celery_decides(
    zone: str,
) -> None:
    edges = list(changes(zone))
    assert len(edges) >= 3

    for edge in edges:
        for minute, hour in CRONTABS:
            schedule = crontab(minute, hour, zone)
            start = edge - 4 * HOUR
            wanted = decided_by_celery(schedule, start, 9)
            assert counted(schedule, start, 9) == wanted, (edge, minute, hour)


def fields(low: int, high: int) -> st.SearchStrategy[str]:
    numbers = st.lists(st.integers(low, high), min_size=1, max_size=3, unique=True)
    some = numbers.map(lambda found: ",".join(map(str, sorted(found))))
    return st.just("*") | some | st.integers(2, 9).map(lambda step: f"*/{step}")


@settings(max_examples=min(60, settings.default.max_examples))
@given(
    fields(0, 59),
    fields(0, 23),
    fields(0, 6),
    fields(1, 28),
    st.sampled_from(ZONES),
    st.integers(0, 731 * 24 * 60),
)
def test_run_after_run_is_the_one_that_celery_would_wait_for(
    minute: str, hour: str, day_of_week: str, day_of_month: str, zone: str, minutes: int
) -> None:
    here = ZoneInfo(zone)
    start = NOW + timedelta(minutes=minutes)
    if start.astimezone(here).fold:
        start += HOUR  # nothing runs in that hour, so no run follows one in it
    schedule = crontab(minute, hour, zone, day_of_week=day_of_week, day_of_month=day_of_month)
    celery = schedules._celery(schedule.kind, schedule.values)
    found = [
        datetime.fromtimestamp(at, UTC)
        for at, _ in zip(
            schedules._runs(schedule, start, start + schedules.TWO_YEARS), range(20), strict=False
        )
    ]

    for earlier, later in pairwise([start, *found]):
        assert earlier + schedules._wait(schedules.copy(celery), earlier) == later


class TestTheLargestGap:
    @pytest.mark.parametrize(
        ("schedule", "gap"),
        [
            (crontab("0", "8"), DAY),
            (crontab("0", "8", "Europe/Berlin"), DAY + HOUR),
            (crontab("30", "2", "Europe/Berlin"), DAY + HOUR),
            (crontab("*/15", "*", "Europe/Berlin"), HOUR + HOUR / 4),
            (crontab("*", "*"), HOUR / 60),
            (crontab("*/7", "*"), 7 * HOUR / 60),
            (crontab("0", "9", day_of_week="1-5"), 3 * DAY),
            (crontab("0", "9-17", day_of_week="mon-fri"), 2 * DAY + 16 * HOUR),
            (crontab("0", "0", day_of_month="1"), 31 * DAY),
            (crontab("0", "0", day_of_month="31"), 61 * DAY),
            (crontab("0", "0", day_of_month="1", month_of_year="1"), 366 * DAY),
            (crontab("0", "0", day_of_month="29", month_of_year="2"), 1461 * DAY),
            (crontab("0", "0", day_of_month="13", day_of_week="5"), 427 * DAY),
            (interval(5, "minutes"), HOUR / 12),
            (interval(1, "days"), DAY),
        ],
        ids=lambda value: "" if isinstance(value, timedelta) else " ".join(map(str, value[1])),
    )
    def test_of_one_schedule(self, schedule: Schedule, gap: timedelta) -> None:
        assert coming_gap([schedule], NOW) == gap

    def test_of_several_schedules_is_that_of_all_their_runs_together(self) -> None:
        workdays, weekend = (
            crontab("0", "9", day_of_week="1-5"),
            crontab("0", "15", day_of_week="6"),
        )

        assert coming_gap([workdays, weekend], NOW) == DAY + 18 * HOUR
        assert coming_gap([crontab("0", "6"), crontab("0", "18")], NOW) == 12 * HOUR

    def test_of_an_interval_beside_others_is_the_worst_that_its_last_run_may_make(self) -> None:
        assert coming_gap([interval(6), crontab("0", "8")], NOW) == 6 * HOUR
        assert coming_gap([interval(30), crontab("0", "8")], NOW) == DAY
        assert coming_gap([interval(6), interval(4)], NOW) == 4 * HOUR

    def test_grows_when_one_of_two_ends(self) -> None:
        ending = crontab("0", "*", ends=NOW + 100 * DAY)

        assert coming_gap([ending], NOW) == HOUR
        assert coming_gap([ending, crontab("0", "0")], NOW) == DAY
        assert coming_gap([interval(1, ends=NOW + 100 * DAY), crontab("0", "0")], NOW) == DAY
        assert coming_gap([interval(1, ends=NOW + 100 * DAY)], NOW) == HOUR

    def test_does_not_count_the_time_before_the_first_run(self) -> None:
        assert coming_gap([crontab("0", "*", begins=NOW + 100 * DAY)], NOW) == HOUR

    def test_of_what_never_runs_twice_is_none(self) -> None:
        assert coming_gap([], NOW) is None
        assert coming_gap([crontab("0", "0", day_of_month="30", month_of_year="2")], NOW) is None
        assert coming_gap([crontab("0", "0", ends=NOW + HOUR)], NOW) is None

    def test_of_the_sun_is_more_than_a_day_while_days_grow_shorter(self) -> None:
        sunrise = Schedule("solar", ("sunrise", 52.5, 13.4))

        gap = coming_gap([sunrise], NOW)

        assert gap is not None
        assert DAY + HOUR / 60 < gap < DAY + HOUR / 12

    def test_of_a_polar_night_is_told_as_celery_tells_it(self) -> None:
        sunrise = Schedule("solar", ("sunrise", 78.2, 15.6))

        gap = coming_gap([sunrise], NOW)

        assert gap is not None
        assert gap > 100 * DAY

    def test_of_a_schedule_that_nobody_can_read_is_none(self) -> None:
        assert coming_gap([Schedule("solar", ("midnight", 1, 1))], NOW) is None
        assert coming_gap([crontab("x", "y")], NOW) is None
        assert coming_gap([interval(0)], NOW) is None


@pytest.mark.parametrize(
    ("found", "usual"),
    [
        ([crontab("*/5", "8-18", day_of_week="1-5")], HOUR / 12),
        ([crontab("0", "8,20")], 12 * HOUR),
        ([interval(5, "minutes")], HOUR / 12),
        ([crontab("0", "0", day_of_month="1")], 31 * DAY),
        ([interval(5, "minutes"), interval(5, "minutes")], HOUR / 12),
        ([crontab("*/5", "*"), crontab("*/10", "*")], HOUR / 12),
        ([], None),
    ],
    ids=[
        "workdays",
        "twice a day",
        "interval",
        "monthly",
        "twice the same",
        "at the same time",
        "nothing",
    ],
)
def test_the_usual_gap_leaves_nights_and_days_off_aside(
    found: list[Schedule], usual: timedelta | None
) -> None:
    assert usual_gap(found, NOW) == usual


def test_an_interval_is_counted_by_the_clock_if_celery_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    zone = ZoneInfo("Europe/Berlin")
    app = current_app._get_current_object()
    monkeypatch.setitem(vars(app), "timezone", zone)
    monkeypatch.setattr(schedules, "_wait", by_the_clock)
    schedules._largest_gap.cache_clear()

    assert coming_gap([interval(1)], NOW) == 2 * HOUR
    schedules._largest_gap.cache_clear()


def by_the_clock(schedule: Any, at: datetime) -> timedelta:
    """As Celery before 5.6 counts an interval where the clocks change."""
    local = at.astimezone(current_app.timezone)
    return (local + schedule.run_every).astimezone(UTC) - at


def test_the_next_run_stands_behind_the_begin() -> None:
    schedule = crontab("0", "8", begins=NOW + 10 * DAY)

    assert next_run(schedule, NOW) == datetime(2026, 3, 21, 8, tzinfo=UTC)


@pytest.mark.django_db
class TestTheEntries:
    def store(self, name: str, **columns: Any) -> PeriodicTask:
        every, _ = IntervalSchedule.objects.get_or_create(every=1, period="hours")
        values = {"task": "sync"} | columns
        if not {"crontab", "solar", "clocked"} & set(columns):
            values["interval"] = every
        return PeriodicTask.objects.create(name=name, **values)

    def test_are_what_beat_runs_regularly(self, django_assert_num_queries: Any) -> None:
        self.store("b")
        self.store("a", crontab=CrontabSchedule.objects.create(minute="0", hour="8"))
        self.store(
            "sun", solar=SolarSchedule.objects.create(event="sunset", latitude=1, longitude=1)
        )
        self.store("disabled", enabled=False)
        self.store("once", one_off=True)
        self.store("expired", expires=NOW - HOUR)
        clocked = ClockedSchedule.objects.create(clocked_time=NOW + HOUR)
        self.store("clocked", clocked=clocked, one_off=True)
        never = CrontabSchedule.objects.create(day_of_month="30", month_of_year="2")
        self.store("never", crontab=never)

        for number in range(2):  # that share a schedule, and one each
            self.store(f"c{number}", crontab=CrontabSchedule.objects.create(minute=str(number)))
            self.store(f"d{number}", start_time=NOW)

        with django_assert_num_queries(4):
            found = schedules.entries(NOW)

        assert [entry.name for entry in found] == ["a", "b", "c0", "c1", "d0", "d1", "sun"]
        assert {entry.schedule.begins for entry in found if entry.name[0] == "d"} == {NOW}
        assert [entry.text for entry in found][1] == "every hour"

    def test_are_those_of_some_tasks_if_that_is_asked(self) -> None:
        self.store("a", task="sync")
        self.store("b", task="Sync")

        assert [entry.name for entry in schedules.entries(NOW, ["sync"])] == ["a"]
