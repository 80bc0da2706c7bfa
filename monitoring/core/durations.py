"""Lengths of time: as people read one, and which of many is usual."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

PERCENT = 95
"""Of the executions of a task, those that say how long it usually takes."""


def duration(took: timedelta, day: str = "") -> str:
    """Return a length of time in its two largest units: `2 h 5 min`, `3.2 s`, `40 ms`.

    took: not negative. day: the sign of a day, the only one that differs between languages; empty:
    hours count on.
    """
    seconds = took.total_seconds()
    if seconds < 1:
        return f"{round(seconds * 1000)} ms"
    if seconds < 10:
        return f"{round(seconds, 1):g} s"
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24) if day else (0, hours)
    parts = [(days, day), (hour, "h"), (minute, "min"), (second, "s")]
    first = next(index for index, (count, _unit) in enumerate(parts) if count)
    return " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2] if count)


def percentile(durations: Sequence[timedelta], percent: int = PERCENT) -> timedelta:
    """Return the shortest of some durations, at least one, that so many percent do not exceed."""
    return nearest_rank(sorted(durations), percent)


def nearest_rank(in_order: Sequence[timedelta], percent: int = PERCENT) -> timedelta:
    """Return the same of durations that are in order, the shortest first."""
    return in_order[-(-percent * len(in_order) // 100) - 1]
