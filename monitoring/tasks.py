"""The Celery tasks: thin doors to the check, to delivery and to the deletion of old history.

All are acknowledged late: what a lost worker has begun is delivered again by the broker, and the
record of checks and the claims of the outbox make that harmless.
"""

from __future__ import annotations

import logging
from typing import Any

from celery import shared_task
from celery.app.task import Task

from monitoring import doors
from monitoring.runs import Request

logger = logging.getLogger("monitoring.tasks")

PRUNE_PASS = 10 * 60
"""Seconds after which a worker deletes no more, and asks for another pass."""

CHECK_LIMIT = 10 * 60
DELIVERY_LIMIT = 8 * 60
PRUNE_LIMIT = 15 * 60
"""Seconds, longer than a pass takes. All are far below the hour after which Redis redelivers, and
only the limits that kill: whatever a kill cuts short is finished by the next."""


@shared_task(
    name="monitor_task_status",
    bind=True,
    typing=False,
    acks_late=True,
    reject_on_worker_lost=True,
    time_limit=CHECK_LIMIT,
)
def monitor_task_status(self: Task[..., Any], /, *args: object, **kwargs: object) -> dict[str, Any]:
    """Check rules and mail what is owed; return a summary as plain JSON values.

    Without arguments: every enabled rule. With one dictionary: the documented configuration.
    With rules=[names] or tasks=[task names]: these stored rules.
    Works without worker and broker when called directly. Raises ValueError at the end, when
    everything that can be checked has been checked and mailed, if an argument is wrong, a rule
    cannot be judged or a message has no recipient.
    """
    if self.request.called_directly or self.request.is_eager:
        report = doors.check(args, kwargs)
    else:
        periodic_task = getattr(self.request, "periodic_task_name", None) or ""
        request = Request(task_id=str(self.request.id or ""), periodic_task=periodic_task)
        report = doors.check(args, kwargs, request=request, hand_over=hand_over_delivery)
        doors.send_heartbeat()
    if report.problems:
        raise ValueError("\n".join(report.problems))
    return report.as_dict()


@shared_task(
    bind=True,
    acks_late=True,
    reject_on_worker_lost=True,
    time_limit=DELIVERY_LIMIT,
)
def deliver_notifications(self: Task[..., Any]) -> dict[str, int]:
    """Send what the outbox owes; return how many were sent, failed and deferred.

    In a worker it comes back by itself, after 15 minutes at most, while anything is owed.
    """
    done = doors.deliver()
    if not (self.request.called_directly or self.request.is_eager):
        doors.send_heartbeat()
        wait = doors.book_wakeup()
        if wait is not None:
            deliver_notifications.apply_async(countdown=wait.total_seconds())
    return done.as_dict()


@shared_task(
    bind=True,
    acks_late=True,
    reject_on_worker_lost=True,
    time_limit=PRUNE_LIMIT,
)
def prune_history(self: Task[..., Any]) -> dict[str, int]:
    """Delete history older than `RETENTION_DAYS`; return how many rows of each kind.

    In a worker it ends after ten minutes, and comes back at once if that was not enough. It does
    not if it found nothing in that time, and would find nothing again.
    """
    if self.request.called_directly or self.request.is_eager:
        return doors.prune()[0]
    done, is_all = doors.prune(PRUNE_PASS)
    if not is_all and any(done.values()):
        prune_history.delay()
    return done


def hand_over_delivery() -> None:
    """Let a worker deliver what is due; do it here if no broker takes the message."""
    if not doors.has_due():
        return
    try:
        deliver_notifications.delay()
    except Exception as error:  # whatever a transport raises
        logger.warning("delivery cannot be handed over and is done here: %s", error)
        doors.deliver()
