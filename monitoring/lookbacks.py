"""How far back into the task log the rules in force look."""

from __future__ import annotations

from datetime import datetime

from django.db.models import F, Max

from monitoring.core.retention import Needs
from monitoring.core.values import Rule
from monitoring.models import MonitorRule
from monitoring.periodic_tasks import scheduled_entries


def needs(now: datetime) -> Needs:
    """Return what the longest of all enabled rules and scheduled entries need, in three queries.

    Entries that only stand in files of the command line do not count. now: aware.
    """
    enabled = MonitorRule.objects.filter(enabled=True)
    runtime = enabled.aggregate(longest=Max("max_runtime_minutes"))["longest"]
    furthest = enabled.order_by(F("lookback_hours").desc(), "pk")
    rows = furthest.values_list("lookback_hours", "name")[:1]
    named = [(hours, f'rule "{name}"') for hours, name in rows]
    named += [(entry.lookback_hours, _where(entry)) for entry in scheduled_entries(now)]
    hours, who = max(named, default=(0.0, ""), key=lambda found: found[0])
    return Needs(lookback_hours=hours, runtime_minutes=runtime or 0, who=who)


def _where(entry: Rule) -> str:
    return f'the entry of "{entry.task_name}" in periodic task "{entry.periodic_task}"'
