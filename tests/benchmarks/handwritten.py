"""The same answer by SQL that was written by hand for each database: what an expert would do."""

from __future__ import annotations

from datetime import datetime

from django.db import connection

_POSTGRESQL = """
    SELECT rule.name FROM monitoring_monitorrule rule
    LEFT JOIN LATERAL (
        SELECT task.status FROM monitoring_backgroundtask task
        WHERE task.task_name = rule.task_name
          AND task.started_at >= %s - rule.lookback_hours * interval '1 hour'
        ORDER BY task.started_at DESC, task.id DESC LIMIT 1
    ) latest ON true
    WHERE rule.enabled
      AND (latest.status IS NULL OR NOT jsonb_exists(rule.expected_statuses, latest.status))
    ORDER BY rule.id
"""
_SQLITE = """
    SELECT found.name FROM (
        SELECT rule.id, rule.name, rule.expected_statuses, (
            SELECT task.status FROM monitoring_backgroundtask task
            WHERE task.task_name = rule.task_name
              AND task.started_at >= datetime(%s, '-' || rule.lookback_hours || ' hours')
            ORDER BY task.started_at DESC, task.id DESC LIMIT 1
        ) AS status
        FROM monitoring_monitorrule rule WHERE rule.enabled
    ) found
    WHERE found.status IS NULL
       OR NOT EXISTS (SELECT 1 FROM json_each(found.expected_statuses) WHERE value = found.status)
    ORDER BY found.id
"""
_MARIADB = """
    SELECT found.name FROM (
        SELECT rule.id, rule.name, rule.expected_statuses, (
            SELECT task.status FROM monitoring_backgroundtask task
            WHERE task.task_name = rule.task_name
              AND task.started_at >= %s - INTERVAL rule.lookback_hours HOUR
            ORDER BY task.started_at DESC, task.id DESC LIMIT 1
        ) AS status
        FROM monitoring_monitorrule rule WHERE rule.enabled
    ) found
    WHERE found.status IS NULL
       OR NOT JSON_CONTAINS(found.expected_statuses, JSON_QUOTE(found.status))
    ORDER BY found.id
"""
_STATEMENTS = {"postgresql": _POSTGRESQL, "sqlite": _SQLITE, "mysql": _MARIADB}


def failing_rules(now: datetime) -> list[str]:
    """Return the names of the rules whose latest execution is missing or not as expected."""
    moment = now if connection.vendor == "postgresql" else f"{now:%Y-%m-%d %H:%M:%S}"
    with connection.cursor() as cursor:
        cursor.execute(_STATEMENTS[connection.vendor], [moment])
        return [name for (name,) in cursor.fetchall()]
