"""How often a task runs, and which window is long enough for that."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.core.durations import percentile
from monitoring.core.rhythm import (
    FEWEST_GAPS,
    FEWEST_STEADY,
    Run,
    longest_gap,
    steady_gap,
    suggested_hours,
    usual_gap,
)

START = datetime(2026, 3, 1, tzinfo=UTC)


def starts(*hours: float) -> list[datetime]:
    return [START + timedelta(hours=hour) for hour in hours]


def test_the_longest_gap_is_between_two_starts_that_follow_each_other() -> None:
    assert longest_gap(starts(0, 1, 4, 5)) == timedelta(hours=3)


def test_the_order_in_which_starts_are_told_does_not_matter() -> None:
    assert longest_gap(starts(5, 0, 4, 1)) == timedelta(hours=3)


def test_a_few_starts_show_no_rhythm() -> None:
    assert longest_gap(starts(*range(FEWEST_GAPS))) is None
    assert longest_gap(starts(*range(FEWEST_GAPS + 1))) == timedelta(hours=1)


@pytest.mark.parametrize(
    ("gap", "least", "most"),
    [
        (timedelta(hours=1), 1, 2),
        (timedelta(days=1), 24, 25),
        (timedelta(days=7), 168, 170),
    ],
    ids=["hourly", "daily", "weekly"],
)
def test_the_suggestion_lies_in_the_documented_range(
    gap: timedelta, least: float, most: float
) -> None:
    assert least < suggested_hours(gap) <= most


@given(st.timedeltas(min_value=timedelta(seconds=1), max_value=timedelta(days=400)))
def test_the_suggestion_is_always_longer_than_the_gap_and_never_twice_and_five_minutes(
    gap: timedelta,
) -> None:
    hours = timedelta(hours=suggested_hours(gap))

    assert gap < hours
    assert hours <= 2 * gap + timedelta(minutes=6)


@given(st.integers(1, 400), st.integers(8, 24), st.data())
def test_a_few_missing_runs_do_not_change_what_is_usual(
    minutes: int, count: int, data: st.DataObject
) -> None:
    missing = data.draw(st.sets(st.integers(1, count - 2), max_size=count // 10))
    every = timedelta(minutes=minutes)

    assert usual_gap([START + n * every for n in range(count) if n not in missing]) == every


def test_a_longer_gap_is_usual_if_it_comes_again_every_week() -> None:
    working = [hour for hour in range(21 * 24) if hour // 24 % 7 < 5 and 8 <= hour % 24 <= 18]

    assert usual_gap(starts(*working)) == timedelta(hours=62)
    assert usual_gap(starts(*working[:50])) == timedelta(hours=1)


def hourly(count: int) -> list[datetime]:
    return starts(*range(count))


class TestASteadyRhythm:
    def test_is_told_by_its_longest_gap(self) -> None:
        late = [*hourly(12), START + timedelta(hours=12.5)]

        assert steady_gap(late, START + timedelta(hours=13)) == timedelta(hours=1.5)

    def test_may_be_one_of_several_executions_at_once(self) -> None:
        bursts = [at + timedelta(seconds=s) for at in hourly(12) for s in (0, 1, 2)]

        gap = steady_gap(bursts, START + timedelta(hours=12))

        assert gap == timedelta(minutes=59, seconds=58)

    @pytest.mark.parametrize(
        ("moments", "now"),
        [
            (hourly(FEWEST_STEADY), FEWEST_STEADY),
            ([*hourly(12), START + timedelta(hours=14)], 15),
            (hourly(12), 14),
            ([], 0),
            ([START] * 20, 0),
        ],
        ids=["too few", "a gap", "over", "none", "all at once"],
    )
    def test_needs_runs_that_are_alike_and_go_on(self, moments: list[datetime], now: float) -> None:
        assert steady_gap(moments, START + timedelta(hours=now)) is None


@given(st.lists(st.timedeltas(min_value=timedelta(0)), min_size=1, max_size=200))
def test_a_percentile_is_not_exceeded_by_that_many(durations: list[timedelta]) -> None:
    found = percentile(durations)

    assert found in durations
    assert sum(one <= found for one in durations) >= 0.95 * len(durations)
    assert sum(one < found for one in durations) < 0.95 * len(durations)


def test_the_clocks_of_two_machines_make_nothing_negative() -> None:
    run = Run(START, submitted_at=START + timedelta(1), finished_at=START - timedelta(1))

    assert (run.delay, run.duration) == (timedelta(0), timedelta(0))
