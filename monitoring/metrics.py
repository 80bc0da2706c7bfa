"""What Prometheus is told of the monitor, read in a constant number of queries.

Nothing is counted in a process: whichever answers, the numbers are those of the database.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

from django.db.models import Count, F, Q, QuerySet

from monitoring import health
from monitoring.conf import get_settings
from monitoring.core.metrics import MOST_EXECUTIONS, RECENT, Facts, WorkerState
from monitoring.core.workers import Heartbeat, is_silent, limits
from monitoring.models import (
    AlertEvent,
    MonitorRule,
    MonitorRun,
    Notification,
    NotificationState,
    RuleState,
    RunState,
    WorkerHeartbeat,
)
from monitoring.models.name_table import among
from monitoring.periodic_tasks import scheduled_entries
from monitoring.tasklogs.reading import oldest
from monitoring.tasklogs.source import task_log
from monitoring.tasklogs.tally import recent_statuses

_SETTLED = (NotificationState.SENT, NotificationState.FAILED, NotificationState.SUPPRESSED)


def read(now: datetime) -> Facts:
    """Return what can be seen of the monitor as numbers. now: aware, UTC."""
    since = now - RECENT
    log = task_log()
    keys = [entry.key for entry in scheduled_entries(now)]
    in_force = Count("pk", filter=Q(enabled=True))
    asleep = Count("pk", filter=Q(enabled=True, snoozed_until__gt=now))
    rules = MonitorRule.objects.aggregate(all=Count("pk"), in_force=in_force, asleep=asleep)
    entries = RuleState.objects.filter(key__in=among(keys, RuleState.objects.db))
    messages = Notification.objects.filter(state__in=_SETTLED, next_attempt_at__gte=since)
    seen = health.look(now)
    # The check that the page on health goes by: one of a few rules by hand is none.
    complete = MonitorRun.objects.filter(state=RunState.COMPLETE)
    last = complete.filter(started_at=seen.last_check) if seen.last_check else complete.none()
    took = last.values_list(F("finished_at") - F("started_at"), flat=True)
    # Counted here: to group them, SQLite would walk an index over every event there ever was.
    open_events = AlertEvent.objects.open().values_list("verdict", flat=True)
    return Facts(
        health=seen,
        enabled_rules=rules["in_force"],
        disabled_rules=rules["all"] - rules["in_force"],
        snoozed_rules=rules["asleep"],
        rule_verdicts=_counted(RuleState.objects.of_enabled_rules(), "verdict", "rule"),
        entries=len(keys),
        entry_verdicts=_counted(entries, "verdict"),
        open_events=Counter(open_events),
        acknowledged_events=AlertEvent.objects.acknowledged(now).order_by().count(),
        last_check_took=took.first(),
        checks=_counted(MonitorRun.objects.filter(started_at__gte=since), "state"),
        messages=_counted(messages, "state"),
        executions=recent_statuses(log, since, MOST_EXECUTIONS),
        oldest_execution=oldest(log) if log.counts_up else None,
        workers=_workers(now),
    )


def _counted(rows: QuerySet[Any], by: str, what: str = "pk") -> dict[str, int]:
    """Return how many rows have each value of a column; what: of several that are one."""
    return dict(rows.order_by().values_list(by).annotate(Count(what, distinct=what != "pk")))


def _workers(now: datetime) -> dict[WorkerState, int]:
    """Count the workers that have not shut down; the rows of those long gone are deleted."""
    silent = limits(get_settings().WORKER_SILENT_MINUTES, 0).silent
    rows = WorkerHeartbeat.objects.filter(stopped_at__isnull=True).order_by()
    found = (Heartbeat(*row) for row in rows.values_list("booted_at", "seen_at", "stopped_at"))
    return Counter(
        WorkerState.SILENT if is_silent(worker, now, silent) else WorkerState.ALIVE
        for worker in found
    )
