"""How often a task runs, and which window is long enough for that."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise

FEWEST_GAPS = 3
"""Fewer gaps between starts than this show no rhythm."""

_HOUR = timedelta(hours=1)


def longest_gap(starts: Sequence[datetime]) -> timedelta | None:
    """Return the longest time between two starts that follow each other, or None if too few.

    starts: aware, in any order.
    """
    ordered = sorted(starts)
    gaps = [later - earlier for earlier, later in pairwise(ordered)]
    return max(gaps) if len(gaps) >= FEWEST_GAPS else None


def suggested_hours(gap: timedelta) -> float:
    """Return a lookback window, in hours, that a task with this gap between runs never misses.

    Source: documented guidance, 1 to 2 h for an hourly task, 24 to 25 for a daily one, 168 to 170
    for a weekly one: the gap, and half of it on top within 5 minutes and an hour (two for a week).
    """
    most = max(_HOUR, gap / 84)
    room = min(max(gap / 2, timedelta(minutes=5)), most)
    hundredths = -(-(gap + room) // timedelta(seconds=36))  # rounded up
    return hundredths / 100
