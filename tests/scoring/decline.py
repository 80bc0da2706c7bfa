"""Tasks that go on and are not well: slower, failing more often, or no longer in the code.

Six times in the year, for three days each. All else is as it is every day: a few runs take up to
twice as long as others, and one in fifty of the task that fails more often fails anyway.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from random import Random

from monitoring.core.statuses import Status
from monitoring.core.values import Execution
from tests.scoring.year import HOUR, MINUTE, Known, Schedule, Told, every, interval

LASTS = timedelta(days=3)
MONTHS = (4, 5, 7, 9, 10, 12)
SLOWER = 4
"""Times as long as before."""
FAILS, FAILS_MORE = 0.02, 0.3
"""Share of the runs of the task that fails more often, in general and while it does."""
_BUSY = 0.02


@dataclass(frozen=True, kw_only=True)
class Decline:
    """One task and what comes over it."""

    kind: str
    schedule: Schedule


def _hourly(name: str, at: timedelta) -> Schedule:
    return Schedule(
        name=name,
        due=every(HOUR, at),
        beat=interval(1, "hours"),
        takes=6 * MINUTE,
        late=MINUTE,
    )


DECLINES = (
    Decline(kind="slower", schedule=_hourly("hourly, at times slower", 5 * MINUTE)),
    Decline(
        kind="failing",
        schedule=Schedule(
            name="every ten minutes, at times failing more often",
            due=every(10 * MINUTE),
            beat=interval(10, "minutes"),
            takes=MINUTE,
            late=MINUTE,
        ),
    ),
    Decline(kind="retired", schedule=_hourly("hourly, at times not in the code", 20 * MINUTE)),
)


@cache
def decline(seed: int = 1) -> dict[str, Told]:
    """Return what happened to each task, by what came over it."""
    return {
        one.kind: _run(one, Random(seed * 1000 + number)) for number, one in enumerate(DECLINES)
    }


def _run(one: Decline, chance: Random) -> Told:
    told = Told(schedule=one.schedule, due=list(one.schedule.due()))
    for month in MONTHS:
        start = datetime(2025, month, chance.randint(3, 24), chance.randint(0, 23), tzinfo=UTC)
        told.incidents.append(Known(kind=one.kind, start=start, end=start + LASTS))
    for number, at in enumerate(told.due):
        is_unwell = any(known.start <= at < known.end for known in told.incidents)
        if is_unwell:
            told.wrong[number] = one.kind
        if not (is_unwell and one.kind == "retired"):
            told.executions.append(_execution(one, number, at, chance, is_unwell=is_unwell))
    return told


def _execution(
    one: Decline, number: int, at: datetime, chance: Random, *, is_unwell: bool
) -> Execution:
    start = at + timedelta(seconds=chance.uniform(1, 50))
    takes = one.schedule.takes * chance.uniform(0.7, 1.3)
    if chance.random() < _BUSY:
        takes *= chance.uniform(1, 1.6)
    if is_unwell and one.kind == "slower":
        takes *= SLOWER
    share = 0.0
    if one.kind == "failing":
        share = FAILS_MORE if is_unwell else FAILS
    return Execution(
        pk=number,
        task_name=one.schedule.name,
        status=Status.STOPPED if chance.random() < share else Status.COMPLETED,
        started_at=start,
        finished_at=start + takes,
    )
