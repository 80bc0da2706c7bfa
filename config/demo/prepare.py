"""Bring the demo's data into existence: tables, sample rows, someone who may log in."""

from __future__ import annotations

import secrets

from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connections, transaction
from django.utils import timezone

from config.demo import past

ADMIN_NAME = "admin"


def prepare_data() -> str | None:
    """Migrate, and the first time load the fixtures, a past, and create the admin user.

    Returns the admin's password if it was created, otherwise None.
    """
    call_command("migrate", interactive=False, verbosity=0)
    try:
        password = _fill_if_empty()
        _let_tasks_run_before_checks()
        return password
    finally:
        # The launcher runs on for hours and needs the database no more.
        connections.close_all()


def _fill_if_empty() -> str | None:
    users = get_user_model()._default_manager
    # One transaction: a start that is interrupted here begins again, instead of leaving an
    # administrator whose password nobody has seen.
    with transaction.atomic():
        if users.exists():
            return None
        call_command("loaddata", "demo", "schedules", verbosity=0)
        log = apps.get_model("monitoring", "BackgroundTask")._default_manager
        log.bulk_create(past.executions(timezone.now()))
        password = secrets.token_urlsafe(9)
        users.create_superuser(ADMIN_NAME, settings.DEMO_ADMIN_EMAIL, password)
    return password


def _let_tasks_run_before_checks() -> None:
    # What is overdue starts at once, and after a night everything is: the first check would
    # find no recent execution of anything and alert. This makes it wait for one interval.
    periodic_tasks = apps.get_model("django_celery_beat", "PeriodicTask")._default_manager
    periodic_tasks.filter(task="monitor_task_status").update(last_run_at=timezone.now())
