"""The periodic tasks that run the monitor, kept from arguments that mean something else.

django-celery-beat checks only that Arguments are JSON. `null` would then silently become "all
rules", and an object or a number would die inside beat where nobody looks.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, NamedTuple

from django.conf import settings as django_settings
from django.core.exceptions import ValidationError
from django.db.models import Max, Min, Q
from django.db.models.signals import pre_save
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from monitoring import schedules
from monitoring.core.arguments import Arguments, parse_arguments
from monitoring.core.causes.facts import Beat, Due, Schedule
from monitoring.core.fields import shown
from monitoring.core.names import free_name
from monitoring.core.values import Rule

TASK_NAME = "monitor_task_status"
SCHEDULE_NAME = "Check all task monitoring rules"
PRUNE_TASK = "monitoring.tasks.prune_history"
PRUNE_NAME = "Delete old task monitoring history"
_PRUNE_AT = {"minute": "40", "hour": "3"}
_MAX_NAME_LENGTH = 200
"""Characters that django-celery-beat keeps of a name."""
_DAY = 24 * 60 * 60
"""Seconds."""
_NOTED_WITHIN = timedelta(minutes=5)
"""How long after it has sent something beat may note that."""
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
        name=_free_name(SCHEDULE_NAME),
        task=TASK_NAME,
        interval=schedule,
        # After a pause of the workers the next message stands for all that were missed.
        expire_seconds=max(every_minutes, 1) * 60,
        description="Checks every enabled rule and mails what is owed.",
    )
    return row, True


def install_prune() -> tuple[PeriodicTask, bool]:
    """Return the periodic task that deletes old history, and whether it was created just now.

    At night in the project's time zone. One that exists is left as it is.
    """
    row = PeriodicTask.objects.filter(task=PRUNE_TASK).order_by("pk").first()
    if row is not None:
        return row, False
    daily = {"day_of_week": "*", "day_of_month": "*", "month_of_year": "*"}
    at = _PRUNE_AT | daily | {"timezone": django_settings.TIME_ZONE}
    # Not get_or_create: nothing keeps a host from having the same schedule twice.
    schedule = CrontabSchedule.objects.filter(**at).order_by("pk").first()
    row = PeriodicTask.objects.create(
        name=_free_name(PRUNE_NAME),
        task=PRUNE_TASK,
        crontab=schedule or CrontabSchedule.objects.create(**at),
        expire_seconds=_DAY,
        description='Deletes what is older than MONITORING["RETENTION_DAYS"] says.',
    )
    return row, True


def _reads_as(text: str | None, wanted: object) -> bool:
    try:
        return not text or json.loads(text) == wanted
    except ValueError:
        return False


def _free_name(name: str) -> str:
    taken = PeriodicTask.objects.filter(name__startswith=name).values_list("name", flat=True)
    return free_name(name, set(taken), _MAX_NAME_LENGTH)


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


class Scheduled(NamedTuple):
    """What one periodic task asks the monitor for."""

    name: str
    arguments: Arguments
    row: PeriodicTask


def scheduled(now: datetime) -> list[Scheduled]:
    """Return what beat will ask for as things stand, by name of the periodic task, in one query.

    Disabled ones, those that come once or have expired, and those that `misread_arguments` tells
    of are left out. now: aware.
    """
    rows = PeriodicTask.objects.filter(task=TASK_NAME, enabled=True, one_off=False)
    rows = rows.exclude(expires__lte=now).select_related("interval", "crontab", "solar")
    found = []
    for row in rows.order_by("name"):
        try:
            args, kwargs = json.loads(row.args or "[]"), json.loads(row.kwargs or "{}")
        except (ValueError, RecursionError):
            continue
        if isinstance(args, list) and isinstance(kwargs, dict):
            found.append(Scheduled(row.name, parse_arguments(args, kwargs, row.name), row))
    return found


def scheduled_entries(now: datetime) -> list[Rule]:
    """Return the entries of all scheduled JSON arguments, in one query. now: aware."""
    return [entry for task in scheduled(now) for entry in task.arguments.entries]


def last_sent() -> datetime | None:
    """Return when beat sent any task last; it notes that every three minutes."""
    enabled = PeriodicTask.objects.filter(enabled=True, last_run_at__isnull=False)
    last: datetime | None = enabled.aggregate(at=Max("last_run_at"))["at"]
    return last


def awaited_since(row: PeriodicTask) -> datetime | None:
    """Return since when beat could have sent one that it has not sent as it stands now.

    None: it has. When it sends, beat saves the row too, but within three minutes.
    """
    changed: datetime = row.date_changed
    if row.last_run_at is None:
        return max(changed, row.start_time or changed)
    return None if _is_noted_run(changed, row.last_run_at) else changed


def schedules_of(task_names: Collection[str], names: Collection[str]) -> list[Schedule]:
    """Return the periodic tasks that send one of these tasks or have one of these names."""
    rows = PeriodicTask.objects.filter(Q(task__in=task_names) | Q(name__in=names)).order_by("pk")
    columns = ("name", "task", "enabled", "date_changed", "expires", "expire_seconds")
    read = rows.values_list(*columns, "last_run_at")
    return [
        Schedule(*values)._replace(is_noted_run=_is_noted_run(values[3], last))
        for *values, last in read
    ]


def enabled_tasks() -> frozenset[str]:
    """Return the tasks that enabled periodic tasks send."""
    rows = PeriodicTask.objects.filter(enabled=True).order_by()
    return frozenset(rows.values_list("task", flat=True).distinct())


def _is_noted_run(changed: datetime, last_run: datetime | None) -> bool:
    """Say that beat has saved the row last: it notes so what it has sent."""
    return last_run is not None and changed - last_run <= _NOTED_WITHIN


def due_since(
    found: Iterable[schedules.Schedule], since: datetime, now: datetime, most: int
) -> Due:
    """Return when schedules of one task have asked for it since a run of it, up to `most` times."""
    times = list(islice(schedules.runs_between(found, since, now), most + 1))
    return Due(times[0] if times else None, min(len(times), most), len(times) > most)


def look_at_beat(also_sent_at: datetime | None, now: datetime) -> Beat | None:
    """Return when beat sent anything last and when it should have again, in three queries.

    also_sent_at: what is known of it otherwise; beat notes only every three minutes what it has
    sent. None if it was never seen to send anything, or nothing is to be sent regularly.
    """
    last = max((at for at in (last_sent(), also_sent_at) if at is not None), default=None)
    if last is None:
        return None
    due = _next_due(last, now)
    return None if due is None else Beat(last_sent_at=last, due_at=due)


def _next_due(last: datetime, now: datetime) -> datetime | None:
    """Return when, after `last`, something should have been sent at the latest.

    A schedule counts from its last change on, if that came later.
    """
    rows = PeriodicTask.objects.filter(
        Q(start_time__isnull=True) | Q(start_time__lte=last), enabled=True, one_off=False
    ).exclude(expires__lte=now)
    intervals = IntervalSchedule.objects.filter(periodictask__in=rows)
    crontabs = CrontabSchedule.objects.filter(periodictask__in=rows)
    changed = Min("periodictask__date_changed")
    due: list[datetime | None] = [
        max(last, one.changed) + one.schedule.run_every
        for one in intervals.annotate(changed=changed)[:_MOST_DUE]
    ]
    for one in crontabs.annotate(changed=changed)[:_MOST_DUE]:
        due.append(schedules.next_run(schedules.of(one), max(last, one.changed)))
    return min((at for at in due if at is not None), default=None)


def _refuse(instance: PeriodicTask, raw: bool = False, **_: Any) -> None:
    if raw:
        return  # loaddata: the system check reports it
    complaints = complain(instance.task, instance.args, instance.kwargs)
    if complaints:
        raise ValidationError(complaints)


def longest_wait(task_name: str, now: datetime) -> timedelta | None:
    """Return the longest time between two runs of a task in the coming two years.

    Several periodic tasks for one task run it at all of their times. None: nothing runs it
    regularly. now: aware.
    """
    return schedules.coming_gap(_schedules_of(task_name, now), now)


def longest_check_wait(rows: Iterable[PeriodicTask], now: datetime) -> timedelta | None:
    """Return the longest time between two runs of this week that these periodic tasks have."""
    found = [schedule for row in rows if (schedule := schedules.read(row)) is not None]
    week = schedules.largest_gap(found, now, now + timedelta(days=7))
    return week if week is not None else schedules.coming_gap(found, now)


def check_interval(now: datetime) -> timedelta | None:
    """Return the usual time between two checks; None: none is scheduled. Two queries. now: aware.

    As discovery has it, from all periodic tasks that check, whichever rules these are asked for.
    """
    return schedules.usual_gap(_schedules_of(TASK_NAME, now), now)


def wait_after(name: str, at: datetime) -> timedelta | None:
    """Return how long one periodic task waits after a run at that time; None: nobody can tell."""
    schedule = schedules.of_periodic_task(name)
    coming = schedules.next_run(schedule, at) if schedule is not None else None
    return coming - at if coming is not None else None


def _schedules_of(task_name: str, now: datetime) -> list[schedules.Schedule]:
    return [entry.schedule for entry in schedules.entries(now, [task_name])]


_MOST_DUE = 200
"""Different schedules that are asked when something was due: the most frequent decides."""
