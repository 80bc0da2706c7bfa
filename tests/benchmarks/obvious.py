"""The obvious way to check rules: ask the database once for each. The baseline of the benchmark."""

from __future__ import annotations

from datetime import datetime, timedelta

from monitoring.models import BackgroundTask, MonitorRule


def failing_rules(now: datetime) -> list[str]:
    """Return the names of the rules whose latest execution is missing or not as expected."""
    failing = []
    for rule in MonitorRule.objects.filter(enabled=True):
        window_start = now - timedelta(hours=rule.lookback_hours)
        latest = (
            BackgroundTask.objects.filter(task_name=rule.task_name, started_at__gte=window_start)
            .order_by("-started_at")
            .first()
        )
        if latest is None or latest.status not in rule.expected_statuses:
            failing.append(rule.name)
    return failing
