"""Which limits on durations and successes a history bears, and how many runs these take."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta
from math import ceil, inf, log
from statistics import median
from typing import NamedTuple

from monitoring.core.durations import nearest_rank
from monitoring.core.measures import (
    FEWEST_FINISHED,
    FEWEST_SAMPLES,
    LEAST_LIMIT,
    SAMPLES,
)
from monitoring.core.past import Past
from monitoring.core.statuses import FINISHED, Status
from monitoring.core.values import Execution

MOST_FACTOR = 3.0
"""What takes longer than so many times what is usual is news, however seldom it does."""
FACTOR_STEP = 0.25
LEAST_FACTOR = 1.25
_PARTS = 12
"""Of a history, to tell how often a task usually fails."""
_ROUNDING = 1e-8
"""What a share may be off as a float."""


def usual_failures(executions: Sequence[Execution], expected: Collection[Status]) -> float:
    """Return the share of the finished that usually do not end as expected, from 0 to 1.

    The median of as many parts of the history, so that a time in which all failed is not usual.
    """
    bad = [status not in expected for status in Past.of(executions).statuses if status in FINISHED]
    parts = max(min(_PARTS, len(bad) // FEWEST_FINISHED), 1)
    size = len(bad) // parts
    shares = [sum(bad[n * size : (n + 1) * size]) / size for n in range(parts) if size]
    return median(shares) if shares else 0.0


def runs_needed(min_success_rate: float, failures: float = 0.0, runs: int = 1) -> int | None:
    """Return how many runs a window must hold for what usually fails to be no too great a share.

    failures: the share that usually does. runs: of the history; by chance alone, not even one of
    as many windows should hold too many failures. One that fails is never too great a share. A rule
    that wants all runs to end well wants to be told of each that does not: then as many as it takes
    to judge at all. None: too many fail, whatever a window holds.
    Source: the bound of Chernoff and Hoeffding on the tail of a binomial distribution.
    """
    allowed = 1 - min_success_rate / 100
    if allowed <= _ROUNDING:
        return FEWEST_FINISHED
    if failures >= allowed:
        return None
    needed = 1 / allowed - _ROUNDING
    if failures > 0:
        good = 1 - allowed
        apart = allowed * log(allowed / failures)
        apart += good * log(good / (1 - failures)) if good > 0 else 0
        needed = max(needed, log(max(runs, 1)) / apart)
    return max(FEWEST_FINISHED, ceil(needed))


def longest_stretch(
    executions: Sequence[Execution], runs: int, limit: timedelta
) -> timedelta | None:
    """Return the longest time from a start until as many runs and one more had ended.

    A window as long always holds so many that have ended. executions: by start. limit: longer gaps
    and runs are out of the ordinary, and what they interrupt does not count. None: so many never
    followed each other.
    """
    longest: timedelta | None = None
    for stretch in _stretches(Past.of(executions), limit):
        for (start, _end), (_start, end) in zip(stretch, stretch[runs:], strict=False):
            longest = end - start if longest is None else max(longest, end - start)
    return longest


def _stretches(executions: Past, limit: timedelta) -> Iterator[list[tuple[datetime, datetime]]]:
    """Yield runs in a row as start and end; no end lies before that of an earlier run."""
    stretch: list[tuple[datetime, datetime]] = []
    for start, end in zip(executions.starts, executions.finishes, strict=True):
        is_ordinary = end is not None and end - start <= limit
        if stretch and (not is_ordinary or start - stretch[-1][0] > limit):
            yield stretch
            stretch = []
        if end is not None and is_ordinary:
            stretch.append((start, max(end, stretch[-1][1]) if stretch else end))
    yield stretch


class Factor(NamedTuple):
    """How many times what is usual the runs of a history took."""

    least: float
    """The smallest limit that none exceeded, less those that are news."""
    slower: int
    """How many took longer than `MOST_FACTOR` times that."""
    judged: int


def least_factor(executions: Sequence[Execution], earlier: Sequence[Execution]) -> Factor | None:
    """Return which limit on the duration a history bears; None: too few runs to say.

    executions: by start. earlier: by start, what completed before these; only says what is usual.
    """
    past = Past.of(executions)
    first = past.starts[0] if past else None
    ratios = [ratio for at, ratio in _ratios(past.after(earlier)) if first and at >= first]
    if not ratios:
        return None
    ordinary = [ratio for ratio in ratios if ratio <= MOST_FACTOR]
    steps = ceil(max(ordinary, default=0) / FACTOR_STEP)
    least = min(max(steps * FACTOR_STEP, LEAST_FACTOR), MOST_FACTOR)
    return Factor(least=least, slower=len(ratios) - len(ordinary), judged=len(ratios))


def _ratios(executions: Past) -> Iterator[tuple[datetime, float]]:
    """Yield of each completed run when it started and how many times the usual it took."""
    samples: deque[timedelta] = deque()
    in_order: list[timedelta] = []
    columns = zip(executions.statuses, executions.starts, executions.finishes, strict=True)
    for status, start, finish in columns:
        if status is not Status.COMPLETED or finish is None:
            continue
        took = max(finish - start, timedelta(0))
        if len(samples) >= FEWEST_SAMPLES:
            yield start, _ratio(took, nearest_rank(in_order))
        if len(samples) == SAMPLES:
            del in_order[bisect_left(in_order, samples.popleft())]
        samples.append(took)
        insort(in_order, took)


def _ratio(took: timedelta, usual: timedelta) -> float:
    if took <= LEAST_LIMIT:
        return 0.0
    return took / usual if usual else inf
