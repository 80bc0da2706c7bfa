"""Rules, executions and instants for the tests of the core, each in one line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from monitoring.core.statuses import Status
from monitoring.core.values import Evidence, Execution, Rule, Verdict, VerdictKind

NOW = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
"""The instant of the check, unless a test says otherwise."""


def ago(**duration: float) -> datetime:
    """Return `NOW` less a duration: `ago(minutes=5)`."""
    return NOW - timedelta(**duration)


def rule(*expected: Status, **fields: Any) -> Rule:
    """Return a rule for the task `sync` that expects `Completed` unless told otherwise."""
    values: dict[str, Any] = {
        "key": "key",
        "task_name": "sync",
        "expected_statuses": expected or (Status.COMPLETED,),
    }
    return Rule(**(values | fields))


def stored_rule(*expected: Status, **fields: Any) -> Rule:
    """Return the same as a rule of the database that has been watching for a month."""
    values = {"rule_id": 1, "name": "Nightly sync", "watched_since": ago(days=30)}
    return rule(*expected, **(values | fields))


def json_rule(*expected: Status, **fields: Any) -> Rule:
    """Return the same as an entry of the JSON arguments."""
    values = {"remind_hours": 0, "notify_on_recovery": False}
    return rule(*expected, **(values | fields))


def execution(
    status: Status = Status.COMPLETED, started_at: datetime | None = None, **fields: Any
) -> Execution:
    """Return an execution that started five minutes before `NOW` unless told otherwise."""
    values: dict[str, Any] = {
        "pk": 1,
        "task_name": "sync",
        "status": status,
        "started_at": started_at or ago(minutes=5),
    }
    return Execution(**(values | fields))


def evidence(latest: Execution | None = None, **fields: Any) -> Evidence:
    """Return what a log says that has recorded for a month."""
    return Evidence(**({"latest": latest, "log_since": ago(days=30)} | fields))


def verdict(kind: VerdictKind, **fields: Any) -> Verdict:
    values: dict[str, Any] = {"kind": kind, "current_status": "Stopped"}
    return Verdict(**(values | fields))
