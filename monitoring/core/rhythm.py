"""How often a task runs, how long it takes, and which window is long enough for that."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from operator import sub
from statistics import median_low
from typing import NamedTuple

from monitoring.core.statuses import Status

FEWEST_GAPS = 3
"""Fewer gaps between starts than this show no rhythm."""

FEWEST_STEADY = 10
"""Fewer gaps than this may be alike by chance."""
_STEADY = 2
"""The longest gap of a steady rhythm is at most so many times the usual one."""
_BURST = 10
"""A gap so many times shorter than the longest lies between executions of one run."""
_HOUR = timedelta(hours=1)
_WEEK = timedelta(days=7)


class Run(NamedTuple):
    """When one execution was sent, began and ended."""

    started_at: datetime
    status: Status = Status.COMPLETED
    submitted_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def delay(self) -> timedelta | None:
        """How long it waited for a worker; two clocks may differ. None: nobody noted it."""
        if self.submitted_at is None:
            return None
        return max(self.started_at - self.submitted_at, timedelta(0))

    @property
    def duration(self) -> timedelta | None:
        if self.finished_at is None:
            return None
        return max(self.finished_at - self.started_at, timedelta(0))


def longest_gap(starts: Sequence[datetime]) -> timedelta | None:
    """Return the longest time between two starts that follow each other, or None if too few.

    starts: aware, in any order.
    """
    ordered = sorted(starts)
    gaps = [later - earlier for earlier, later in pairwise(ordered)]
    return max(gaps) if len(gaps) >= FEWEST_GAPS else None


def suggested_hours(gap: timedelta) -> float:
    """Return a lookback window, in hours, that a task with this gap between runs never misses."""
    hundredths = -(-(gap + room(gap)) // timedelta(seconds=36))  # rounded up
    return hundredths / 100


def room(gap: timedelta) -> timedelta:
    """Return what a window needs on top of the gap between runs, so that a run may come late.

    Source: documented guidance, 1 to 2 h for an hourly task, 24 to 25 for a daily one, 168 to 170
    for a weekly one: half of the gap, within 5 minutes and an hour (two for a week).
    """
    most = max(_HOUR, gap / 84)
    return min(max(gap / 2, timedelta(minutes=5)), most)


def usual_gap(starts: Sequence[datetime], delay: timedelta | None = None) -> timedelta:
    """Return the longest time between two starts that is nothing unusual.

    That is the upper quartile of all, so that a few missing runs do not matter, or a longer gap
    that comes again from week to week, such as a night or a weekend.
    starts: two at least, in order. delay: how much later than usual a run may come; None: `room`.
    """
    # As numbers, of which a hundred thousand are soon sorted; to the microsecond, these are exact.
    gaps = sorted(map(timedelta.total_seconds, map(sub, starts[1:], starts)))
    usual = timedelta(seconds=gaps[len(gaps) * 3 // 4])
    tolerance = room(usual) if delay is None else delay
    if timedelta(seconds=gaps[-1]) <= usual + tolerance:
        return usual
    longer = (
        later - earlier
        for earlier, later in pairwise(starts)
        if later - earlier > usual + tolerance and _repeats(starts, earlier, later, tolerance)
    )
    return max(longer, default=usual)


def _repeats(
    starts: Sequence[datetime], earlier: datetime, later: datetime, tolerance: timedelta
) -> bool:
    """Say whether the same time of at least a third of the other weeks held no run either.

    Not of all: clocks change, schedules change, and the week may have been the first. The tolerance
    leaves out runs that come a little earlier or later than a week before.
    """
    known = free = 0
    first, last = earlier + tolerance, later - tolerance
    if first >= last:
        return False
    before, after = (first - starts[0]) // _WEEK, (starts[-1] - last) // _WEEK
    for week in (*range(-before, 0), *range(1, after + 1)):
        known += 1
        start, end = first + week * _WEEK, last + week * _WEEK
        free += bisect_right(starts, start) == bisect_left(starts, end)
    return free > 0 and free * 3 >= known


def steady_gap(starts: Sequence[datetime], now: datetime) -> timedelta | None:
    """Return the longest gap of a task that runs in a steady rhythm and still does, else None.

    starts: aware, in any order; several at once count as one run. now: aware.
    """
    ordered = sorted(starts)
    gaps = [later - earlier for earlier, later in pairwise(ordered)]
    longest = max(gaps, default=timedelta(0))
    between_runs = [gap for gap in gaps if gap * _BURST > longest]
    if len(between_runs) < FEWEST_STEADY or longest > _STEADY * median_low(between_runs):
        return None
    return longest if now - ordered[-1] <= _STEADY * longest else None
