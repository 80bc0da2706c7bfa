"""What may be deleted for its age, and how much of it at once."""

from __future__ import annotations

import math
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.core.retention import (
    LARGEST_BATCH,
    LATE,
    SMALLEST_BATCH,
    WANTED_SECONDS,
    Needs,
    cutoff,
    executions_cutoff,
    is_too_short,
    next_size,
)
from tests.core.building import NOW, ago

days = st.none() | st.integers(0, 10**9)
needs = st.builds(Needs, lookback_hours=st.floats(0), runtime_minutes=st.floats(0))


@pytest.mark.parametrize("forever", [None, 0])
def test_history_without_a_number_of_days_is_kept_for_ever(forever: int | None) -> None:
    assert cutoff(forever, NOW) is None
    assert executions_cutoff(forever, Needs(), NOW) is None
    assert not is_too_short(forever, Needs(lookback_hours=25))


def test_history_goes_when_it_is_older_than_its_days() -> None:
    assert cutoff(30, NOW) == ago(days=30)


def test_more_days_than_there_are_keep_it_for_ever() -> None:
    assert cutoff(10**6, NOW) is None
    assert cutoff(10**12, NOW) is None


def test_executions_stay_as_long_as_a_rule_may_look_at_them() -> None:
    needs = Needs(lookback_hours=170, runtime_minutes=90)

    assert executions_cutoff(1, needs, NOW) == ago(hours=170, minutes=90) - LATE


def test_executions_stay_as_long_as_the_settings_say_if_that_is_longer() -> None:
    assert executions_cutoff(90, Needs(lookback_hours=25), NOW) == ago(days=90)


@given(days, needs)
def test_no_execution_goes_that_the_longest_rule_may_need(days: int | None, needs: Needs) -> None:
    at = executions_cutoff(days, needs, NOW)

    assert at is None or at <= NOW - needs.lookback - LATE


@pytest.mark.parametrize("number", [math.nan, math.inf, 1e300])
def test_a_rule_with_an_absurd_number_keeps_more_and_breaks_nothing(number: float) -> None:
    at = executions_cutoff(1, Needs(lookback_hours=number, runtime_minutes=number), NOW)

    assert at is not None
    assert at < ago(days=7000)


@pytest.mark.parametrize(
    ("days", "hours", "too_short"),
    [(1, 24, False), (1, 24.5, True), (7, 170, True), (90, 170, False), (10**9, 87_600, False)],
)
def test_a_lookback_longer_than_the_retention_is_noticed(
    days: int, hours: float, too_short: bool
) -> None:
    assert is_too_short(days, Needs(lookback_hours=hours)) is too_short


def test_a_batch_that_took_too_long_is_followed_by_a_smaller_one() -> None:
    assert next_size(400, 3 * WANTED_SECONDS) == 200
    assert next_size(400, 1.5 * WANTED_SECONDS) == 300


def test_a_batch_that_was_quick_is_followed_by_a_larger_one() -> None:
    assert next_size(400, WANTED_SECONDS / 4) == 500


def test_a_batch_that_took_what_it_should_is_followed_by_one_like_it() -> None:
    assert next_size(400, 0.75 * WANTED_SECONDS) == 400


@given(st.lists(st.floats(0, 3600)))
def test_a_batch_never_grows_or_shrinks_without_end(seconds: list[float]) -> None:
    size = 200
    for took in seconds:
        size = next_size(size, took)

        assert SMALLEST_BATCH <= size <= LARGEST_BATCH


def test_the_whole_of_what_is_needed_includes_a_late_check() -> None:
    assert Needs(lookback_hours=2, runtime_minutes=30).whole == timedelta(hours=2.5) + LATE
