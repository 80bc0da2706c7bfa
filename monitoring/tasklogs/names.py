"""Every name in the task log, and those on no list: the tasks that nobody watches.

Names are read by one index seek each, ten thousand in fifty milliseconds, and remembered by the
process: after that only what was stored since is looked through.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Any, NamedTuple

from django.db import connections

from monitoring.tasklogs.base import TaskLog
from monitoring.tasklogs.source import task_log

MOST_NAMES = 100_000
"""Names that are read at most."""
REMEMBERED = 600
"""Seconds after which all names are read again: those of deleted executions have to go."""
MOST_NEW = 20_000
"""Primary keys that are looked through for new names; of more, all names are read again."""
_STILL_OPEN = 200
"""Primary keys that may have been given and not been committed when the newest was seen."""


class _Known(NamedTuple):
    names: list[str]
    last_pk: int
    read_at: float


_known: dict[tuple[str, ...], _Known] = {}


def seen_names() -> list[str]:
    """Return the names of all tasks that the log holds, in order.

    One whose last execution was deleted may be told for ten minutes more.
    """
    log = task_log()
    if not log.counts_up:
        return _read(log)
    place = _place(log)
    last_pk = log.rows().order_by("-pk").values_list("pk", flat=True).first() or 0
    known = _known.get(place)
    if known is not None and _is_fresh(known, last_pk):
        new = _new_names(log, known, last_pk)
        names = sorted({*known.names, *new}) if new else known.names
        found = _Known(names, last_pk, known.read_at)
    else:
        found = _Known(_read(log), last_pk, time.monotonic())
    _known[place] = found
    return list(found.names)


def _place(log: TaskLog) -> tuple[str, ...]:
    """Return what tells logs apart; a schema, where each tenant of a host has one of its own."""
    connection = connections[log.alias]
    schema = str(getattr(connection, "schema_name", ""))
    return (log.alias, str(connection.settings_dict["NAME"]), schema, log.model._meta.db_table)


def forget() -> None:
    """Read all names anew at the next call, as a new process does."""
    _known.clear()


def _is_fresh(known: _Known, last_pk: int) -> bool:
    is_young = time.monotonic() - known.read_at < REMEMBERED
    return is_young and 0 <= last_pk - known.last_pk <= MOST_NEW


def _new_names(log: TaskLog, known: _Known, last_pk: int) -> set[str]:
    if last_pk == known.last_pk:
        return set()
    name = log.fields["task_name"]
    # Not those without a name, which some logs have.
    rows = log.rows().filter(**{"pk__gt": known.last_pk - _STILL_OPEN, f"{name}__gt": ""})
    return set(rows.values_list(name, flat=True).distinct()).difference(known.names)


def strangers(known: Collection[str], most: int, after: str = "") -> list[str]:
    """Return the first names of the log, after one, that are not among the known, in order."""
    left_out = set(known)
    return [name for name in seen_names() if name > after and name not in left_out][:most]


def _read(log: TaskLog) -> list[str]:
    """Return all names, in one query.

    One index seek per name, where DISTINCT would read every execution; on MariaDB and MySQL it is
    the other way round.
    """
    if connections[log.alias].vendor == "mysql":
        field = log.fields["task_name"]
        rows = log.rows().filter(**{f"{field}__gt": ""}).order_by(field)
        return sorted(rows.values_list(field, flat=True).distinct()[:MOST_NAMES])
    connection: Any = connections[log.alias]
    table = connection.ops.quote_name(log.model._meta.db_table)
    column = connection.ops.quote_name(log.column("task_name"))
    sql = (
        f"WITH RECURSIVE seen(name, number) AS (SELECT MIN({column}), 1 FROM {table} "  # noqa: S608 - columns of models
        f"WHERE {column} > '' UNION ALL "
        f"SELECT (SELECT MIN({column}) FROM {table} WHERE {column} > seen.name), number + 1 "
        "FROM seen WHERE seen.name IS NOT NULL AND number < %s) "
        "SELECT name FROM seen WHERE name IS NOT NULL"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, [MOST_NAMES])
        return sorted(name for (name,) in cursor.fetchall())
