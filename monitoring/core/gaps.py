"""When checks were missing: nobody looked, and nobody was told."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

TOLERANCE = timedelta(minutes=5)
FEWEST_CHECKS = 6
"""Earlier checks from which a rhythm can be told."""
EARLIER_CHECKS = 50
"""How many earlier checks are looked at; they are kept, however old."""
SAME_CHECK = timedelta(seconds=30)
"""Scheduled checks that follow each other faster than this come from a backlog."""


def not_checked_from(
    earlier: Sequence[datetime], now: datetime, scheduled: timedelta | None
) -> datetime | None:
    """Return the last check before a gap that ends now, or None if there is no gap.

    earlier: starts of the checks before, newest first. scheduled: what the schedule lets pass
    after the newest; None: it has none, and the longest pause among `earlier`
    is what was to be expected. A gap is late by half of that, and by five minutes at least.
    """
    if not earlier:
        return None
    expected = scheduled if scheduled is not None else _longest_pause(earlier)
    if expected is None:
        return None
    late = now - earlier[0] - expected
    return earlier[0] if late > max(expected / 2, TOLERANCE) else None


def _longest_pause(earlier: Sequence[datetime]) -> timedelta | None:
    if len(earlier) < FEWEST_CHECKS:
        return None
    return max(later - before for later, before in pairwise(earlier))


def is_backlog(last: datetime | None, now: datetime, scheduled: timedelta | None) -> bool:
    """Say that a scheduled check came so soon after the last that it adds nothing.

    After a pause of the workers all messages of beat arrive at once. The last may have begun a
    little after `now`: the clock is read before a check waits for its turn.
    """
    if last is None:
        return False
    window = SAME_CHECK if scheduled is None else min(SAME_CHECK, scheduled / 2)
    return abs(now - last) < window


def gap_text(since: datetime, until: datetime) -> str:
    """Return a gap in words: `not checked between 02:10 and 03:05 UTC`."""
    since, until = since.astimezone(UTC), until.astimezone(UTC)
    day = "%H:%M" if since.date() == until.date() else "%Y-%m-%d %H:%M"
    return f"not checked between {since:{day}} and {until:{day}} UTC"
