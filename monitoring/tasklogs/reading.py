"""Rows of the task log, whichever it is, as the core's values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connections
from django.db.models import Count, Max, Min, QuerySet, TextField
from django.db.models.functions import Cast, Left

from monitoring.core.messages import MAX_ERROR_LENGTH
from monitoring.core.statuses import FINISHED, NOT_STARTED
from monitoring.core.values import Execution, Waiting
from monitoring.models.name_table import among
from monitoring.models.raw_values import as_utc, utc_reader
from monitoring.tasklogs.base import TaskLog, UnknownStatusError
from monitoring.tasklogs.seek import exact_name, newest


@dataclass(frozen=True, slots=True)
class Latest:
    """The newest execution of each of some tasks."""

    executions: dict[str, Execution] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    """Why the newest row of a task cannot be read."""


def newest_of(log: TaskLog, rows: QuerySet[Any], task_names: Iterable[str]) -> Latest:
    """Return the newest of the rows for each task, with what a verdict needs, in one query."""
    latest = Latest()
    connection = connections[rows.db]
    read = newest(log, rows, task_names)
    starts = utc_reader(connection.timezone, connection.vendor)([row[3] for row in read])
    found, statuses = latest.executions, log.statuses
    for (pk, name, stored, _start), started_at in zip(read, starts, strict=True):
        # The usual case without a call: this runs for every rule of every check.
        status = statuses.get(stored)
        try:
            found[name] = Execution(
                pk if pk.__class__ is int else log.pk_of(pk),
                name,
                log.status_of(stored) if status is None else status,
                started_at,
            )
        except UnknownStatusError as error:
            latest.unreadable[name] = str(error)
    return latest


def executions(
    log: TaskLog, rows: QuerySet[Any], unreadable: dict[str, str], *, in_full: bool = True
) -> Iterator[tuple[str, Execution]]:
    """Yield (context id, execution) of each row, with everything that a message says of it.

    unreadable: gets why rows were left out, by task name. in_full: False: with no more than a
    verdict turns on, which is half of the work.
    """
    wanted = ("finished_at", "task_id", "worker") if in_full else ("finished_at",)
    extra = [name for name in wanted if name in log.fields]
    error = {"log_error": _beginning(log)} if in_full and "errors" in log.fields else {}
    # As text: see `seek`.
    times = {"log_start_text": Cast(log.start, TextField())}
    if "finished_at" in extra:
        times["log_finish_text"] = Cast(log.fields["finished_at"], TextField())
    read = rows.annotate(**times, **error).values_list(
        *("pk", "log_start_text", log.fields["task_name"], log.fields["status"]),
        *("log_finish_text" if name == "finished_at" else log.fields[name] for name in extra),
        *error,
        *log.context_fields,
    )
    names = (*extra, *error)
    zone = connections[rows.db].timezone
    for pk, started_at, name, stored, *values in read.iterator():
        found = dict(zip(names, values, strict=False))
        try:
            status = log.status_of(stored)
        except UnknownStatusError as problem:
            unreadable[name] = str(problem)
            continue
        # Some logs write the time of every change there.
        finished_at = found.get("finished_at") if status in FINISHED else None
        execution = Execution(
            pk,
            name,
            status,
            as_utc(started_at, zone),
            as_utc(finished_at, zone) if finished_at else None,
            str(found.get("task_id") or ""),
            str(found.get("worker") or ""),
            log.read_error(status, str(found.get("log_error") or ""))[:MAX_ERROR_LENGTH],
        )
        yield log.read_context_id(name, *values[len(names) :]), execution


def _beginning(log: TaskLog) -> Left:
    """Return the beginning of the error: it can be long, and a batch is a thousand rules."""
    name = log.fields["errors"]
    is_text = isinstance(log.model._meta.get_field(name), TextField)
    return Left(name if is_text else Cast(name, TextField()), log.error_length)


def waiting_of(log: TaskLog, task_names: Iterable[str]) -> dict[str, Waiting]:
    """Return what waits in the queue, by task name, in one query."""
    names = set(task_names)
    if not names:
        return {}
    submitted = log.fields.get("submitted_at")
    times = (Min(submitted), Max(submitted)) if submitted else ()
    first, *others = (
        rows.order_by()
        .annotate(log_name=exact_name(log))
        .values_list("log_name", log.fields["status"])
        .annotate(Count("pk"), *times)
        for rows in _waiting_rows(log, sorted(names))
    )
    waiting: dict[str, Waiting] = {}
    for name, status, count, *between in first.union(*others, all=True) if others else first:
        if name not in names:
            continue
        oldest_at, last = between or (None, None)
        before = waiting.get(name, Waiting())
        latest = {log.status_of(status): last} if last else {}
        waiting[name] = Waiting(
            count=before.count + count,
            since=min((at for at in (before.since, oldest_at) if at), default=None),
            newest={**before.newest, **latest},
        )
    return waiting


def _waiting_rows(log: TaskLog, names: list[str]) -> Iterator[QuerySet[Any]]:
    """Yield what waits of these tasks; beside our log on MariaDB and MySQL in one part.

    There a status by itself and a table of names, because a list of each lets the server take the
    index of starts and read all that these tasks have ever run.
    """
    if not log.is_own or connections[log.alias].vendor != "mysql":
        yield log.rows().filter(log.has_status(NOT_STARTED), log.of_tasks(names))
        return
    wanted = log.rows().filter(**{f"{log.fields['task_name']}__in": among(names, log.alias)})
    for stored in log.not_started:
        yield wanted.filter(**{log.fields["status"]: stored})


def oldest(log: TaskLog) -> datetime | None:
    """Return when the oldest execution of the log was submitted or started."""
    rows = log.rows()
    times: Iterable[Any]
    if log.counts_up:
        times = rows.order_by("pk").values_list(*log.since).first() or ()
    else:
        times = rows.aggregate(**{f"oldest_{name}": Min(name) for name in log.since}).values()
    return min((at for at in times if at is not None), default=None)
