"""Which tasks run after which, as far as their times tell: a hint, never a fact."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta

from monitoring.core.rhythm import Run

SOON = timedelta(minutes=1)
"""What starts later than this after another's end does not follow it."""
FEWEST = 5
"""Fewer times than this are chance."""
_SHARE = 0.8
_MOST_LOOKED_AT = 20
"""Starts after one end, so that a storm of them costs no more than this for each."""


def followers(runs: Mapping[str, Sequence[Run]]) -> dict[str, tuple[str, ...]]:
    """Return the tasks that mostly start within a minute after a task's end, and mostly only then.

    runs: the last executions of each task.
    """
    starts = sorted((run.started_at, name) for name, some in runs.items() for run in some)
    times = [at for at, _ in starts]
    found: dict[str, tuple[str, ...]] = {}
    for name, some in runs.items():
        ends = sorted(run.finished_at for run in some if run.finished_at is not None)
        if len(ends) < FEWEST:
            continue
        after: Counter[str] = Counter()
        for end in ends:
            first = bisect_right(times, end)
            last = min(bisect_right(times, end + SOON), first + _MOST_LOOKED_AT)
            after.update({other for _, other in starts[first:last]} - {name})
        meanwhile = {
            other: sum(ends[0] < run.started_at <= ends[-1] + SOON for run in runs[other])
            for other in after
        }
        found[name] = tuple(
            sorted(
                other
                for other, count in after.items()
                if count >= max(FEWEST, _SHARE * len(ends), _SHARE * meanwhile[other])
            )
        )
    return {name: others for name, others in found.items() if others}
