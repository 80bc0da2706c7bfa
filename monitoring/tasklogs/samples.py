"""What rules measure: the last completed executions of tasks, and what has finished in windows.

One statement each, in which every task or window has a SELECT of its own, and with that an index
range: an ordinary join would let the database read whole tables, or all that a task ever did.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from django.db import connections, models
from django.db.models.expressions import RawSQL

from monitoring.core.statuses import FINISHED, Status
from monitoring.core.values import Execution
from monitoring.models.raw_values import as_utc
from monitoring.tasklogs.base import TaskLog, column_of
from monitoring.tasklogs.seek import named, start_sql


class Window(NamedTuple):
    """A task, and from which start on its executions count."""

    task_name: str
    since: datetime


Rows = models.QuerySet[Any]
Narrow = Callable[[Any, Any], Rows]
"""From the task's name and the start of its window, as literals or SQL, to the rows of both."""


def last_completed(
    log: TaskLog,
    task_names: Iterable[str],
    most: int,
    now: datetime,
    *,
    with_context: bool = False,
) -> dict[str, list[tuple[str, Execution]]]:
    """Return (context id, execution) of the last completed of each task, the newest start first.

    Each has its finish. One query; none for a log that keeps no finish. with_context: read the
    context ids; else they are empty.
    """
    finish = log.fields.get("finished_at")
    windows = [Window(name, now) for name in sorted(set(task_names))]
    if not windows or finish is None:
        return {}
    completed = log.started_rows(now).filter(
        log.has_status({Status.COMPLETED}), **{f"{finish}__isnull": False}
    )
    reader = _Reader(log)
    context = [reader.of_field(name) for name in log.context_fields] if with_context else []
    columns = (reader.pk, reader.start, reader.column("finished_at"), *context)
    tail = f"ORDER BY {reader.start} DESC, {reader.pk} DESC LIMIT {int(most)}"
    zone = reader.connection.timezone
    found: dict[str, list[tuple[str, Execution]]] = {}
    for place, (pk, start, end, *ids) in reader.each(
        windows, lambda name, _since: named(log, completed, name), columns, tail
    ):
        name = windows[place].task_name
        one = Execution(
            log.pk_of(pk), name, Status.COMPLETED, as_utc(start, zone), as_utc(end, zone)
        )
        context_id = log.read_context_id(name, *ids) if with_context else ""
        found.setdefault(name, []).append((context_id, one))
    for some in found.values():
        some.sort(key=lambda pair: pair[1].started_at, reverse=True)
    return found


def finished_in(log: TaskLog, windows: Sequence[Window], now: datetime) -> list[dict[Status, int]]:
    """Return how many executions of each window have finished, by status, in one query."""
    counts: list[dict[Status, int]] = [{} for _ in windows]
    if not windows:
        return counts
    finished = log.started_rows(now).filter(log.has_status(FINISHED))
    reader = _Reader(log)
    status = reader.column("status")
    for place, (stored, count) in reader.each(
        windows,
        lambda name, since: named(log, finished, name).filter(log_start__gte=since),
        (status, "COUNT(*)"),
        f"GROUP BY {status}",
    ):
        found = log.status_of(stored)  # several spellings may stand for one
        counts[place][found] = counts[place].get(found, 0) + count
    return counts


_NAME_MARK, _SINCE_MARK = "\0 name", datetime(1001, 1, 1, tzinfo=UTC)
_ARRAYS = {
    "postgresql": (
        "json_agg(json_build_array({columns}))",
        "jsonb_array_elements(%s::jsonb) WITH ORDINALITY AS wanted(item, number)",
        "wanted.number - 1",
        "(wanted.item ->> 0)",
        "(wanted.item ->> 1)::timestamptz",
    ),
    "sqlite": (
        "json_group_array(json_array({columns}))",
        "json_each(%s) AS wanted",
        "wanted.key",
        "json_extract(wanted.value, '$[0]')",
        "json_extract(wanted.value, '$[1]')",
    ),
}
"""How rows become an array, a parameter a table, and its parts: number, name, start of a window."""


class _Reader:
    """Runs one SELECT for each of many windows, in one statement."""

    def __init__(self, log: TaskLog) -> None:
        self.log = log
        self.connection: Any = connections[log.alias]
        quote = self.connection.ops.quote_name
        meta: Any = log.model._meta
        self.table: str = quote(meta.db_table)
        self.pk = f"{self.table}.{quote(meta.pk.column)}"
        self.start = start_sql(log, self.connection, self.table)

    def column(self, name: str) -> str:
        """Return the column of something that the log has, by what we call it."""
        return self.of_field(self.log.fields[name])

    def of_field(self, name: str) -> str:
        """Return the column of a field of the log's model."""
        return f"{self.table}.{self.connection.ops.quote_name(column_of(self.log.model, name))}"

    def each(
        self, windows: Sequence[Window], narrow: Narrow, columns: Sequence[str], tail: str
    ) -> Iterator[tuple[int, Sequence[Any]]]:
        """Yield (place of the window, values of the columns) of every row found."""
        names = ", ".join(f"{column} AS c{number}" for number, column in enumerate(columns))
        head = f"{names} FROM {self.table}"
        if self.connection.vendor in _ARRAYS:
            return self._in_arrays(windows, narrow, head, tail, len(columns))
        return self._in_a_union(windows, narrow, head, tail)

    def _in_arrays(
        self, windows: Sequence[Window], narrow: Narrow, head: str, tail: str, width: int
    ) -> Iterator[tuple[int, Sequence[Any]]]:
        array, wanted, number, name, since = _ARRAYS[self.connection.vendor]
        where, parameters = self._where(narrow(RawSQL(name, ()), RawSQL(since, ())))  # noqa: S611 - constants
        array = array.format(columns=", ".join(f"part.c{place}" for place in range(width)))
        sql = (
            f"SELECT {number}, (SELECT {array} FROM (SELECT {head} WHERE {where} {tail}) part) "  # noqa: S608 - columns of models
            f"FROM {wanted}"
        )
        items = [(window.task_name, self._adapted(window.since)) for window in windows]
        # PostgreSQL has the parameter last in the text, too.
        for place, rows in self._fetch(sql, [*parameters, json.dumps(items, default=str)]):
            for row in json.loads(rows) if isinstance(rows, str) else rows or ():
                yield place, row

    def _in_a_union(
        self, windows: Sequence[Window], narrow: Narrow, head: str, tail: str
    ) -> Iterator[tuple[int, Sequence[Any]]]:
        """MariaDB plans no range by the values of another table, but a thousand parts quickly."""
        where, parameters = self._where(narrow(_NAME_MARK, _SINCE_MARK))
        mark = self._adapted(_SINCE_MARK)
        parts = [f"(SELECT {place}, {head} WHERE {where} {tail})" for place in range(len(windows))]
        values = [
            {_NAME_MARK: name, mark: since}.get(value, value)
            for name, since in ((one.task_name, self._adapted(one.since)) for one in windows)
            for value in parameters
        ]
        for place, *row in self._fetch(" UNION ALL ".join(parts), values):
            yield place, row

    def _where(self, rows: Rows) -> tuple[str, list[Any]]:
        compiler = rows.query.get_compiler(connection=self.connection)
        sql, parameters = compiler.compile(rows.query.where)
        return sql, list(parameters)

    def _adapted(self, at: datetime) -> Any:
        return self.connection.ops.adapt_datetimefield_value(at)

    def _fetch(self, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        with self.connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            found: list[tuple[Any, ...]] = cursor.fetchall()
        return found
