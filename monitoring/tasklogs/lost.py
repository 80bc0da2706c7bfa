"""Executions of our own log whose worker is dead: nobody else will say what became of them.

Each is marked with one compare-and-swap, `monitoring.core.lifecycle.lost` in SQL, so what is told
in the meantime stands, and what is told later wins.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import reduce
from itertools import groupby
from operator import attrgetter, or_

from django.db.models import F, Max, Q
from django.db.models.functions import Greatest

from monitoring.conf import get_settings
from monitoring.core.lifecycle import TO_LOST, WORKER_LOST
from monitoring.core.values import MAX_LOOKBACK_HOURS
from monitoring.core.workers import Heartbeat, Limits, Running, is_lost, limits
from monitoring.models import BackgroundTask, MonitorRule, TaskStatus, WorkerHeartbeat

logger = logging.getLogger("monitoring.recorder")

MOST = 5000
"""Executions that are judged at once; the next check takes the others."""


def mark_left_behind(node: str, booted_at: datetime, now: datetime) -> int:
    """Mark what a worker of this name was running before its process began; return how many."""
    running = _running(Q(worker=node, started_at__lt=booted_at))
    # MariaDB's comparison takes upper for lower case.
    return _mark([one for one in running if one.worker == node], now)


def mark_lost(now: datetime) -> int:
    """Mark every running execution whose worker must be dead; return how many.

    Part of a transaction. One query if there is none, four however many there are.
    """
    settings = get_settings()
    wait = limits(settings.WORKER_SILENT_MINUTES, settings.LOST_AFTER_HOURS)
    if not settings.records or wait.shortest is None:
        return 0
    running = _running(Q(started_at__lt=now - wait.shortest))
    return _mark(_lost(running, now, wait) if running else [], now)


def _running(which: Q) -> list[Running]:
    rows = BackgroundTask.objects.filter(which, status=TaskStatus.RUNNING)
    oldest = rows.order_by("started_at").values_list(*Running._fields)[:MOST]
    return [Running(*values) for values in oldest]


def _lost(running: Sequence[Running], now: datetime, wait: Limits) -> list[Running]:
    workers = _workers({one.worker for one in running})
    longest = _longest_runtimes({one.task_name for one in running})
    return [
        one
        for one in running
        if is_lost(
            one, workers.get(one.worker), longest.get(one.task_name, timedelta(0)), now, wait
        )
    ]


def _workers(nodes: set[str]) -> dict[str, Heartbeat]:
    rows = WorkerHeartbeat.objects.filter(node__in=nodes)
    return {
        node: Heartbeat(*values) for node, *values in rows.values_list("node", *Heartbeat._fields)
    }


def _longest_runtimes(task_names: set[str]) -> dict[str, timedelta]:
    """Return the longest runtime that an enabled rule allows each task."""
    rules = MonitorRule.objects.filter(
        enabled=True, task_name__in=task_names, max_runtime_minutes__isnull=False
    )
    rows = rules.order_by().values_list("task_name").annotate(Max("max_runtime_minutes"))
    # A column can hold more minutes than a timedelta.
    most = MAX_LOOKBACK_HOURS * 60
    return {name: timedelta(minutes=min(most, minutes)) for name, minutes in rows}


def _mark(found: Iterable[Running], now: datetime) -> int:
    """Mark executions that are still where they were when they were read."""
    positions = sorted(found, key=attrgetter("position"))
    if not positions:
        return 0
    unchanged = (
        Q(position=position, pk__in=[one.pk for one in group])
        for position, group in groupby(positions, attrgetter("position"))
    )
    marked = BackgroundTask.objects.filter(
        reduce(or_, unchanged), status=TaskStatus.RUNNING
    ).update(
        status=TaskStatus.STOPPED,
        finished_at=now,
        errors=WORKER_LOST,
        stack_trace_errors="",
        last_update=Greatest("last_update", now),
        position=F("position") + TO_LOST,
    )
    if marked:
        logger.warning("%d executions were left running by a lost worker", marked)
    return marked
