"""What the pages show of our own task log: the last executions of some tasks, and every name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db import connections

from monitoring.core.values import Execution
from monitoring.models import BackgroundTask
from monitoring.models.raw_values import as_utc
from monitoring.tasklogs.background_task import alias, as_status

_TASKS_AT_ONCE = 200
_NAMES_AT_ONCE = 900
MOST_NAMES = 20_000
"""Names that are read at most: more than that nobody picks from."""


def recent(task_names: Iterable[str], most: int) -> dict[str, list[Execution]]:
    """Return the last started executions of each task, the newest first, at most `most` of each.

    One statement for every two hundred tasks, with one index range for each task in it: a window
    function would read every execution that these tasks ever had.
    """
    names = sorted(set(task_names))
    found: dict[str, list[Execution]] = {name: [] for name in names}
    for start in range(0, len(names), _TASKS_AT_ONCE):
        for execution in _recent(names[start : start + _TASKS_AT_ONCE], most):
            found[execution.task_name].append(execution)
    for executions in found.values():
        executions.sort(key=lambda one: (one.started_at, one.pk), reverse=True)
    return found


def _recent(names: Sequence[str], most: int) -> Iterable[Execution]:
    connection = connections[alias()]
    zone = connection.timezone
    one = (
        "SELECT * FROM (SELECT id, task_name, status, started_at, finished_at, task_id "  # noqa: S608 - names of our own
        f"FROM {BackgroundTask._meta.db_table} WHERE task_name = %s AND started_at IS NOT NULL "
        f"ORDER BY started_at DESC, id DESC LIMIT {int(most)}) part"
    )
    sql = " UNION ALL ".join(f"{one}{number}" for number in range(len(names)))

    def at(value: Any) -> datetime | None:
        return None if value is None else as_utc(value, zone)

    with connection.cursor() as cursor:
        cursor.execute(sql, list(names))
        rows = cursor.fetchall()
    return [
        Execution(
            pk=pk,
            task_name=name,
            status=as_status(status),
            started_at=as_utc(started_at, zone),
            finished_at=at(finished_at),
            task_id=task_id,
        )
        for pk, name, status, started_at, finished_at, task_id in rows
    ]


def seen_names() -> list[str]:
    """Return the names of all tasks that the log holds, in order.

    One index seek per name, where DISTINCT would read every execution.
    """
    names: list[str] = []
    after = ""
    while len(names) < MOST_NAMES:
        page = _names_after(after)
        names += page
        if len(page) < _NAMES_AT_ONCE:
            break
        after = page[-1]
    return names


def _names_after(after: str) -> list[str]:
    table = BackgroundTask._meta.db_table
    sql = (
        f"WITH RECURSIVE seen(name, number) AS (SELECT MIN(task_name), 1 FROM {table} "  # noqa: S608 - names of our own
        "WHERE task_name > %s UNION ALL "
        f"SELECT (SELECT MIN(task_name) FROM {table} WHERE task_name > seen.name), number + 1 "
        "FROM seen WHERE seen.name IS NOT NULL AND number < %s) "
        "SELECT name FROM seen WHERE name IS NOT NULL ORDER BY number"
    )
    with connections[alias()].cursor() as cursor:
        cursor.execute(sql, [after, _NAMES_AT_ONCE])
        return [name for (name,) in cursor.fetchall()]
