"""What may be deleted for its age, and how much of it at once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import NamedTuple

from monitoring.core.values import MAX_LOOKBACK_HOURS

DEFAULT_DAYS: Mapping[str, int | None] = MappingProxyType(
    {"executions": 90, "events": 400, "messages": 400, "runs": 30, "workers": 30}
)
"""Days that each kind of history is kept unless the settings say otherwise."""

LATE = timedelta(days=1)
"""How late a check may come and still find what its window should hold."""


class Needs(NamedTuple):
    """What the longest of all rules in force asks of the log of executions."""

    lookback_hours: float = 0
    runtime_minutes: float = 0
    """Longest runtime that a rule allows."""
    who: str = ""
    """Which rule or periodic task looks back the furthest, for people."""

    @property
    def lookback(self) -> timedelta:
        return timedelta(hours=min(MAX_LOOKBACK_HOURS, self.lookback_hours))

    @property
    def whole(self) -> timedelta:
        """How long executions have to be kept, late checks allowed for."""
        # In this order, so that "not a number" counts as the most.
        minutes = min(MAX_LOOKBACK_HOURS * 60, self.runtime_minutes)
        return self.lookback + timedelta(minutes=minutes) + LATE


def cutoff(days: int | None, now: datetime) -> datetime | None:
    """Return before when history may go. None: it is kept for ever (no days, or 0).

    now: aware.
    """
    if not days:
        return None
    try:
        return now - timedelta(days=days)
    except OverflowError:  # before the year 1
        return None


def executions_cutoff(days: int | None, needs: Needs, now: datetime) -> datetime | None:
    """Return before when executions may go: never what a rule in force may still look at."""
    wanted = cutoff(days, now)
    return None if wanted is None else min(wanted, now - needs.whole)


def is_too_short(days: int | None, needs: Needs) -> bool:
    """Say that a rule looks further back than executions are meant to be kept."""
    return bool(days) and timedelta(days=min(days or 0, _LONG)) < needs.lookback


_LONG = 100_000
"""Days; longer than any rule looks back, and nothing that a timedelta cannot hold."""

SMALLEST_BATCH, LARGEST_BATCH = 50, 500
FIRST_BATCH = 200
"""Rows of a batch."""
WANTED_SECONDS = 0.015
"""How long a batch should take: whoever records waits for it on a database with one writer."""


def next_size(size: int, seconds: float) -> int:
    """Return how many rows the next batch should have after one of `size` that took so long."""
    if seconds > 2 * WANTED_SECONDS:
        size //= 2
    elif seconds > WANTED_SECONDS:
        size = size * 3 // 4
    elif seconds < WANTED_SECONDS / 2:
        size = size * 5 // 4
    return min(max(size, SMALLEST_BATCH), LARGEST_BATCH)
