"""Which tasks have ever started: a name may be in the log because a worker refused it."""

from __future__ import annotations

from collections.abc import Iterable

from monitoring.core.statuses import Status
from monitoring.tasklogs.seek import newest
from monitoring.tasklogs.source import task_log


def started_among(names: Iterable[str]) -> set[str]:
    """Return those of some tasks of which an execution has started; one query at most."""
    log = task_log()
    return {name for _pk, name, *_others in newest(log, log.started_rows(), names)}


def refused_among(names: Iterable[str]) -> set[str]:
    """Return those of some tasks of which an execution failed before it started.

    No worker knew the task. One query at most. A log that only guesses when an execution began
    cannot tell.
    """
    log = task_log()
    rows = log.rows().filter(log.has_status({Status.STOPPED}), log_start__isnull=True)
    return {name for _pk, name, *_others in newest(log, rows, names)}
