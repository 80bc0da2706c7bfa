"""The JSON examples of the documented behaviour, by section, as the dictionary inside `[ ]`.

`EXAMPLES` holds all of them; each maps task names to their configuration.
"""

from __future__ import annotations

from typing import Any

EXAMPLE_10_3: dict[str, dict[str, Any]] = {
    "task_name": {
        "expected_statuses": ["Completed"],
        "notify_to": ["admin@example.com"],
        "dependent_tasks": ["Task Y", "Task Z"],
        "lookback_hours": 1,
        "context_model": "gap.models.IngestorSession",
        "context_type": "Hourly Tomorrow.io",
    }
}
"""The configuration format with every parameter."""

EXAMPLE_10_4_2_HOURLY: dict[str, dict[str, Any]] = {
    "hourly_data_sync": {"expected_statuses": ["Completed"], "lookback_hours": 1}
}
EXAMPLE_10_4_2_DAILY: dict[str, dict[str, Any]] = {
    "daily_report": {"expected_statuses": ["Completed"], "lookback_hours": 25}
}
EXAMPLE_10_4_2_BI_HOURLY: dict[str, dict[str, Any]] = {
    "data_processing": {"expected_statuses": ["Completed", "Running"], "lookback_hours": 2.5}
}

EXAMPLE_10_5_3: dict[str, dict[str, Any]] = {
    "task_name_1": {
        "expected_statuses": ["Completed"],
        "notify_to": ["admin@example.com"],
        "dependent_tasks": ["task_name_2"],
        "lookback_hours": 1,
    },
    "task_name_2": {"expected_statuses": ["Completed"], "lookback_hours": 2},
}
"""The arguments field of a periodic task."""

EXAMPLE_10_6_1: dict[str, dict[str, Any]] = {
    "hourly_data_sync": {
        "expected_statuses": ["Completed"],
        "notify_to": ["data-team@example.com"],
        "lookback_hours": 1,
    }
}
"""Simple hourly task monitoring."""

EXAMPLE_10_6_2: dict[str, dict[str, Any]] = {
    "data_collection": {
        "expected_statuses": ["Completed"],
        "notify_to": ["ops@example.com"],
        "dependent_tasks": ["data_processing", "data_export"],
        "lookback_hours": 1,
    },
    "data_processing": {
        "expected_statuses": ["Completed", "Running"],
        "dependent_tasks": ["data_export"],
        "lookback_hours": 2,
    },
    "data_export": {"expected_statuses": ["Completed"], "lookback_hours": 3},
}
"""Multiple tasks with dependencies."""

EXAMPLE_10_6_3: dict[str, dict[str, Any]] = {
    "daily_report_generation": {"expected_statuses": ["Completed"], "lookback_hours": 25},
    "daily_cleanup": {"expected_statuses": ["Completed"], "lookback_hours": 24},
}
"""Daily tasks with fallback to superusers."""

EXAMPLE_10_6_4: dict[str, dict[str, Any]] = {
    "ingestor_session": {
        "context_model": "gap.models.IngestorSession",
        "context_type": "Hourly Tomorrow.io",
        "expected_statuses": ["Completed"],
        "notify_to": ["weather-team@example.com"],
        "dependent_tasks": ["forecast_processing"],
        "lookback_hours": 2,
    }
}
"""IngestorSession with context validation."""

EXAMPLE_10_10_2: dict[str, dict[str, Any]] = {
    "test_task": {"expected_statuses": ["Completed"], "lookback_hours": 24}
}
"""The call from the Django shell, a bare dictionary."""

EXAMPLE_10_11_2: dict[str, dict[str, Any]] = {
    "ingestor_session": {
        "context_model": "gap.models.IngestorSession",
        "context_type": "Hourly Tomorrow.io",
        "expected_statuses": ["Completed"],
        "lookback_hours": 2,
    }
}
"""Context model validation."""

EXAMPLE_10_12_1: dict[str, dict[str, Any]] = {
    "critical_task": {
        "expected_statuses": ["Completed"],
        "notify_to": ["admin@example.com"],
        "lookback_hours": 2,
    }
}
"""Start simple."""

EXAMPLE_10_13_1: dict[str, dict[str, Any]] = {
    "generate_daily_report": {
        "expected_statuses": ["Completed"],
        "notify_to": ["reports-team@example.com", "management@example.com"],
        "dependent_tasks": ["send_report_emails", "update_dashboard"],
        "lookback_hours": 2,
    }
}
"""The complete workflow."""

EXAMPLES: dict[str, dict[str, dict[str, Any]]] = {
    "10.3": EXAMPLE_10_3,
    "10.4.2 hourly": EXAMPLE_10_4_2_HOURLY,
    "10.4.2 daily": EXAMPLE_10_4_2_DAILY,
    "10.4.2 bi-hourly": EXAMPLE_10_4_2_BI_HOURLY,
    "10.5.3": EXAMPLE_10_5_3,
    "10.6.1": EXAMPLE_10_6_1,
    "10.6.2": EXAMPLE_10_6_2,
    "10.6.3": EXAMPLE_10_6_3,
    "10.6.4": EXAMPLE_10_6_4,
    "10.10.2": EXAMPLE_10_10_2,
    "10.11.2": EXAMPLE_10_11_2,
    "10.12.1": EXAMPLE_10_12_1,
    "10.13.1": EXAMPLE_10_13_1,
}
