"""Checks of the task log that executions are read from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from celery import current_app
from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Tags, register
from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from monitoring.core.linting import outlives
from monitoring.core.messages import number
from monitoring.models import MonitorRule
from monitoring.system_checks.messages import database_check, error, named, warning
from monitoring.system_checks.rules import label_of, watched
from monitoring.tasklogs import celery_results
from monitoring.tasklogs.base import TaskLog, column_of
from monitoring.tasklogs.host_model import TaskLogError
from monitoring.tasklogs.source import task_log


@register(Tags.models)
def check_task_log(**_: Any) -> Sequence[CheckMessage]:
    """Refuse a task log that cannot be read, and warn of one that holds too little."""
    try:
        log = task_log()
    except TaskLogError as problem:
        return [
            error("monitoring.E003", f"MONITORING: {problem}", "Correct this entry of MONITORING.")
        ]
    except ImproperlyConfigured:  # E001 says so
        return []
    return list(_unrecorded(log))


@register(Tags.compatibility)
def check_time_zones(**_: Any) -> Sequence[CheckMessage]:
    """Refuse times without a zone, which nobody can compare with a window."""
    if django_settings.USE_TZ:
        return []
    return [
        error(
            "monitoring.E004",
            "USE_TZ is False: times without a zone cannot be compared with a lookback window",
            "Set USE_TZ = True.",
        )
    ]


@database_check
def check_index() -> Iterator[CheckMessage]:
    """Warn of a task log in which the latest execution of a task is not found by an index."""
    log = _readable()
    if log is None or log.is_own or _has_index(log):
        return
    yield warning(
        "monitoring.W103",
        f"{log.label} has no index on task name and start: a check reads every execution of every "
        "task it looks at",
        f"Add one in a migration of yours: {_index_sql(log)};",
    )


@database_check
def check_expiry() -> Iterator[CheckMessage]:
    """Warn of results that expire before rules have looked at them."""
    kept = results_kept()
    if kept is None:
        return
    longer = [label_of(rule) for rule in watched(MonitorRule.objects.all()) if outlives(rule, kept)]
    hours = kept.total_seconds() / 3600
    if longer:
        yield warning(
            "monitoring.W110",
            f"results expire after {number(round(hours, 2))} h, before {named(longer)} "
            f"({len(longer)} in all) have looked back far enough: each of them would alarm falsely",
            "Set CELERY_RESULT_EXPIRES longer than the longest lookback.",
        )


def results_kept() -> timedelta | None:
    """Return how long executions are there where Celery's results are the task log.

    None: for ever, or the log is another.
    """
    log = _readable()
    if log is None or not _is_results(log):
        return None
    seconds = _seconds(current_app.conf.result_expires)
    return timedelta(seconds=seconds) if seconds else None


def _readable() -> TaskLog | None:
    try:
        return task_log()
    except TaskLogError:  # E003 says so
        return None


def _is_results(log: TaskLog) -> bool:
    return log.model._meta.label_lower == celery_results.MODEL


def _unrecorded(log: TaskLog) -> Iterator[CheckMessage]:
    if not _is_results(log):
        return
    if not current_app.conf.result_extended:
        yield warning(
            "monitoring.W101",
            "results hold no task names: every rule would find that its task has not executed",
            "Set CELERY_RESULT_EXTENDED = True.",
        )
    if not current_app.conf.task_track_started:
        yield warning(
            "monitoring.W102",
            "results hold no starts: a task is seen only when it has ended, and one that hangs is "
            "not seen at all",
            "Set CELERY_TASK_TRACK_STARTED = True.",
        )


def _seconds(expires: timedelta | float | None) -> float:
    """Return how long results are kept, in seconds; 0: for ever."""
    if isinstance(expires, timedelta):
        return expires.total_seconds()
    return float(expires or 0)


def _has_index(log: TaskLog) -> bool:
    connection = connections[log.alias]
    columns = {column_of(log.model, name) for name in log.started}
    with connection.cursor() as cursor:
        found = connection.introspection.get_constraints(cursor, log.model._meta.db_table)
    for constraint in found.values():
        if not constraint["index"] and not constraint["unique"]:
            continue
        first, *others = [*constraint["columns"], ""]
        # An expression, such as COALESCE of two columns, has no name.
        if first == log.column("task_name") and others[0] in {*columns, None}:
            return True
    return False


def _index_sql(log: TaskLog) -> str:
    connection = connections[log.alias]
    quote = connection.ops.quote_name
    columns = [quote(column_of(log.model, name)) for name in log.started]
    start = columns[-1]
    if len(columns) > 1 and connection.vendor != "mysql":
        start = f"(COALESCE({', '.join(columns)}))"
    table = log.model._meta.db_table
    name = quote(log.column("task_name"))
    return f"CREATE INDEX {table}_name_start ON {quote(table)} ({name}, {start})"
