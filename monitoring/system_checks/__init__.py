"""Checks that `manage.py check` runs, each with an id, a message, a hint and a place in the docs.

A new one is a function in the module of what it looks at, named here, and a section of
docs/system-checks.md.
"""

from monitoring.system_checks.retention import check_retention
from monitoring.system_checks.rules import check_channels, check_contexts, check_recipients
from monitoring.system_checks.schedules import (
    check_arguments,
    check_double_schedules,
    check_periodic_tasks,
    check_refused_tasks,
    check_unscheduled_rules,
)
from monitoring.system_checks.settings import (
    check_context_settings,
    check_metrics,
    check_sender,
    check_settings,
)
from monitoring.system_checks.task_log import (
    check_expiry,
    check_index,
    check_task_log,
    check_time_zones,
)

__all__ = [
    "check_arguments",
    "check_channels",
    "check_context_settings",
    "check_contexts",
    "check_double_schedules",
    "check_expiry",
    "check_index",
    "check_metrics",
    "check_periodic_tasks",
    "check_recipients",
    "check_refused_tasks",
    "check_retention",
    "check_sender",
    "check_settings",
    "check_task_log",
    "check_time_zones",
    "check_unscheduled_rules",
]
