"""What had finished at a moment of the past: what rules measure, as the log would have told it."""

from __future__ import annotations

from bisect import insort
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from operator import attrgetter

from monitoring.core.measures import SAMPLES_READ
from monitoring.core.statuses import FINISHED, Status
from monitoring.core.values import Execution

_NEVER = datetime.max.replace(tzinfo=UTC)
_by_start = attrgetter("started_at")


def end_of(one: Execution) -> datetime:
    """Return when an execution was over; one that still runs, never."""
    if one.finished_at is not None:
        return one.finished_at
    return one.started_at if one.status in FINISHED else _NEVER


def is_over(one: Execution, now: datetime) -> bool:
    """Say whether the log had the outcome at that time."""
    return one.status in FINISHED and (one.finished_at is None or one.finished_at <= now)


def as_seen(one: Execution, now: datetime) -> Execution:
    """Return an execution as the log had it at that time."""
    if one.finished_at is not None and one.finished_at > now:
        return one._replace(status=Status.RUNNING, finished_at=None)
    return one


class Hindsight:
    """The last successes, and how much of a window had finished, at moments that go forward.

    Each execution is looked at twice, however many moments are asked for.
    """

    def __init__(self, executions: Sequence[Execution]) -> None:
        """executions: of one task and context, by start."""
        self._by_start = executions
        # With the place of each in `executions`.
        self._by_end = sorted(
            (max(end_of(one), one.started_at), place)
            for place, one in enumerate(executions)
            if one.status in FINISHED
        )
        self._left = self._over = 0
        self._counted: set[int] = set()
        self._counts: Counter[Status] = Counter()
        self._successes: list[Execution] = []

    @property
    def successes(self) -> Sequence[Execution]:
        """The last that had completed, the newest start first."""
        return self._successes[::-1]

    @property
    def finished(self) -> Mapping[Status, int]:
        """How many of the window had finished, by status."""
        return self._counts

    @property
    def oldest(self) -> Execution | None:
        """The first of the window, or after it, that leaves it next."""
        return self._by_start[self._left] if self._left < len(self._by_start) else None

    def move_to(self, now: datetime, window_start: datetime) -> None:
        """Go on to a later moment and its window, which starts later too."""
        while self._left < len(self._by_start):
            one = self._by_start[self._left]
            if one.started_at >= window_start:
                break
            if self._left in self._counted:
                self._counted.discard(self._left)
                self._counts[one.status] -= 1
            self._left += 1
        while self._over < len(self._by_end):
            end, place = self._by_end[self._over]
            if end > now:
                break
            self._over += 1
            one = self._by_start[place]
            if one.started_at >= window_start:
                self._counted.add(place)
                self._counts[one.status] += 1
            if one.status is Status.COMPLETED and one.finished_at is not None:
                insort(self._successes, one, key=_by_start)
                del self._successes[:-SAMPLES_READ]
