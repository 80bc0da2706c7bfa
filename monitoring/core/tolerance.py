"""Which runs of a history were merely late or slow, and what windows and thresholds bear them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from heapq import nlargest
from itertools import compress, islice, pairwise
from operator import sub

from monitoring.core.limits import MOST_FACTOR, longest_stretch, runs_needed, usual_failures
from monitoring.core.measures import Pace, SuccessRate
from monitoring.core.past import Past
from monitoring.core.replay import Incident
from monitoring.core.rhythm import room, usual_gap
from monitoring.core.statuses import FINISHED, Status
from monitoring.core.values import Execution, Rule, VerdictKind, WhileRunning

_STEPS = (
    (timedelta(hours=1), timedelta(minutes=3)),
    (timedelta(hours=6), timedelta(minutes=15)),
    (timedelta(hours=23), timedelta(minutes=30)),
)
_LARGEST_STEP = timedelta(hours=1)
_FEW = 200
"""Gaps that are looked at before all of them are put in order."""


def window_step(window: timedelta) -> timedelta:
    """Return to which round length a suggested window is rounded up."""
    return next((step for most, step in _STEPS if window <= most), _LARGEST_STEP)


def _longest_first(gaps: Sequence[timedelta]) -> Iterator[int]:
    """Yield the places of gaps; nearly always whoever asks wants only the first few."""
    first = nlargest(_FEW, range(len(gaps)), key=gaps.__getitem__)
    yield from first
    yield from islice(
        sorted(range(len(gaps)), key=gaps.__getitem__, reverse=True), len(first), None
    )


class Tolerance:
    """Runs and checks, and what they say about windows and thresholds."""

    def __init__(
        self,
        rule: Rule,
        executions: Past,
        checks: Sequence[datetime],
        delay: timedelta | None,
    ) -> None:
        self.rule, self.checks = rule, checks
        self.every = checks[1] - checks[0] if len(checks) > 1 else timedelta.max
        self.all_starts = starts = executions.starts
        part = slice(bisect_left(starts, checks[0]), bisect_right(starts, checks[-1]))
        self.executions, self.starts = executions[part], starts[part]
        self.good = FINISHED & set(rule.expected_statuses)
        # Of a hundred thousand runs each of these lists counts: nothing here that could be a map.
        self.gaps: list[timedelta] = list(map(sub, self.starts[1:], self.starts))
        self.usual = usual_gap(self.starts, delay) if self.gaps else timedelta(0)
        self.delay = room(self.usual) if delay is None else delay
        self.limit = self.usual + self.delay
        self.beyond = sum(map(self.limit.__lt__, self.gaps))
        self.held = self._held()
        """For how long each is found failing only because it has not ended; empty: none is."""
        of_the_good = compress(self.held, map(self.good.__contains__, self.executions.statuses))
        self.longest_held = max(filter(self.delay.__ge__, of_the_good), default=timedelta(0))

    def threshold(self) -> int:
        """Return the smallest that lets executions end which are judged while they run."""
        return 1 + -(-self.longest_held // self.every)

    @cached_property
    def failures(self) -> float:
        """The share of its runs that usually do not end as expected, from 0 to 1."""
        return usual_failures(self.executions, self.rule.expected_statuses)

    @cached_property
    def runs(self) -> int | None:
        """How many runs a window must hold for the success rate; None: no number is enough."""
        wanted = self.rule.min_success_rate
        return 0 if wanted is None else runs_needed(wanted, self.failures, len(self.starts))

    @cached_property
    def stretch(self) -> timedelta | None:
        """How long so many runs may take, from start to end; None: so many never came in a row."""
        if not self.runs:
            return timedelta(0)
        return longest_stretch(self.executions, self.runs, self.limit)

    def window(self, alert_after: int) -> tuple[timedelta, timedelta]:
        """Return the smallest with this threshold, rounded up, and the longest tolerated gap."""
        needed, longest = self.stretch or timedelta(0), timedelta(0)
        most_on_top = self.longest_held - (alert_after - 1) * self.every
        for number in _longest_first(self.gaps):
            if longest and self.gaps[number] + most_on_top <= needed:
                break
            if self.is_tolerated(number):
                longest = max(longest, self.gaps[number])
                needed = max(needed, self._needed(number, alert_after))
        step = window_step(needed)
        return max(-(-needed // step), 1) * step, longest

    def is_tolerated(self, number: int) -> bool:
        """Say whether the run after this one was not late enough to be told of.

        What follows or comes before a run that went wrong is part of that.
        """
        if not 0 <= number < len(self.gaps) or self.gaps[number] > self.limit:
            return False
        if self._judges_from_start and self.held[number + 1] > self.delay:
            return False
        return self.good.issuperset(self.executions.statuses[number : number + 2])

    def is_false_alarm(self, incident: Incident) -> bool:
        """Say whether an event told only of what the history has as ordinary.

        A run that came, or ended, within the delay; one that was not much slower than usual; a
        share of successes that a single failure spoilt.
        """
        if isinstance(incident.measured, Pace):
            return self._was_hardly_slow(incident.execution, incident.measured)
        if isinstance(incident.measured, SuccessRate):
            return self._was_one_failure(incident.opened_at, incident.measured)
        if incident.verdict is VerdictKind.NO_EXECUTION:
            return self.is_tolerated(bisect_right(self.starts, incident.opened_at) - 1)
        if incident.execution is None or incident.current_status != Status.RUNNING:
            return False
        number = bisect_left(self.starts, incident.execution.started_at)
        return self.is_tolerated(number - 1) and self.held[number] <= self.delay

    def _was_hardly_slow(self, one: Execution | None, pace: Pace) -> bool:
        if one is None or one.finished_at is None or pace.usual is None:
            return False
        took = (one.finished_at - one.started_at).total_seconds()
        return one.status in self.good and took <= MOST_FACTOR * pace.usual.total_seconds()

    def _was_one_failure(self, at: datetime, rate: SuccessRate) -> bool:
        """A window that holds few runs because others were missing is part of that."""
        is_known = bool(self.all_starts) and rate.since >= self.all_starts[0]
        if not is_known or rate.finished - rate.good > 1 or rate.wanted >= 100:
            return False
        first = max(bisect_left(self.starts, rate.since) - 1, 0)
        starts = [*self.starts[first : bisect_right(self.starts, at)], at]
        return all(later - earlier <= self.limit for earlier, later in pairwise(starts))

    @property
    def _judges_from_start(self) -> bool:
        judges = self.rule.while_running is WhileRunning.JUDGE
        return judges and Status.RUNNING not in self.rule.expected_statuses

    def _held(self) -> list[timedelta]:
        limit, nothing = self.rule.max_runtime_minutes, timedelta(0)
        if self._judges_from_start:
            spared = nothing
        elif limit is not None:
            spared = timedelta(minutes=limit)
        else:
            return []
        past = self.executions
        ends = (finish or start for finish, start in zip(past.finishes, past.starts, strict=True))
        # The next execution hides it.
        until = map(min, ends, [*self.starts[1:], self.checks[-1]])
        held: list[timedelta] = list(map(sub, until, self.starts))
        if not spared and min(held, default=nothing) >= nothing:
            return held
        return [max(one - spared, nothing) for one in held]

    def _needed(self, number: int, alert_after: int) -> timedelta:
        """Return the shortest window in which too few checks miss a run, whenever they come."""
        gap = self.gaps[number]
        if not self._judges_from_start:
            return gap
        # The checks that miss the next run, and those that then find it running, are a row.
        return gap + self.held[number + 1] - (alert_after - 1) * self.every
