"""Where things stand in a picture of a stretch of time; times in, positions out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

_STEPS = tuple(
    timedelta(minutes=minutes)
    for minutes in (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 10080, 20160, 43200)
)
MOST_TICKS = 9


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """A stretch of time laid on a line; `start` is before `end`, both aware."""

    start: datetime
    end: datetime
    width: float
    """Length of the line, in the picture's own units."""

    def x(self, at: datetime) -> float:
        """Return the position of a moment; what lies outside stands at the edge."""
        share = (at - self.start) / (self.end - self.start)
        return round(min(max(share, 0.0), 1.0) * self.width, 2)

    def span(
        self, start: datetime, end: datetime | None, *, least: float = 3.0
    ) -> tuple[float, float]:
        """Return position and length of a stretch, wide enough to be seen; no end: it goes on."""
        left, right = self.x(start), self.x(end or self.end)
        length = max(right - left, least)
        return round(min(left, self.width - length), 2), round(length, 2)

    def overlaps(self, start: datetime, end: datetime | None) -> bool:
        return start <= self.end and (end is None or end >= self.start)

    def ticks(self, most: int = MOST_TICKS) -> Iterator[datetime]:
        """Yield round moments, few enough to be labelled, counted from midnight of `start`."""
        length = self.end - self.start
        step = next((one for one in _STEPS if length / one <= most), _STEPS[-1])
        at = self.start.replace(hour=0, minute=0, second=0, microsecond=0)
        at += ((self.start - at) // step + 1) * step
        while at < self.end:
            yield at
            at += step
