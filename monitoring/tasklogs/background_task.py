"""Our own task log, which the recorder writes."""

from __future__ import annotations

from monitoring.core.statuses import Status
from monitoring.models import BackgroundTask
from monitoring.tasklogs.base import OPTIONAL, TaskLog

OWN = TaskLog(
    model=BackgroundTask,
    fields={name: name for name in ("task_name", "status", *OPTIONAL)},
    started=("started_at",),
    statuses={status.value: status for status in Status},
    since=("submitted_at", "first_started_at", "last_update"),
    times=("submitted_at", "first_started_at", "started_at", "finished_at", "last_update"),
    is_own=True,
    context_fields=("context_id",),
)
