"""How much is measured: the figures of the documentation, or enough to see that it all runs."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields, replace


@dataclass(frozen=True, kw_only=True, slots=True)
class Sizes:
    """Each may be set by itself: `BENCH_RULES=500 make bench`."""

    rules: int = 10_000
    executions: int = 1_000_000
    large_executions: int = 10_000_000
    """On PostgreSQL, as a second database."""
    many_rules: int = 100_000
    events: int = 1_000_000
    runs: int = 5
    slow_runs: int = 1
    """Of what takes many seconds each time."""
    tasks: int = 300
    """Tasks that are recorded in one run."""


IS_QUICK = os.environ.get("BENCH") == "quick"
QUICK = Sizes(
    rules=480,  # just enough for digests
    executions=20_000,
    many_rules=2_000,
    events=5_000,
    runs=1,
    slow_runs=1,
    tasks=10,
)


def _chosen() -> Sizes:
    sizes = QUICK if IS_QUICK else Sizes()
    given = {one.name: os.environ.get(f"BENCH_{one.name.upper()}") for one in fields(Sizes)}
    return replace(sizes, **{name: int(value) for name, value in given.items() if value})


SIZES = _chosen()
IS_FULL = Sizes() == SIZES
"""Ratios are asserted only then: small tables flatter whoever asks them one by one."""
