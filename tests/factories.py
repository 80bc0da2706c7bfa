"""Executions, rules and people for tests, each in one line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from django.contrib.auth import get_user_model

from monitoring.models import MonitorRule
from tests.sources import OWN

NOW = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
"""The instant most tests are checked at."""

_ids = count(1)


class log:  # noqa: N801 - read like a module
    """The task log that `execution` stores into."""

    source = OWN


def ago(**duration: float) -> datetime:
    """Return `NOW` less a duration: `ago(minutes=5)`."""
    return NOW - timedelta(**duration)


def execution(
    task_name: str, status: str = "Completed", *, started: datetime | None = None, **columns: Any
) -> Any:
    """Store one execution; it started five minutes before `NOW` unless told otherwise.

    It goes into the task log of the test, which is our own unless the fixture `source` is used.
    """
    values = {"started_at": started or ago(minutes=5), "submitted_at": started or ago(minutes=5)}
    named = {"task_id": f"task-{next(_ids)}", "task_name": task_name, "status": status}
    return log.source.store(named | values | columns)


def rule(task_name: str, **fields: Any) -> MonitorRule:
    """Store a rule that has been watching for a month."""
    values = {"name": f"{task_name} rule", "created_at": ago(days=30)}
    return MonitorRule.objects.create(task_name=task_name, **(values | fields))


def superuser(email: str = "root@example.com", **fields: Any) -> Any:
    """Store an active superuser, the recipient of last resort."""
    values = {"username": f"super-{next(_ids)}"}
    return get_user_model().objects.create(
        email=email, is_superuser=True, is_staff=True, **(values | fields)
    )
