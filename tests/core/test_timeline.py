"""Where things stand in a picture of a stretch of time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from monitoring.core.timeline import MOST_TICKS, Scale

START = datetime(2026, 3, 1, 10, 20, tzinfo=UTC)
DAY = Scale(start=START, end=START + timedelta(days=1), width=240)

scales = st.builds(
    lambda start, length: Scale(start=start, end=start + length, width=960),
    st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.timedeltas(timedelta(minutes=1), timedelta(days=365)),
)
moments = st.datetimes(datetime(2019, 1, 1), datetime(2032, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def test_a_moment_stands_where_its_share_of_the_time_is() -> None:
    assert DAY.x(START + timedelta(hours=6)) == 60


def test_what_lies_outside_stands_at_the_edge() -> None:
    assert DAY.x(START - timedelta(days=9)) == 0
    assert DAY.x(START + timedelta(days=9)) == 240


def test_what_goes_on_reaches_the_end() -> None:
    assert DAY.span(START + timedelta(hours=12), None) == (120, 120)


@given(scales, moments, st.none() | moments)
def test_every_stretch_can_be_seen_and_lies_in_the_picture(
    scale: Scale, start: datetime, end: datetime | None
) -> None:
    x, width = scale.span(start, end, least=6)

    assert width >= 6
    assert x >= 0
    assert x + width <= scale.width + 0.02


@given(scales)
def test_ticks_are_few_in_order_and_inside(scale: Scale) -> None:
    ticks = list(scale.ticks())

    assert len(ticks) <= MOST_TICKS + 4
    assert ticks == sorted(set(ticks))
    assert all(scale.start < tick < scale.end for tick in ticks)
