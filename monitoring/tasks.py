"""The Celery tasks: thin doors to the check and to delivery."""

from __future__ import annotations

from typing import Any

from celery import shared_task
from celery.app.task import Task

from monitoring import doors


@shared_task(name="monitor_task_status", bind=True, typing=False)
def monitor_task_status(self: Task[..., Any], /, *args: object, **kwargs: object) -> dict[str, Any]:
    """Check rules and mail what is owed; return a summary as plain JSON values.

    Without arguments: every enabled rule. With one dictionary: the documented configuration.
    With rules=[names] or tasks=[task names]: these stored rules.
    Works without worker and broker when called directly. Raises ValueError at the end, when
    everything that can be checked has been checked and mailed, if an argument is wrong, a rule
    cannot be judged or a message has no recipient.
    """
    periodic_task = getattr(self.request, "periodic_task_name", None) or ""
    report = doors.check(args, kwargs, periodic_task=periodic_task)
    if report.problems:
        raise ValueError("\n".join(report.problems))
    return report.as_dict()


@shared_task
def deliver_notifications() -> dict[str, int]:
    """Send what the outbox owes; return how many were sent, failed and deferred."""
    return doors.deliver().as_dict()
