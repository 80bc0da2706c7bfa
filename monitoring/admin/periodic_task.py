"""Periodic tasks: django-celery-beat's own form, which also reads the monitor's arguments."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.utils.text import capfirst
from django_celery_beat.admin import PeriodicTaskAdmin, PeriodicTaskForm
from django_celery_beat.models import PeriodicTask

from monitoring.core.arguments import parse_arguments
from monitoring.periodic_tasks import TASK_NAME, complain


class CheckedPeriodicTaskForm(PeriodicTaskForm):  # type: ignore[misc]
    """Refuses at their field what the monitor would refuse when the task runs."""

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean()
        if data.get("task") == TASK_NAME and "args" in data and "kwargs" in data:
            problems = list(_problems(data["args"], data["kwargs"], data.get("name", "")))
            for field, message in problems:
                self.add_error(field, message)
        return data


def _problems(args: str, kwargs: str, name: str) -> Iterator[tuple[str, str]]:
    """Yield (form field, what is wrong) for the arguments of a monitoring task."""
    complaints = complain(TASK_NAME, args, kwargs)
    yield from ((field, capfirst(text)) for field, text in complaints.items())
    if complaints:
        return
    for problem in parse_arguments(json.loads(args), json.loads(kwargs), name).problems:
        field = "args" if problem.path.startswith("arguments") else "kwargs"
        yield field, str(problem)


class CheckedPeriodicTaskAdmin(PeriodicTaskAdmin):  # type: ignore[misc]
    form = CheckedPeriodicTaskForm


def replace_stock_admin(site: admin.AdminSite) -> bool:
    """Put our page in the place of django-celery-beat's; a host's own page is left alone."""
    registered = site._registry.get(PeriodicTask)
    if type(registered) is not PeriodicTaskAdmin:
        return False
    site.unregister(PeriodicTask)
    site.register(PeriodicTask, CheckedPeriodicTaskAdmin)
    return True


replace_stock_admin(admin.site)
