"""Checks that `manage.py check` runs, each with an id, a message and a hint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.db import DatabaseError

from monitoring import periodic_tasks
from monitoring.conf import read_settings


@register(Tags.compatibility)
def check_settings(**_: Any) -> Sequence[CheckMessage]:
    """Refuse unknown keys and wrong types in MONITORING."""
    _settings, complaints = read_settings(getattr(django_settings, "MONITORING", {}))
    return [
        Error(
            f"MONITORING: {complaint}",
            hint="See the settings page of the documentation for every key and its type.",
            id="monitoring.E001",
        )
        for complaint in complaints
    ]


@register(Tags.database)
def check_periodic_tasks(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Refuse arguments of monitoring periodic tasks that beat would turn into something else."""
    if not databases:
        return []
    try:
        found = list(periodic_tasks.misread_arguments())
    except DatabaseError:  # not migrated yet
        return []
    return [
        Error(
            f'periodic task "{name}": {complaint}',
            hint="Correct its Arguments in the admin, under Periodic tasks.",
            id="monitoring.E002",
        )
        for name, complaint in found
    ]
