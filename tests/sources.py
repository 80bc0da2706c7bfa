"""Every kind of task log: how it is set, and how a test's execution is stored there."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django_celery_results.models import TaskResult

from monitoring.models import BackgroundTask
from monitoring.tasklogs.celery_results import STATUSES
from tests.hostlogs.models import BackgroundTask as HostTask
from tests.hostlogs.models import JobRun


@dataclass(frozen=True, kw_only=True)
class Source:
    """A task log of a test."""

    model: type[Any]
    store: Callable[[dict[str, Any]], Any]
    """Stores an execution that is given in the columns of our own log."""
    settings: dict[str, Any] = field(default_factory=dict)
    """What MONITORING says of it."""


def _own(columns: dict[str, Any]) -> Any:
    return BackgroundTask.objects.create(**columns)


def _host(columns: dict[str, Any]) -> Any:
    columns["submitted_on"] = columns.pop("submitted_at")
    return HostTask.objects.create(**_known(HostTask, columns))


def _jobs(columns: dict[str, Any]) -> Any:
    error, context = columns.get("errors"), columns.get("context_id")
    return JobRun.objects.create(
        # Of two that began together the later one counts, so keys that count up are given.
        id=uuid.UUID(int=int(columns["task_id"].rpartition("-")[2])),
        job=columns["task_name"],
        ticket=columns["task_id"],
        state=_STATES[columns["status"].title()],
        asked=columns["submitted_at"],
        begun=columns["started_at"],
        ended=columns.get("finished_at"),
        trouble=error or None,
        subject=int(context) if context and context.isdecimal() else None,
        host=columns.get("worker", ""),
    )


_STATES = {
    "Pending": JobRun.State.WAITING,
    "Queued": JobRun.State.TAKEN,
    "Running": JobRun.State.ACTIVE,
    "Completed": JobRun.State.DONE,
    "Stopped": JobRun.State.BROKEN,
    "Cancelled": JobRun.State.DROPPED,
    "Invalidated": JobRun.State.AGAIN,
}
_CELERY_STATES = {status.value: state for state, status in reversed(STATUSES.items())}


def _results(columns: dict[str, Any]) -> Any:
    started: datetime | None = columns["started_at"]
    submitted: datetime | None = columns["submitted_at"]
    kind, _, said = columns.get("errors", "").rpartition(": ")
    wrong = {"exc_type": kind or "Exception", "exc_message": [said], "exc_module": "builtins"}
    result = wrong if said else None
    context = columns.get("context_id", "")
    argument = int(context) if context.isdecimal() else context
    row = TaskResult.objects.create(
        task_id=columns["task_id"],
        task_name=columns["task_name"],
        status=_CELERY_STATES[columns["status"].title()],
        worker=columns.get("worker"),
        date_started=started,
        result=json.dumps(result),
        task_args=json.dumps(repr((argument,) if context else ())),
        task_kwargs=json.dumps(repr({})),
        content_type="application/json",
        content_encoding="utf-8",
    )
    created = min(at for at in (submitted, started) if at is not None)
    # Both are set to the time of the row, whatever they are given.
    TaskResult.objects.filter(pk=row.pk).update(
        date_created=created, date_done=columns.get("finished_at") or started or created
    )
    return row


def _known(model: type[Any], columns: dict[str, Any]) -> dict[str, Any]:
    names = {one.name for one in model._meta.concrete_fields}
    return {name: value for name, value in columns.items() if name in names}


OWN = Source(model=BackgroundTask, store=_own)
HOST = Source(model=HostTask, store=_host, settings={"TASK_LOG": "core.BackgroundTask"})
JOBS = Source(
    model=JobRun,
    store=_jobs,
    settings={
        "TASK_LOG": "core.JobRun",
        "TASK_LOG_FIELDS": {
            "task_name": "job",
            "task_id": "ticket",
            "status": "state",
            "submitted_at": "asked",
            "started_at": "begun",
            "finished_at": "ended",
            "errors": "trouble",
            "context_id": "subject",
            "worker": "host",
        },
        "TASK_LOG_STATUSES": {str(state.value): name for name, state in _STATES.items()},
    },
)
RESULTS = Source(
    model=TaskResult, store=_results, settings={"TASK_LOG": "django_celery_results.TaskResult"}
)
SOURCES = {"own": OWN, "host": HOST, "jobs": JOBS, "results": RESULTS}
