"""What the documented behaviour tells people to type into `manage.py shell`."""

from __future__ import annotations

DEBUG_TEST = """
from gap.tasks.monitoring import monitor_task_status
config = {
    "test_task": {
        "expected_statuses": ["Completed"],
        "lookback_hours": 24
    }
}
result = monitor_task_status(config)
print(result)
"""
"""Source: documented behaviour 10.10.2."""

QUERY = """
from core.models.background_task import BackgroundTask
from django.utils import timezone
from datetime import timedelta
lookback = timezone.now() - timedelta(hours=1)
tasks = BackgroundTask.objects.filter(
    task_name='your_task_name',
    started_at__gte=lookback
).order_by('-started_at')
for task in tasks:
    print(f"{task.started_at}: {task.status}")
"""
"""Source: documented behaviour 10.10.4."""

TEMPLATE_TEST = """
from gap.tasks.monitoring import _send_notification
from django.utils import timezone
"""
"""Source: documented behaviour 10.9.4, which leaves open how it is called."""
