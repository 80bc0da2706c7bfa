"""Which limits on durations and successes a history bears."""

from __future__ import annotations

from datetime import timedelta
from math import comb, floor

import pytest

from monitoring.core.limits import (
    Factor,
    least_factor,
    longest_stretch,
    runs_needed,
    usual_failures,
)
from monitoring.core.statuses import Status
from monitoring.core.values import Execution
from tests.core.building import ago, execution

HOUR = timedelta(hours=1)


def hourly(*minutes: float, status: Status = Status.COMPLETED) -> list[Execution]:
    """Return a run for every hour, each of which took so many minutes."""
    first = ago(hours=len(minutes))
    return [
        execution(
            status,
            first + number * HOUR,
            pk=number,
            finished_at=first + number * HOUR + timedelta(minutes=took),
        )
        for number, took in enumerate(minutes)
    ]


class TestTheRunsOfAWindow:
    @pytest.mark.parametrize(
        ("wanted", "runs"), [(90, 10), (95, 20), (99, 100), (99.9, 1000), (66.7, 5), (1, 5)]
    )
    def test_are_as_many_as_bear_one_that_fails(self, wanted: float, runs: int) -> None:
        assert runs_needed(wanted) == runs

    def test_are_as_many_as_it_takes_to_judge_where_none_may_fail(self) -> None:
        assert runs_needed(100) == runs_needed(100, failures=0.1) == 5

    @pytest.mark.parametrize(
        ("wanted", "failures"), [(85, 0.02), (90, 0.05), (50, 0.3), (97, 0.01)]
    )
    def test_are_as_many_as_seldom_hold_too_many_failures_by_chance(
        self, wanted: float, failures: float
    ) -> None:
        history = 2000
        runs = runs_needed(wanted, failures, history)

        assert runs is not None
        most = floor(runs * (100 - wanted) / 100)
        tail = 1 - sum(
            comb(runs, bad) * failures**bad * (1 - failures) ** (runs - bad)
            for bad in range(most + 1)
        )
        assert 0.02 / history < tail < 1 / history

    def test_are_never_enough_where_more_fail_anyway(self) -> None:
        assert runs_needed(90, failures=0.1) is None


class TestTheUsualFailures:
    def test_are_their_share_of_the_finished(self) -> None:
        runs = hourly(*[6] * 120)
        runs = [
            one._replace(status=Status.STOPPED) if number % 5 == 0 else one
            for number, one in enumerate(runs)
        ]

        assert usual_failures(runs, {Status.COMPLETED}) == 0.2
        assert usual_failures(runs, {Status.COMPLETED, Status.STOPPED}) == 0

    def test_are_not_those_of_a_bad_time(self) -> None:
        bad = hourly(*[6] * 20, status=Status.STOPPED)

        assert usual_failures([*hourly(*[6] * 100), *bad], {Status.COMPLETED}) == 0

    def test_of_few_runs_are_those_of_all(self) -> None:
        runs = [*hourly(*[6] * 6), *hourly(6, 6, status=Status.STOPPED)]

        assert usual_failures(runs, {Status.COMPLETED}) == 0.25
        assert usual_failures([], {Status.COMPLETED}) == 0


class TestTheStretch:
    def test_lasts_from_a_start_to_the_end_of_the_run_after_so_many(self) -> None:
        assert longest_stretch(hourly(*[6] * 30), 5, 2 * HOUR) == timedelta(hours=5, minutes=6)

    def test_is_the_longest_of_all(self) -> None:
        runs = hourly(*[6] * 30)
        runs[20] = runs[20]._replace(finished_at=runs[20].started_at + HOUR / 2)

        assert longest_stretch(runs, 5, 2 * HOUR) == timedelta(hours=5, minutes=30)

    def test_ends_with_the_last_of_its_runs_to_end(self) -> None:
        runs = hourly(*[6] * 30)
        runs[20] = runs[20]._replace(finished_at=runs[20].started_at + 1.5 * HOUR)

        assert longest_stretch(runs, 1, 2 * HOUR) == timedelta(hours=2, minutes=30)

    def test_is_none_where_so_many_never_came(self) -> None:
        assert longest_stretch(hourly(*[6] * 30), 30, 2 * HOUR) is None
        assert longest_stretch([], 5, 2 * HOUR) is None

    def test_is_not_made_longer_by_an_outage(self) -> None:
        runs = hourly(*[6] * 30)

        found = longest_stretch(runs[:10] + runs[20:], 5, 2 * HOUR)

        assert found == timedelta(hours=5, minutes=6)

    @pytest.mark.parametrize("hung", [timedelta(hours=40), None])
    def test_is_not_made_longer_by_a_run_that_hung(self, hung: timedelta | None) -> None:
        runs = hourly(*[6] * 30)
        runs[20] = runs[20]._replace(finished_at=hung and runs[20].started_at + hung)

        assert longest_stretch(runs, 5, 2 * HOUR) == timedelta(hours=5, minutes=6)


class TestTheLimitOnDurations:
    def test_is_the_least_one_where_all_take_as_long(self) -> None:
        assert least_factor(hourly(*[10] * 40), ()) == Factor(least=1.25, slower=0, judged=20)

    def test_is_what_no_run_exceeded_rounded_up(self) -> None:
        found = least_factor(hourly(*[10] * 30, 18, *[10] * 9), ())

        assert found == Factor(least=2, slower=0, judged=20)

    def test_leaves_out_what_is_news(self) -> None:
        found = least_factor(hourly(*[10] * 30, 14, 31, *[10] * 8), ())

        assert found == Factor(least=1.5, slower=1, judged=20)

    def test_cannot_be_told_of_few_runs(self) -> None:
        assert least_factor(hourly(*[10] * 20), ()) is None
        assert least_factor([], ()) is None

    def test_is_told_by_those_that_completed_before(self) -> None:
        runs = hourly(*[10] * 25, 20)

        assert least_factor(runs[25:], runs[:25]) == Factor(least=2, slower=0, judged=1)

    def test_is_not_told_by_what_did_not_complete(self) -> None:
        failed = hourly(*[50] * 40, status=Status.STOPPED)

        assert least_factor(failed, ()) is None

    def test_finds_nothing_slow_that_takes_a_second(self) -> None:
        found = least_factor(hourly(*[0.001] * 30, 1 / 60), ())

        assert found == Factor(least=1.25, slower=0, judged=11)

    def test_calls_any_duration_news_after_many_that_took_no_time(self) -> None:
        found = least_factor(hourly(*[0] * 30, 1), ())

        assert found == Factor(least=1.25, slower=1, judged=11)
