"""The same answer by SQL that was written by hand for each database: what an expert would do."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import connection, models, transaction

from monitoring.models import AlertEvent, Notification, RuleState

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


Rows = dict[type[models.Model], list[tuple[Any, ...]]]


def written_rows() -> Rows:
    """Return the states, events and messages that there are, as the driver has and takes them."""
    return {
        RuleState: _read(RuleState, "id"),
        AlertEvent: _read(AlertEvent, "id"),
        # MariaDB wants a digest to be there before what it says.
        Notification: _read(Notification, "is_digest DESC, id"),
    }


def write_rows(rows: Rows) -> None:
    """Write the same rows: the states over those there are, the others into empty tables.

    With what is fastest of each driver, and nothing found out: what a check cannot do without.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        for model, values in rows.items():
            table, columns = _quoted(model._meta.db_table), _columns(model)
            if connection.vendor == "postgresql":
                _copy(cursor, table, columns, values, upserts=model is RuleState)
                continue
            sql = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({_places(columns)})"
            cursor.executemany(sql + (_upsert(columns) if model is RuleState else ""), values)


def _copy(
    cursor: Any, table: str, columns: Sequence[str], rows: Sequence[Any], *, upserts: bool
) -> None:
    target = "new_rows" if upserts else table
    if upserts:
        cursor.execute(f"CREATE TEMPORARY TABLE {target} (LIKE {table}) ON COMMIT DROP")
    with cursor.copy(f"COPY {target} ({', '.join(columns)}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)
    if upserts:
        listed = ", ".join(columns)
        cursor.execute(
            f"INSERT INTO {table} ({listed}) SELECT {listed} FROM {target}{_upsert(columns)}"
        )


def _upsert(columns: Sequence[str]) -> str:
    if connection.vendor == "mysql":
        changes = ", ".join(f"{name} = VALUES({name})" for name in columns)
        return f" ON DUPLICATE KEY UPDATE {changes}"
    changes = ", ".join(f"{name} = EXCLUDED.{name}" for name in columns)
    return f" ON CONFLICT (id) DO UPDATE SET {changes}"


def _read(model: type[models.Model], order: str) -> list[tuple[Any, ...]]:
    listed = ", ".join(_columns(model))
    sql = f"SELECT {listed} FROM {_quoted(model._meta.db_table)} ORDER BY {order}"
    if connection.vendor == "sqlite":  # Django's own connection makes dates of texts
        plain = sqlite3.connect(connection.settings_dict["NAME"])
        try:
            return plain.execute(sql).fetchall()
        finally:
            plain.close()
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


def _columns(model: type[models.Model]) -> list[str]:
    return [_quoted(field.column) for field in model._meta.concrete_fields]


def _places(columns: Sequence[str]) -> str:
    return ", ".join(["%s"] * len(columns))


def _quoted(name: str) -> str:
    return connection.ops.quote_name(name)
