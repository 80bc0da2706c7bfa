"""What the pages show of the task log: the last executions of some tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import compress
from typing import Any

from django.db import connections
from django.db.models import QuerySet, TextField, Value
from django.db.models.functions import Cast

from monitoring.contexts import resolve, types_of
from monitoring.core.measures import SAMPLES_READ
from monitoring.core.past import Past
from monitoring.core.rhythm import Run
from monitoring.core.statuses import FINISHED, Status
from monitoring.core.values import Execution, Rule
from monitoring.core.verdicts import MAX_CLOCK_SKEW
from monitoring.models.raw_values import as_utc, utc_reader
from monitoring.tasklogs.base import TaskLog, UnknownStatusError
from monitoring.tasklogs.measuring import completed_of
from monitoring.tasklogs.reading import executions
from monitoring.tasklogs.seek import exact_name, named, start_sql
from monitoring.tasklogs.source import task_log

TASKS_AT_ONCE = 200
_ROWS_AT_ONCE = 500
"""So few that the garbage collector is not called for them."""


def recent(task_names: Iterable[str], most: int) -> dict[str, list[Execution]]:
    """Return the last started executions of each task, the newest first, at most `most` of each.

    One statement for every two hundred tasks, with one index range for each task in it: a window
    function would read every execution that these tasks ever had.
    """
    names = sorted(set(task_names))
    found: dict[str, list[Execution]] = {name: [] for name in names}
    for start in range(0, len(names), TASKS_AT_ONCE):
        for execution in _recent(task_log(), names[start : start + TASKS_AT_ONCE], most):
            if execution.task_name in found:  # a host's column may ignore case
                found[execution.task_name].append(execution)
    for some in found.values():
        some.sort(key=lambda one: (one.started_at, one.pk), reverse=True)
    return found


def _recent(log: TaskLog, names: Sequence[str], most: int) -> Iterator[Execution]:
    for pk, name, status, started_at, (finished_at, task_id) in _rows(
        log, names, most, ("finished_at", "task_id")
    ):
        yield Execution(
            pk=log.pk_of(pk),
            task_name=name,
            status=status,
            started_at=started_at,
            finished_at=finished_at if status in FINISHED else None,
            task_id=str(task_id or ""),
        )


def timings(task_names: Iterable[str], most: int) -> dict[str, list[Run]]:
    """Return when the last executions of each task were sent, began and ended, as `recent` does."""
    names, log = sorted(set(task_names)), task_log()
    found: dict[str, list[Run]] = {name: [] for name in names}
    for start in range(0, len(names), TASKS_AT_ONCE):
        for _pk, name, status, started_at, (finished_at, submitted_at) in _rows(
            log, names[start : start + TASKS_AT_ONCE], most, ("finished_at", "submitted_at")
        ):
            if name in found:
                ended = finished_at if status in FINISHED else None
                found[name].append(Run(started_at, status, submitted_at, ended))
    for some in found.values():
        some.sort(key=lambda one: one.started_at, reverse=True)
    return found


def _rows(
    log: TaskLog, names: Sequence[str], most: int, columns: Sequence[str]
) -> Iterator[tuple[Any, str, Status, datetime, list[Any]]]:
    """Yield primary key, task, status, start and these columns; times as such."""
    connection = connections[log.alias]
    sql, parameters = _recent_sql(log, connection, most, columns)
    parts = " UNION ALL ".join(f"{sql}{number}" for number in range(len(names)))
    with connection.cursor() as cursor:
        cursor.execute(parts, [value for name in names for value in (name, *parameters)])
        rows = cursor.fetchall()
    zone = connection.timezone
    are_times = [column.endswith("_at") for column in columns]
    for pk, name, stored, started_at, *others in rows:
        try:
            status = log.status_of(stored)
        except UnknownStatusError:  # the rule's verdict says so
            continue
        found = [
            as_utc(value, zone) if is_time and value is not None else value
            for value, is_time in zip(others, are_times, strict=True)
        ]
        yield pk, name, status, as_utc(started_at, zone), found


def _recent_sql(
    log: TaskLog, connection: Any, most: int, columns: Sequence[str]
) -> tuple[str, list[Any]]:
    """Return the statement for one task, to be numbered, and its parameters after the name."""
    quote = connection.ops.quote_name
    meta: Any = log.model._meta
    start = start_sql(log, connection, "task")
    pk, name = quote(meta.pk.column), quote(log.column("task_name"))
    others = ", ".join(
        f"task.{quote(log.column(column))} AS {column}"
        if column in log.fields
        else f"NULL AS {column}"
        for column in columns
    )
    waiting: list[Any] = []
    guessed = ""
    if log.start_is_a_guess:
        waiting = log.not_started
        guessed = (
            f" AND task.{quote(log.column('status'))} NOT IN ({', '.join(['%s'] * len(waiting))})"
        )
    return (
        f"SELECT * FROM (SELECT task.{pk} AS pk, task.{name} AS name, "  # noqa: S608 - columns of models
        f"task.{quote(log.column('status'))} AS status, {start} AS started, {others} "
        f"FROM {quote(meta.db_table)} task WHERE task.{name} = %s AND {start} IS NOT NULL{guessed} "
        f"ORDER BY {start} DESC, task.{pk} DESC LIMIT {int(most)}) part"
    ), waiting


def between(task_name: str, start: datetime, end: datetime, most: int) -> list[Execution]:
    """Return the executions of a task that started in a stretch of time, the newest first."""
    log = task_log()
    rows = log.started_rows().filter(
        log.of_tasks([task_name]), log_start__gte=start, log_start__lte=end
    )
    rows = rows.order_by("-log_start", "-pk")[:most]
    return [one for _, one in executions(log, rows, {}) if one.task_name == task_name]


def past(rule: Rule, start: datetime, end: datetime, most: int) -> tuple[Past, bool]:
    """Return the executions that a rule would have looked at, by start, and whether some are left.

    Only the newest `most` rows of the task are read, whatever their context.

    Without their errors, ids and workers, which tell a backtest nothing. One statement, and one
    for every ten thousand contexts.
    Raises ContextError if the rule's context cannot be applied.
    """
    log = task_log()
    rows = log.started_rows().filter(
        log.of_tasks([rule.task_name]), log_start__gte=start, log_start__lte=end
    )
    # A host's column may ignore case.
    rows = rows.alias(log_name=exact_name(log)).filter(log_name=rule.task_name)
    fields = log.context_fields if rule.context is not None else ()
    columns: tuple[list[Any], ...] = ([], [], [], [], [])
    parts = [part.order_by("-log_start", "-pk")[: most + 1] for part in _parts(log, rows)]
    for page in _past(log, parts, fields):
        for column, values in zip(columns, page, strict=True):
            column.extend(values)
    order = _oldest_first(log, columns)
    is_cut = len(order) > most
    kept = order[-most:]
    *read, contexts = (list(map(column.__getitem__, kept)) if column else [] for column in columns)
    if rule.context is not None:
        model, path = resolve(rule.context)
        ids = [log.read_context_id(rule.task_name, *values) for values in contexts]
        types = types_of(model, path, set(ids))
        of_type = [types.get(context_id) == rule.context.type for context_id in ids]
        read = [list(compress(column, of_type)) for column in read]
    return Past(rule.task_name, *read), is_cut


def _parts(log: TaskLog, rows: QuerySet[Any]) -> list[QuerySet[Any]]:
    """Return the executions of a task, in our own log status by status.

    There an index holds all that is read, in the order of starts within a status.
    """
    if not log.is_own:
        return [rows]
    return [rows.filter(**{log.fields["status"]: stored}) for stored in log.statuses]


def _oldest_first(log: TaskLog, columns: Sequence[list[Any]]) -> Sequence[int]:
    """Return the places of executions that were read the newest first, maybe in parts."""
    pks, _, starts, *_ = columns
    if not log.is_own:
        return range(len(pks) - 1, -1, -1)
    return sorted(range(len(pks)), key=list(zip(starts, pks, strict=True)).__getitem__)


def _past(
    log: TaskLog, parts: Sequence[QuerySet[Any]], context_fields: Sequence[str]
) -> Iterator[tuple[Iterable[Any], ...]]:
    """Yield the rows that can be read, page by page, as columns; the values of contexts in one.

    Straight from the driver, with times as text: there may be a hundred thousand rows, and what
    Django does to each takes several times as long as reading it.
    """
    connection = connections[log.alias]
    as_text = [Cast(log.start, TextField()), _finish(log)]
    names = {f"time_{number}": time for number, time in enumerate(as_text)}
    columns = ("pk", log.fields["status"], *names, *context_fields)
    sql, parameters = _one_after_the_other(
        [part.annotate(**names).values_list(*columns) for part in parts], connection
    )
    at = utc_reader(connection.timezone, connection.vendor)
    known: dict[Any, Status | None] = {}
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        while page := cursor.fetchmany(_ROWS_AT_ONCE):
            for stored in {row[1] for row in page} - known.keys():
                known[stored] = _status_or_none(log, stored)
            if not (page := [row for row in page if known[row[1]] is not None]):
                continue
            pks, stored_ones, starts, finishes, *values = zip(*page, strict=True)
            statuses = [known[one] for one in stored_ones]
            yield (
                pks if isinstance(pks[0], int) else map(log.pk_of, pks),
                statuses,
                at(starts),
                _known(at, finishes, [status in FINISHED for status in statuses]),
                zip(*values, strict=True) if context_fields else (),
            )


def _one_after_the_other(parts: Sequence[QuerySet[Any]], connection: Any) -> tuple[str, list[Any]]:
    """Return one statement for all; Django's own union knows no limit of a part on SQLite."""
    compiled = [part.query.get_compiler(connection=connection).as_sql() for part in parts]
    if len(compiled) == 1:
        return compiled[0][0], list(compiled[0][1])
    statements = (
        f"SELECT * FROM ({sql}) part{number}"  # noqa: S608 - compiled by Django
        for number, (sql, _values) in enumerate(compiled)
    )
    return " UNION ALL ".join(statements), [value for _sql, values in compiled for value in values]


def _known(
    at: Callable[[Any], list[datetime]], texts: Sequence[str | None], are_over: Sequence[bool]
) -> list[datetime | None]:
    """Return the finishes; those of executions that are not over say nothing."""
    if all(texts) and all(are_over):
        return [*at(filter(None, texts))]
    times = iter(
        at(text for text, is_over in zip(texts, are_over, strict=True) if is_over and text)
    )
    return [
        next(times) if is_over and text else None
        for text, is_over in zip(texts, are_over, strict=True)
    ]


def _finish(log: TaskLog) -> Any:
    name = log.fields.get("finished_at")
    return Cast(name, TextField()) if name else Value(None, TextField())


def _status_or_none(log: TaskLog, stored: Any) -> Status | None:
    try:
        return log.status_of(stored)
    except UnknownStatusError:  # the rule's verdict says so
        return None


def first_start(task_name: str) -> datetime | None:
    """Return when the first execution of a task began that the log holds."""
    log = task_log()
    rows = named(log, log.started_rows(), task_name)
    first = rows.annotate(log_begun=log.start).order_by("log_start", "pk")
    found: datetime | None = first.values_list("log_begun", flat=True).first()
    return found


def completed_before(rule: Rule, at: datetime) -> list[Execution]:
    """Return the last executions that completed and a rule would have looked at, by start.

    As many as say what is usual, of those that started before `at`.
    Raises ContextError if the rule's context cannot be applied.
    """
    # What counts as no later than a time allows for clocks that differ.
    found = completed_of(task_log(), rule, at - MAX_CLOCK_SKEW)
    earlier = [one for one in _watched(rule, found) if one.started_at < at]
    return earlier[:SAMPLES_READ][::-1]


def _watched(rule: Rule, found: Sequence[tuple[str, Execution]]) -> list[Execution]:
    """Return those of (context id, execution) that a rule watches."""
    if rule.context is None:
        return [one for _, one in found]
    model, path = resolve(rule.context)
    types = types_of(model, path, {context_id for context_id, _ in found})
    return [one for context_id, one in found if types.get(context_id) == rule.context.type]


def find_pk(task_id: str) -> Any:
    """Return the primary key of an execution in the log, or None."""
    log = task_log()
    if "task_id" not in log.fields:
        return None
    rows = log.rows().filter(**{log.fields["task_id"]: task_id})
    return rows.values_list("pk", flat=True).first()
