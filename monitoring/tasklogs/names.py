"""Every name in the task log."""

from __future__ import annotations

from django.db import connections

from monitoring.tasklogs.base import TaskLog
from monitoring.tasklogs.source import task_log

_AT_ONCE = 900
"""PostgreSQL and SQLite recurse for as long as one likes; this bounds a statement."""
MOST_NAMES = 20_000
"""Names that are read at most."""


def seen_names() -> list[str]:
    """Return the names of all tasks that the log holds, in order.

    One index seek per name, where DISTINCT would read every execution; on MariaDB and MySQL it is
    the other way round.
    """
    log = task_log()
    if connections[log.alias].vendor == "mysql":
        field = log.fields["task_name"]
        rows = log.rows().filter(**{f"{field}__gt": ""}).order_by(field)
        return list(rows.values_list(field, flat=True).distinct()[:MOST_NAMES])
    names: list[str] = []
    after = ""
    while len(names) < MOST_NAMES:
        page = _names_after(log, after)
        names += page
        if len(page) < _AT_ONCE:
            break
        after = page[-1]
    return names


def _names_after(log: TaskLog, after: str) -> list[str]:
    connection = connections[log.alias]
    table = connection.ops.quote_name(log.model._meta.db_table)
    column = connection.ops.quote_name(log.column("task_name"))
    sql = (
        f"WITH RECURSIVE seen(name, number) AS (SELECT MIN({column}), 1 FROM {table} "  # noqa: S608 - columns of models
        f"WHERE {column} > %s UNION ALL "
        f"SELECT (SELECT MIN({column}) FROM {table} WHERE {column} > seen.name), number + 1 "
        "FROM seen WHERE seen.name IS NOT NULL AND number < %s) "
        "SELECT name FROM seen WHERE name IS NOT NULL ORDER BY number"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, [after, _AT_ONCE])
        return [name for (name,) in cursor.fetchall()]
