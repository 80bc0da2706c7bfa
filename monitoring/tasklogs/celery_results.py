"""The task log of django-celery-results: its model `TaskResult`.

Versions 2.5 and 2.6. A start is `date_started`, which 2.6 writes with CELERY_TASK_TRACK_STARTED;
without it, and in 2.5, the row's creation stands in: with tracking that is the first attempt's
start, without it the moment when the task ended.
"""

from __future__ import annotations

import ast
import json
import re
from typing import Any

from celery import states
from django.db import models

from monitoring.conf import get_settings
from monitoring.core.context_ids import context_id_of
from monitoring.core.statuses import Status
from monitoring.tasklogs.base import TaskLog

MODEL = "django_celery_results.taskresult"

STATUSES = {
    states.PENDING: Status.PENDING,
    states.RECEIVED: Status.QUEUED,
    states.STARTED: Status.RUNNING,
    states.SUCCESS: Status.COMPLETED,
    states.IGNORED: Status.COMPLETED,
    states.FAILURE: Status.STOPPED,
    states.REJECTED: Status.STOPPED,
    states.REVOKED: Status.CANCELLED,
    states.RETRY: Status.INVALIDATED,
}
_WITH_ERROR = frozenset({Status.STOPPED, Status.CANCELLED, Status.INVALIDATED})
_UUID = re.compile(r"UUID\(('[0-9a-fA-F-]{36}')\)")
_BEGINNING = re.compile(r'\{"exc_type": "(?P<kind>[^"]+)", "exc_message": \[?"(?P<said>[^"\\]*)')
_LONGEST = 10_000


def describe(model: type[models.Model]) -> TaskLog:
    """Return how executions are read from `TaskResult`."""
    has_start = any(field.name == "date_started" for field in model._meta.concrete_fields)
    started = ("date_started", "date_created") if has_start else ("date_created",)
    return TaskLog(
        model=model,
        fields={
            "task_id": "task_id",
            "task_name": "task_name",
            "status": "status",
            "submitted_at": "date_created",
            "finished_at": "date_done",
            "worker": "worker",
            "errors": "result",
        },
        started=started,
        start_is_a_guess=True,
        statuses=STATUSES,
        # A state of the project's own, "PROGRESS" say, is told while the task runs.
        other_status=Status.RUNNING,
        since=("date_created",),
        times=("date_created", *started[:-1], "date_done"),
        context_fields=("task_args", "task_kwargs"),
        read_context_id=read_context_id,
        error_length=_LONGEST,
        read_error=read_error,
    )


def read_context_id(task_name: str, args: str | None, kwargs: str | None) -> str:
    """Return the key of the context row from the stored arguments, or an empty text.

    They are Python's representation, in JSON: an argument that is cut or no plain value is lost.
    """
    given, named = _arguments(args), _arguments(kwargs)
    return context_id_of(
        given if isinstance(given, list | tuple) else (),
        named if isinstance(named, dict) else {},
        get_settings().CONTEXT_ARGUMENTS.get(task_name),
    )


def _arguments(stored: str | None) -> Any:
    if not stored or len(stored) > _LONGEST:
        return None
    try:
        value = json.loads(stored)
        return ast.literal_eval(_UUID.sub(r"\1", value)) if isinstance(value, str) else value
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None


def read_error(status: Status, result: str) -> str:
    """Return the exception that a failed task's result holds; results of others are private."""
    if status not in _WITH_ERROR:
        return ""
    try:
        value = json.loads(result)
    except ValueError:  # a long one is read to a part
        found = _BEGINNING.match(result)
        return f"{found['kind']}: {found['said']}" if found else ""
    if not isinstance(value, dict) or "exc_type" not in value:
        return ""
    said = value.get("exc_message")
    words = said if isinstance(said, list) else [said]
    text = ", ".join(str(word) for word in words if word not in (None, ""))
    return f"{value['exc_type']}: {text}" if text else str(value["exc_type"])
