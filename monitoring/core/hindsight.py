"""What had finished at a moment of the past: what rules measure, as the log would have told it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from heapq import heappop, heappush

from monitoring.core.measures import SAMPLES, SAMPLES_READ, is_low, is_within
from monitoring.core.past import NEVER, Past, Successes, as_seen
from monitoring.core.statuses import FINISHED, Status
from monitoring.core.values import Execution, Rule

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class Hindsight:
    """The last successes, and how much of a window had finished, at moments that go forward."""

    def __init__(self, past: Past, rule: Rule) -> None:
        """past: of one task and context."""
        self._past, self._window = past, timedelta(hours=rule.lookback_hours)
        self._good = FINISHED.intersection(rule.expected_statuses)
        self._factor = rule.max_duration_factor
        # A rule that expects no end has no successes.
        self._rate = rule.min_success_rate if self._good else None
        self._now = self._window_start = self._all_good_until = _LONG_AGO
        self._counted: dict[Status, _Counted] = {}
        self._over = 0
        self._numbers: list[int] = []

    @cached_property
    def _successes(self) -> Successes:
        return self._past.successes

    @property
    def successes(self) -> Sequence[Execution]:
        """The last that had completed, the newest start first."""
        places = self._successes.places
        return [self._past[places[number]] for number in reversed(self._last())]

    @property
    def finished(self) -> Mapping[Status, int]:
        """How many of the window had finished, by status."""
        return {status: self._count(status) for status in FINISHED}

    @property
    def oldest(self) -> Execution | None:
        """The first of the window, or after it, that leaves it next."""
        place = bisect_left(self._past.starts, self._window_start)
        return self._past[place] if place < len(self._past) else None

    def move_to(self, now: datetime, window_start: datetime) -> None:
        """Go on to a later moment and its window, which starts later too."""
        self._now, self._window_start = now, window_start

    def is_plainly_fine(self, told: Execution, latest: Execution | None, now: datetime) -> bool:
        """Go on to a moment, and say that what is measured leaves an ok as it is.

        told: the execution that it rests on. latest: the same, or one that still runs. False means
        only that `measure` has to be asked.
        """
        self.move_to(now, now - self._window)
        if self._rate is not None and not self._is_plainly_enough(self._rate):
            return False
        if self._factor is None:
            return True
        took = (told.finished_at or now) - told.started_at
        if not self._is_plainly_fast(told.started_at, took, self._factor):
            return False
        if latest is None or latest is told:
            return True
        end = as_seen(latest, now).finished_at or now
        return self._is_plainly_fast(latest.started_at, end - latest.started_at, self._factor)

    def _is_plainly_fast(self, start: datetime, took: timedelta, factor: float) -> bool:
        """Say that `pace` would not call an execution slow."""
        numbers, starts, durations = self._last(), self._successes.starts, self._successes.took
        known = len(numbers)
        while known and starts[numbers[known - 1]] >= start:
            known -= 1
        numbers = numbers[max(0, known - SAMPLES) : known]
        if isinstance(numbers, range):
            samples = durations[numbers.start : numbers.stop]
        else:
            samples = [durations[number] for number in numbers]
        return is_within(took.total_seconds(), samples, factor)

    def _is_plainly_enough(self, wanted: float) -> bool:
        """Say that enough of the window ended in good statuses. wanted: in percent."""
        if self._now < self._all_good_until:
            return True
        others = FINISHED - self._good
        if not sum(self._count(status) for status in others):
            self._all_good_until = min(
                (self._counted[status].next_end for status in others), default=NEVER
            )
            return True
        counts = self.finished
        good = sum(counts[status] for status in self._good)
        return not is_low(good, sum(counts.values()), wanted)

    def _count(self, status: Status) -> int:
        counted = self._counted.get(status)
        if counted is None:
            counted = _Counted(self._past.finished[status], self._window)
            self._counted[status] = counted
        return counted.count(self._now, self._window_start)

    def _last(self) -> Sequence[int]:
        """Return the numbers of the last successes, by start."""
        known = self._successes
        over = bisect_right(known.ends, self._now, self._over)
        if known.end_as_they_began:
            self._over = over
            return range(max(0, over - SAMPLES_READ), over)
        for number in range(self._over, over):
            insort(self._numbers, number, key=known.starts.__getitem__)
            del self._numbers[:-SAMPLES_READ]
        self._over = over
        return self._numbers


class _Counted:
    """Executions that have ended, counted in windows that go forward."""

    def __init__(self, ended: Past, window: timedelta) -> None:
        self._starts, self._ends = ended.starts, ended.sorted_ends
        self._long = (
            [
                (start, end)
                for start, end in zip(ended.starts, ended.ends, strict=True)
                if end - start > window
            ]
            if ended.longest > window
            else []
        )
        self._begun = self._over = self._left = 0
        self._spanning: list[datetime] = []

    def count(self, now: datetime, window_start: datetime) -> int:
        """Return how many had begun in the window and were over."""
        if not self._starts:
            return 0
        self._begun = bisect_left(self._starts, window_start, self._begun)
        self._over = bisect_right(self._ends, now, self._over)
        # What began before the window and is not over yet is in neither of the two.
        while self._left < len(self._long) and self._long[self._left][0] < window_start:
            heappush(self._spanning, self._long[self._left][1])
            self._left += 1
        while self._spanning and self._spanning[0] <= now:
            heappop(self._spanning)
        return self._over - self._begun + len(self._spanning)

    @property
    def next_end(self) -> datetime:
        """When the next one is over; until then none more is counted."""
        return self._ends[self._over] if self._over < len(self._ends) else NEVER
