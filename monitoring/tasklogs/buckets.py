"""What happened to some tasks in each part of a stretch of time, at a price that is known before.

However often a task runs, our own log is asked once for each part: one index seek for a failed
execution that began in it, and one for the newest. Other logs may have no index for that, and
MariaDB does not seek a range in one whose beginning another row brings: there the newest executions
of each task are read, and it is said how far back they reach.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connections

from monitoring.core.buckets import Buckets, worst
from monitoring.core.statuses import Status
from monitoring.models.name_table import name_table
from monitoring.models.raw_values import as_utc
from monitoring.tasklogs.base import TaskLog
from monitoring.tasklogs.history import recent
from monitoring.tasklogs.source import task_log

MOST_READ = 300
"""Executions of each task that are read where they are not sought: a day of every five minutes."""


@dataclass(slots=True)
class Course:
    """How one task did, part by part."""

    parts: list[Status | None] = field(default_factory=list)
    """In each, a failure if there was one, else the newest; None: nothing began in it."""
    known_since: datetime | None = None
    """What began before it is not told; None: all is."""


def courses(task_names: Iterable[str], buckets: Buckets) -> dict[str, Course]:
    """Return how each task did, in one query."""
    names = sorted(set(task_names))
    found = {name: Course([None] * buckets.count) for name in names}
    log = task_log()
    if names and log.is_own and connections[log.alias].vendor != "mysql":
        _seek(log, found, buckets)
    elif names:
        _read(log, found, buckets)
    return found


def _seek(log: TaskLog, found: dict[str, Course], buckets: Buckets) -> None:
    connection = connections[log.alias]
    table, names = name_table(connection, list(found))
    adapt = connection.ops.adapt_datetimefield_value
    times = [adapt(at) for bounds in buckets.bounds() for at in bounds]
    with connection.cursor() as cursor:
        cursor.execute(_sql(log, connection, table, len(found), buckets.count), [names, *times])
        rows = cursor.fetchall()
    for name, number, stored in rows:
        if stored is not None:
            found[name].parts[number] = log.status_of(stored)


def _sql(log: TaskLog, connection: Any, names: str, some: int, count: int) -> str:
    table = log.model._meta.db_table
    # Without the limit PostgreSQL expects a hundred names, and compiles a statement of that cost.
    wanted = f"(SELECT wanted.name FROM {names} LIMIT {some}) wanted"  # noqa: S608 - names of our own
    parts = " UNION ALL ".join(
        f"SELECT {number} AS number, %s AS since, %s AS until" for number in range(count)
    )
    inside = (
        f"FROM {table} task WHERE task.task_name = wanted.name "
        "AND task.started_at >= part.since AND task.started_at < part.until"
    )
    failed = f"SELECT 1 {inside} AND task.status = '{Status.STOPPED}'"
    newest = f"SELECT task.status {inside} ORDER BY task.started_at DESC, task.id DESC LIMIT 1"
    return (
        f"SELECT wanted.name, part.number, CASE WHEN EXISTS({failed}) THEN '{Status.STOPPED}' "  # noqa: S608 - the same
        f"ELSE ({newest}) END FROM {wanted} CROSS JOIN ({parts}) part"
    )


def _read(log: TaskLog, found: dict[str, Course], buckets: Buckets) -> None:
    for name, runs in _newest(log, list(found), buckets.start).items():
        course = found[name]
        for started_at, status in runs:
            number = buckets.number(started_at)
            if number is not None:
                # The newest come first, and only a failure counts more than they do.
                known = course.parts[number]
                is_worse = status is Status.STOPPED
                course.parts[number] = worst(known, status) if is_worse else known or status
        if len(runs) == MOST_READ and runs[-1][0] > buckets.start:
            course.known_since = runs[-1][0]


def _newest(
    log: TaskLog, names: Sequence[str], since: datetime
) -> dict[str, list[tuple[datetime, Status]]]:
    """Return the newest executions of each task, the newest first: when each began, and status."""
    if not log.is_own:
        return {
            name: [(one.started_at, one.status) for one in executions]
            for name, executions in recent(names, MOST_READ).items()
        }
    rows: dict[str, list[tuple[datetime, int, Status]]] = {name: [] for name in names}
    connection = connections[log.alias]
    wanted = [(stored, name) for name in names for stored in log.statuses]
    # One range for each of them in an index that holds all that is read.
    part = (
        f"SELECT * FROM (SELECT task_name, status, started_at, id FROM {log.model._meta.db_table} "  # noqa: S608 - names of our own
        "WHERE status = %s AND task_name = %s AND started_at >= %s "
        f"ORDER BY started_at DESC, id DESC LIMIT {MOST_READ}) part"
    )
    at = connection.ops.adapt_datetimefield_value(since)
    with connection.cursor() as cursor:
        cursor.execute(
            " UNION ALL ".join(f"{part}{number}" for number in range(len(wanted))),
            [value for stored, name in wanted for value in (stored, name, at)],
        )
        for name, stored, started_at, pk in cursor.fetchall():
            began = as_utc(started_at, connection.timezone)
            rows[name].append((began, pk, log.status_of(stored)))
    return {
        name: [(began, status) for began, _pk, status in sorted(some, reverse=True)[:MOST_READ]]
        for name, some in rows.items()
    }
