"""What the worker, beat and the publisher in the test process must agree on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from config.settings.embedded import folder_broker_options

MONITORING = {
    "BASE_URL": "https://monitoring.example.com",
    "SITE_NAME": "Door tests",
    "IGNORE_TASKS": ["celery.*", "monitor_task_status", "monitoring.*", "door.ignored"],
    "CONTEXT_ARGUMENTS": {"door.ingest": "session"},
}


def celery_settings(
    broker_url: str, prefix: str, data_dir: Path, *, visibility_timeout: int = 3600
) -> dict[str, Any]:
    """Return Celery's settings, under which nobody but `prefix` hears `prefix`.

    visibility_timeout: seconds after which Redis hands out again what nobody has acknowledged.
    """
    options: dict[str, Any] = {}
    if broker_url.startswith("filesystem:"):
        options = {**folder_broker_options(data_dir), "polling_interval": 0.05}
    elif broker_url.startswith("redis"):
        options = {
            "global_keyprefix": f"{prefix}:",
            "visibility_timeout": visibility_timeout,
            # Look for them every second, not every hundred.
            "unacked_restore_interval": 1,
            "unacked_restore_throttle": 1,
        }
    elif broker_url.startswith("amqp"):
        # Its connections have a name of their own: kombu would share a pool between sessions.
        options = {"client_properties": {"connection_name": prefix}}
    return {
        "broker_url": broker_url,
        "broker_transport_options": options,
        "broker_connection_retry_on_startup": True,
        "task_default_queue": prefix,
        "control_exchange": prefix,
        "event_exchange": f"{prefix}.events",
        "task_ignore_result": True,
        # Take no more than can run: the tests fill the pool to make a task wait.
        "worker_prefetch_multiplier": 1,
    }
