"""Which running executions have lost their worker."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from monitoring.core.values import MAX_LOOKBACK_HOURS

SEEN_EVERY = timedelta(minutes=1)
"""How often a worker says at most that it lives."""


class Limits(NamedTuple):
    """How long to wait before something is taken for lost; None: it never is."""

    silent: timedelta | None
    """Since a worker with heartbeats was last seen."""
    unfinished: timedelta | None
    """Since an execution started."""

    @property
    def shortest(self) -> timedelta | None:
        return min((limit for limit in self if limit is not None), default=None)


class Heartbeat(NamedTuple):
    """What is known of one worker."""

    booted_at: datetime
    """Start of its process."""
    seen_at: datetime
    stopped_at: datetime | None
    """Since when it has been shutting down in an orderly way; None: it works, or it is lost."""


class Running(NamedTuple):
    """One execution that runs, as the log has it."""

    pk: int
    task_name: str
    worker: str
    started_at: datetime
    position: int


def limits(silent_minutes: float, lost_after_hours: float) -> Limits:
    """Return the limits that the settings ask for; 0 turns one off, and none is above ten years."""
    silent_hours = min(silent_minutes / 60, MAX_LOOKBACK_HOURS)
    unfinished_hours = min(lost_after_hours, MAX_LOOKBACK_HOURS)
    return Limits(
        silent=timedelta(hours=silent_hours) if silent_hours else None,
        unfinished=timedelta(hours=unfinished_hours) if unfinished_hours else None,
    )


def seen_every(silent: timedelta | None) -> timedelta:
    """Return how often a worker has to say that it lives, so that it is not taken for lost."""
    return SEEN_EVERY if silent is None else min(SEEN_EVERY, silent / 3)


def is_silent(worker: Heartbeat, now: datetime, silent: timedelta | None) -> bool:
    """Say that a worker which said that it lives has stopped to, without shutting down."""
    return silent is not None and worker.stopped_at is None and now - worker.seen_at > silent


def is_lost(
    execution: Running,
    worker: Heartbeat | None,
    longest_runtime: timedelta,
    now: datetime,
    limits: Limits,
) -> bool:
    """Say that the worker of a running execution must be dead.

    worker: its worker; None: that one never had heartbeats. longest_runtime: what the rules of
    the task allow.
    """
    if limits.unfinished is not None:
        longest = max(limits.unfinished, longest_runtime)
        if now - execution.started_at > longest:
            return True
    if worker is None or limits.silent is None:
        return False
    if execution.started_at < worker.booted_at:
        return True
    # One that started much later shows that a worker of this name lives.
    is_of_its_time = execution.started_at <= worker.seen_at + limits.silent
    return is_of_its_time and is_silent(worker, now, limits.silent)
