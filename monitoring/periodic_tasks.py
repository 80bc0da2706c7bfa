"""The periodic tasks that run the monitor, kept from arguments that mean something else.

django-celery-beat checks only that Arguments are JSON. `null` would then silently become "all
rules", and an object or a number would die inside beat where nobody looks.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models.signals import pre_save
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from monitoring.core.fields import shown

TASK_NAME = "monitor_task_status"
SCHEDULE_NAME = "Check all task monitoring rules"
_ADVICE = 'write [] to check all rules, or [{"task_name": {"expected_statuses": ["Completed"]}}]'


def connect() -> None:
    """Refuse misread arguments whenever a periodic task is saved."""
    pre_save.connect(_refuse, sender=PeriodicTask, dispatch_uid="monitoring.periodic_tasks")


def install(every_minutes: int) -> tuple[PeriodicTask, bool]:
    """Return the periodic task that checks all rules, and whether it was created just now.

    One that exists is left as it is, whatever it is called: its schedule is the owner's.
    """
    for row in PeriodicTask.objects.filter(task=TASK_NAME).order_by("pk"):
        if _reads_as(row.args, []) and _reads_as(row.kwargs, {}):
            return row, False
    schedule, _ = IntervalSchedule.objects.get_or_create(
        every=every_minutes, period=IntervalSchedule.MINUTES
    )
    row = PeriodicTask.objects.create(
        name=_free_name(),
        task=TASK_NAME,
        interval=schedule,
        description="Checks every enabled rule and mails what is owed.",
    )
    return row, True


def _reads_as(text: str | None, wanted: object) -> bool:
    try:
        return not text or json.loads(text) == wanted
    except ValueError:
        return False


def _free_name() -> str:
    taken = set(
        PeriodicTask.objects.filter(name__startswith=SCHEDULE_NAME).values_list("name", flat=True)
    )
    names = (SCHEDULE_NAME, *(f"{SCHEDULE_NAME} ({number})" for number in range(2, len(taken) + 2)))
    return next(name for name in names if name not in taken)


def complain(task: str, args: str | None, kwargs: str | None) -> dict[str, str]:
    """Return what is wrong with the arguments of a periodic task, by field name."""
    if task != TASK_NAME:
        return {}
    complaints: dict[str, str] = {}
    for field, text, wanted, kind in (
        ("args", args, list, "a JSON array"),
        ("kwargs", kwargs, dict, "a JSON object"),
    ):
        try:
            value = json.loads(text or ("[]" if wanted is list else "{}"))
        except ValueError:
            continue  # django-celery-beat says so itself
        if not isinstance(value, wanted):
            advice = _ADVICE if wanted is list else "write {} for none"
            complaints[field] = f"must be {kind}, got {shown(value)}: {advice}"
    return complaints


def misread_arguments() -> Iterator[tuple[str, str]]:
    """Yield (name, complaint) of each stored periodic task with such arguments."""
    for row in PeriodicTask.objects.filter(task=TASK_NAME).order_by("name"):
        for field, complaint in complain(row.task, row.args, row.kwargs).items():
            yield row.name, f"{field} {complaint}"


def _refuse(instance: PeriodicTask, raw: bool = False, **_: Any) -> None:
    if raw:
        return  # loaddata: the system check reports it
    complaints = complain(instance.task, instance.args, instance.kwargs)
    if complaints:
        raise ValidationError(complaints)
