"""Deleting history that is older than anybody wants to keep it, and never what is still needed.

| kind       | stays, however old                                                              |
|------------|---------------------------------------------------------------------------------|
| messages   | owed ones, those of an open event, and what one of these stands for              |
| events     | open ones, those that an open one waits for, and those with a message left       |
| runs       | the last of the same rules, those that owe messages or go on, and the very first |
| executions | running ones, those of an open event, and what a rule in force may look at       |
| workers    | none                                                                            |
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime

from django.db import router
from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery

from monitoring import lookbacks
from monitoring.conf import get_settings
from monitoring.core.gaps import EARLIER_CHECKS, SAME_CHECK
from monitoring.core.retention import cutoff, executions_cutoff
from monitoring.core.statuses import Status
from monitoring.models import (
    OWED,
    AlertEvent,
    MonitorRun,
    Notification,
    WorkerHeartbeat,
)
from monitoring.pruning import Pace, Target, count, delete
from monitoring.tasklogs.background_task import OWN
from monitoring.tasklogs.base import TaskLog
from monitoring.tasklogs.source import task_log

logger = logging.getLogger("monitoring.retention")


def task_logs() -> Iterator[TaskLog]:
    """Yield the logs that are pruned: one that is not ours only if the settings allow it."""
    yield OWN
    if get_settings().PRUNE_TASK_LOG and not task_log().is_own:
        yield task_log()


def prune(now: datetime, seconds: float | None = None) -> tuple[dict[str, int], bool]:
    """Delete old history; return how many rows of each kind, and whether all was done.

    now: aware, UTC. seconds: after which no other batch begins; None: all is done.
    """
    pace = Pace(seconds)
    done = {kind: sum(delete(target, pace) for target in targets) for kind, targets in _all(now)}
    logger.info("old history deleted: %s; longest batch %.3f s", done, pace.longest)
    return done, not pace.is_over


def would_prune(now: datetime) -> dict[str, int]:
    """Return how many rows of each kind `prune` would delete, and write nothing."""
    found = _all(now, is_planned=True)
    return {kind: sum(count(target) for target in targets) for kind, targets in found}


def _all(now: datetime, *, is_planned: bool = False) -> Iterator[tuple[str, list[Target]]]:
    """Yield the kinds, those first that refer to others.

    is_planned: nothing is deleted, so what goes first is still there for what comes after it.
    """
    days = get_settings().RETENTION_DAYS
    before = {kind: cutoff(days[kind], now) for kind in days}
    messages = before["messages"]
    left = _left_messages(messages) if is_planned else Notification.objects.all()
    if messages:
        yield "messages", [_messages(messages)]
    if at := before["events"]:
        yield "events", [_events(at, left)]
    if at := before["runs"]:
        yield "runs", [_runs(at, now)]
    if before["executions"]:
        yield "executions", list(_executions(days["executions"], now))
    if at := before["workers"]:
        yield "workers", [_workers(at)]


def _messages(at: datetime) -> Target:
    owed = Notification.objects.owed()
    members = Notification.objects.filter(digest=OuterRef("pk"))
    needed_members = members.filter(Q(state__in=OWED) | Q(alert_event__open_key__isnull=False))
    return Target(
        rows=Notification.objects.all(),
        may_go=Q(created_at__lt=at, alert_event__open_key__isnull=True)
        & ~Q(state__in=OWED)
        # Who stands in for others says who did not get it.
        & ~Q(Exists(owed.filter(alert_event=OuterRef("alert_event"))))
        & ~Q(Exists(owed.filter(stands_in_for=OuterRef("pk"))))
        & ~Q(Exists(owed.filter(pk=OuterRef("digest"))))
        & ~Q(Exists(needed_members)),
        still_may_go=~Q(state__in=OWED),
        came_early=Q(created_at__lt=at),
        references=((Notification, "digest"), (Notification, "stands_in_for")),
    )


def _left_messages(at: datetime | None) -> QuerySet[Notification]:
    """Return the messages of resolved events that a prune would leave, and perhaps some others."""
    if at is None:
        return Notification.objects.all()
    is_needed = Q(created_at__gte=at) | Q(state__in=OWED) | Q(digest__state__in=OWED)
    return Notification.objects.filter(is_needed)


def _events(at: datetime, left: QuerySet[Notification]) -> Target:
    waiting = AlertEvent.objects.open().filter(upstream=OuterRef("pk"))
    return Target(
        rows=AlertEvent.objects.all(),
        may_go=Q(open_key__isnull=True, resolved_at__lt=at)
        & ~Q(Exists(left.filter(alert_event=OuterRef("pk"))))
        & ~Q(Exists(waiting)),
        still_may_go=Q(open_key__isnull=True),
        came_early=Q(opened_at__lt=at),
        references=((AlertEvent, "upstream"),),
    )


def _runs(at: datetime, now: datetime) -> Target:
    same = MonitorRun.objects.filter(
        identity=OuterRef("identity"), state=OuterRef("state"), started_at__lt=now + SAME_CHECK
    )
    oldest_kept = same.order_by("-started_at").values("started_at")[
        EARLIER_CHECKS - 1 : EARLIER_CHECKS
    ]
    # It tells since when tasks are watched, which is how "did not run" is told from "not recorded".
    first = MonitorRun.objects.order_by("pk").values_list("pk", flat=True).first()
    return Target(
        rows=MonitorRun.objects.all(),
        may_go=Q(started_at__lt=at, lease__isnull=True)
        & Q(started_at__lt=Subquery(oldest_kept))
        & ~Q(Exists(Notification.objects.owed().filter(run=OuterRef("pk")))),
        still_may_go=Q(lease__isnull=True),
        came_early=Q(started_at__lt=at),
        references=((Notification, "run"),),
        spared=frozenset({first}),
    )


def _executions(days: int | None, now: datetime) -> Iterator[Target]:
    at = executions_cutoff(days, lookbacks.needs(now), now)
    if at is None:
        return
    events = AlertEvent.objects.open()
    named = events.exclude(task_id="").values_list("task_id", flat=True)
    # As a set, because another task log may be in another database.
    spared = frozenset(named)
    for log in task_logs():
        yield executions_target(log, at, spared)


def executions_target(log: TaskLog, at: datetime, spared: frozenset[str]) -> Target:
    """Return which executions of any log may go: nothing has happened to them since `at`.

    spared: task ids of those that stay.
    """
    may_go = ~log.has_status({Status.RUNNING})
    came_early = Q()
    for name in log.times:
        is_old = Q(**{f"{name}__lt": at})
        may_go &= is_old | Q(**{f"{name}__isnull": True})
        came_early |= is_old
    may_go &= came_early
    task_id = log.fields.get("task_id")
    return Target(
        # Not through a replica that can only be read.
        rows=log.model._default_manager.using(router.db_for_write(log.model)),
        may_go=may_go,
        still_may_go=may_go,
        came_early=came_early if log.counts_up else None,
        spared_by=task_id or "pk",
        spared=spared if task_id else frozenset(),
        is_referred_to=not log.is_own,
    )


def _workers(at: datetime) -> Target:
    is_gone = Q(seen_at__lt=at)
    return Target(
        rows=WorkerHeartbeat.objects.all(), may_go=is_gone, still_may_go=is_gone, came_early=None
    )
