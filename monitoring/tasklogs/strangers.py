"""Names in the log that are not on a list: the tasks that nobody watches.

Where most tasks are watched, reading every name of the log to leave out the watched ones costs more
than the page. Here the database looks what follows each watched name, one index seek for each, and
goes on from there only while it finds strangers. MariaDB and MySQL seek nothing in a subquery, but
read all names fast.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.db import connections

from monitoring.models.name_table import name_table
from monitoring.tasklogs.base import TaskLog
from monitoring.tasklogs.names import seen_names
from monitoring.tasklogs.source import task_log


def strangers(known: Collection[str], most: int, after: str = "") -> list[str]:
    """Return the first names of the log, after one, that are not among the known, in order.

    In one query. most: at most 900.
    """
    log = task_log()
    connection = connections[log.alias]
    if connection.vendor == "mysql":
        names = set(known)
        return [name for name in seen_names() if name > after and name not in names][:most]
    table, parameter = name_table(connection, ["", after, *sorted(known)])
    with connection.cursor() as cursor:
        cursor.execute(_sql(log, connection, table), [parameter, most, after, most])
        return [name for (name,) in cursor.fetchall()]


def _sql(log: TaskLog, connection: Any, known: str) -> str:
    quote = connection.ops.quote_name
    column = quote(log.column("task_name"))
    following = f"(SELECT MIN({column}) FROM {quote(log.model._meta.db_table)} WHERE {column} > "  # noqa: S608 - columns of models
    is_strange = "NOT IN (SELECT known.name FROM known)"
    return (
        f"WITH RECURSIVE known(name) AS (SELECT wanted.name FROM {known}), "  # noqa: S608 - the same
        "seen(name, number) AS (SELECT first.name, 1 FROM "
        f"(SELECT {following} known.name) AS name FROM known) first WHERE first.name {is_strange} "
        f"UNION ALL SELECT {following} seen.name), number + 1 FROM seen "
        f"WHERE number < %s AND seen.name {is_strange}) "
        f"SELECT DISTINCT name FROM seen WHERE name > %s AND name {is_strange} "
        "ORDER BY name LIMIT %s"
    )
