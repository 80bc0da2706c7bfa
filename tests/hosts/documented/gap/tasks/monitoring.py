"""The project's own monitor, which gives way to ours."""

from datetime import timedelta

from celery import shared_task
from core.models import BackgroundTask
from django.core.mail import send_mail
from django.template.loader import render_to_string
from django.utils import timezone


@shared_task(name="monitor_task_status")
def monitor_task_status(config):
    """Mail about each task whose latest execution is not as it should be."""
    for task_name, entry in config.items():
        since = timezone.now() - timedelta(hours=entry.get("lookback_hours", 1))
        runs = BackgroundTask.objects.filter(task_name=task_name, started_at__gte=since)
        latest = runs.order_by("-started_at").first()
        if latest is None or latest.status not in entry["expected_statuses"]:
            _send_notification(task_name, entry, latest)


def _send_notification(task_name, entry, latest):
    status = latest.status if latest else "No execution found"
    context = {
        "task_name": task_name,
        "current_status": status,
        "expected_statuses": ", ".join(entry["expected_statuses"]),
        "check_time": timezone.now(),
    }
    html = render_to_string("emails/task_status_alert.html", context)
    subject = f"[ALERT] {task_name} Status Check Failed"
    send_mail(subject, status, None, entry["notify_to"], html_message=html)
