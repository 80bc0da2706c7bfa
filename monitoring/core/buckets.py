"""A stretch of time cut into equal parts, and what happened in each of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Generic, NamedTuple, TypeVar

from monitoring.core.statuses import Status

T = TypeVar("T")

WORST_FIRST = (
    Status.STOPPED,
    Status.CANCELLED,
    Status.RUNNING,
    Status.INVALIDATED,
    Status.QUEUED,
    Status.PENDING,
    Status.COMPLETED,
)
"""What is shown where several things happened in one part."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Buckets:
    """A stretch of time in `count` equal parts; each begins with its first moment."""

    start: datetime
    end: datetime
    count: int

    def edge(self, number: int) -> datetime:
        """Return where a part begins; the number after the last one is the end of all."""
        return self.start + (self.end - self.start) * number / self.count

    def bounds(self) -> Iterator[tuple[datetime, datetime]]:
        """Yield first moment and end of each part."""
        yield from pairwise(self.edge(number) for number in range(self.count + 1))

    def number(self, at: datetime) -> int | None:
        """Return the part that a moment lies in; None: it lies outside."""
        if not self.start <= at < self.end:
            return None
        number = int((at - self.start) / (self.end - self.start) * self.count)
        # Edges are rounded to microseconds, and may stand on the other side of the moment.
        if self.edge(number + 1) <= at:
            return number + 1
        return number if self.edge(number) <= at else number - 1


def last(length: timedelta, now: datetime, count: int) -> Buckets:
    """Return the parts of the time that has just passed. now: aware."""
    return Buckets(start=now - length, end=now, count=count)


def worst(one: Status | None, other: Status | None) -> Status | None:
    """Return what is shown of two; None is nothing at all."""
    both = [status for status in (one, other) if status is not None]
    return min(both, key=WORST_FIRST.index, default=None)


class Stretch(NamedTuple, Generic[T]):
    """The same from one part to another, as far as anything happened."""

    value: T
    first: int
    last: int
    """Number of the last part, included."""


def stretches(parts: Sequence[T | None]) -> list[Stretch[T]]:
    """Return what happened part by part as the fewest stretches, in order.

    None is a part in which nothing happened: it interrupts no stretch, and begins and ends none.
    """
    found: list[Stretch[T]] = []
    for number, value in enumerate(parts):
        if value is None:
            continue
        if found and found[-1].value == value:
            found[-1] = found[-1]._replace(last=number)
        else:
            found.append(Stretch(value, number, number))
    return found
