"""A stretch of time cut into equal parts, and what happened in each of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from monitoring.core.buckets import WORST_FIRST, Buckets, last, stretches, worst
from monitoring.core.statuses import Status

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
DAY = last(timedelta(days=1), NOON, 96)

moments = st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
buckets = st.builds(
    lambda start, length, count: Buckets(start=start, end=start + length, count=count),
    moments,
    st.timedeltas(timedelta(seconds=1), timedelta(days=90)),
    st.integers(1, 200),
)
any_parts = st.lists(st.none() | st.sampled_from(["a", "b", "c"]))


def test_the_last_day_ends_now_and_begins_a_day_ago() -> None:
    bounds = list(DAY.bounds())

    assert bounds[0] == (NOON - timedelta(days=1), NOON - timedelta(hours=23, minutes=45))
    assert bounds[-1] == (NOON - timedelta(minutes=15), NOON)


def test_a_moment_belongs_to_the_part_that_begins_with_it() -> None:
    assert DAY.number(NOON - timedelta(minutes=15)) == 95
    assert DAY.number(NOON - timedelta(minutes=15, microseconds=1)) == 94


def test_what_lies_outside_is_in_no_part() -> None:
    assert DAY.number(NOON) is None
    assert DAY.number(NOON - timedelta(days=1, microseconds=1)) is None


@given(buckets, st.data())
def test_every_moment_inside_lies_within_the_bounds_of_its_part(
    some: Buckets, data: st.DataObject
) -> None:
    at = data.draw(st.datetimes(some.start.replace(tzinfo=None), some.end.replace(tzinfo=None)))
    at = at.replace(tzinfo=UTC)

    number = some.number(at)

    if number is None:
        assert at == some.end
    else:
        start, end = list(some.bounds())[number]
        assert start <= at < end


@given(buckets)
def test_the_parts_leave_no_gap(some: Buckets) -> None:
    bounds = list(some.bounds())

    assert len(bounds) == some.count
    assert (bounds[0][0], bounds[-1][1]) == (some.start, some.end)
    assert all(end == start for (_, end), (start, _) in pairwise(bounds))


def test_a_failure_is_shown_before_anything_else() -> None:
    assert worst(Status.COMPLETED, Status.STOPPED) is Status.STOPPED
    assert worst(Status.RUNNING, Status.COMPLETED) is Status.RUNNING
    assert worst(None, Status.COMPLETED) is Status.COMPLETED
    assert worst(None, None) is None


def test_every_status_has_its_place() -> None:
    assert set(WORST_FIRST) == set(Status)


def test_parts_without_anything_interrupt_no_stretch() -> None:
    assert stretches([None, "a", None, "a", "b", None]) == [("a", 1, 3), ("b", 4, 4)]
    assert stretches([None, None]) == []


@given(any_parts)
def test_stretches_tell_every_part_and_are_the_fewest(parts: list[str | None]) -> None:
    found = stretches(parts)

    for one in found:
        assert parts[one.first] == parts[one.last] == one.value
        assert set(parts[one.first : one.last + 1]) <= {one.value, None}
    told = {number for one in found for number in range(one.first, one.last + 1)}
    assert told >= {number for number, value in enumerate(parts) if value is not None}
    assert all(one.value != after.value for one, after in pairwise(found))
