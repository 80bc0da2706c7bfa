"""When a message is tried again, and when it is given up."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.core.retries import Fault, after_failure
from tests.core.building import NOW, ago

MIDDLE = 0.5


def wait(fault: Fault, attempts: int, chance: float = MIDDLE) -> timedelta:
    at = after_failure(fault, attempts, NOW, NOW, chance).at
    assert at is not None
    return at - NOW


@pytest.mark.parametrize(
    ("attempts", "minutes"), [(1, 1), (2, 2), (3, 4), (4, 8), (5, 16), (6, 32), (7, 60), (99, 60)]
)
def test_a_refused_message_waits_twice_as_long_each_time_and_an_hour_at_most(
    attempts: int, minutes: int
) -> None:
    assert wait(Fault.DEFERRED, attempts) == timedelta(minutes=minutes)


@pytest.mark.parametrize(("attempts", "minutes"), [(1, 1), (4, 8), (5, 15), (10_000, 15)])
def test_a_server_that_is_away_is_asked_again_within_a_quarter_of_an_hour(
    attempts: int, minutes: int
) -> None:
    assert wait(Fault.UNREACHABLE, attempts) == timedelta(minutes=minutes)


@given(st.floats(0, 1), st.integers(1, 200))
def test_chance_moves_the_wait_by_a_fifth_at_most(chance: float, attempts: int) -> None:
    middle = wait(Fault.DEFERRED, attempts)

    assert middle * 0.8 <= wait(Fault.DEFERRED, attempts, chance) <= middle * 1.2


def test_a_recipient_refused_for_good_is_given_up_at_once() -> None:
    retry = after_failure(Fault.REFUSED, 1, NOW, NOW, MIDDLE)

    assert (retry.at, retry.reason) == (None, "refused for good")


def test_a_message_that_is_refused_for_48_hours_is_given_up() -> None:
    retry = after_failure(Fault.DEFERRED, 60, ago(hours=48), NOW, MIDDLE)

    assert (retry.at, retry.reason) == (None, "refused for 48 hours")


@given(st.timedeltas(timedelta(0), timedelta(hours=47, minutes=59)), st.integers(1, 100))
def test_nothing_is_given_up_before_48_hours(age: timedelta, attempts: int) -> None:
    for fault in (Fault.DEFERRED, Fault.UNREACHABLE):
        assert after_failure(fault, attempts, NOW - age, NOW, MIDDLE).at is not None


def test_a_server_that_is_away_is_never_given_up() -> None:
    assert after_failure(Fault.UNREACHABLE, 9000, ago(days=90), NOW, MIDDLE).at is not None
