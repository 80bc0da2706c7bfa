"""`monitor install-schedules` gives a host its periodic check, once."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from celery import current_app
from django.core.management import CommandError, call_command
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

pytestmark = pytest.mark.django_db


def install(*options: str) -> str:
    output = StringIO()
    call_command("monitor", "install-schedules", *options, stdout=output)
    return output.getvalue()


def test_it_creates_a_periodic_task_that_checks_all_rules_every_five_minutes() -> None:
    output = install()

    row = PeriodicTask.objects.get(task="monitor_task_status")
    assert (row.args, row.kwargs, row.enabled) == ("[]", "{}", True)
    assert (row.interval.every, row.interval.period) == (5, IntervalSchedule.MINUTES)
    assert output.startswith(
        'periodic task "Check all task monitoring rules" created (every 5 minutes, enabled)\n'
    )


def test_its_messages_expire_when_the_next_is_due() -> None:
    install("--every", "7")

    assert PeriodicTask.objects.get(task="monitor_task_status").expire_seconds == 7 * 60


def test_it_creates_a_periodic_task_that_deletes_old_history_every_night(settings: Any) -> None:
    settings.TIME_ZONE = "Europe/Vienna"

    output = install()

    row = PeriodicTask.objects.get(task="monitoring.tasks.prune_history")
    assert row.task in current_app.tasks
    assert (row.crontab.hour, row.crontab.minute, row.args, row.enabled) == ("3", "40", "[]", True)
    assert str(row.crontab.timezone) == "Europe/Vienna"
    name = 'periodic task "Delete old task monitoring history"'
    assert f"{name} created (40 3 * * * (m/h/dM/MY/d) Europe/Vienna, enabled)\n" in output
    assert f"{name} already there, left as it is" in install()
    assert PeriodicTask.objects.count() == 2


def test_a_schedule_that_a_host_has_twice_is_no_obstacle() -> None:
    for _ in range(2):
        CrontabSchedule.objects.create(minute="40", hour="3", timezone="UTC")

    assert "created (40 3" in install()


def test_a_second_call_changes_nothing() -> None:
    install("--every", "10")

    output = install("--every", "2")

    assert PeriodicTask.objects.get(task="monitor_task_status").interval.every == 10
    assert "already there, left as it is (every 10 minutes, enabled)" in output


def test_another_interval_for_one_that_is_there_is_said_to_change_nothing(settings: Any) -> None:
    settings.MONITORING = settings.MONITORING | {"BASE_URL": "https://admin.example.com/"}
    install()
    row = PeriodicTask.objects.get(task="monitor_task_status")

    address = f"https://admin.example.com/admin/django_celery_beat/periodictask/{row.pk}/change/"
    told = f"--every 1 has changed nothing: its schedule is changed in the admin, at {address}\n"
    assert told in install("--every", "1")
    for same in ([], ["--every", "5"]):
        assert "--every" not in install(*same)


def test_it_says_when_the_first_check_comes() -> None:
    assert "the first check comes 7 minutes after beat has started\n" in install("--every", "7")
    assert "the first check" not in install()


def test_a_disabled_one_is_left_disabled_and_said_to_be() -> None:
    install()
    PeriodicTask.objects.update(enabled=False)

    assert "disabled: enable it in the admin" in install()
    assert not PeriodicTask.objects.get(task="monitor_task_status").enabled


def test_one_that_carries_json_arguments_does_not_count() -> None:
    schedule = IntervalSchedule.objects.create(every=1, period=IntervalSchedule.HOURS)
    PeriodicTask.objects.create(
        name="documented",
        task="monitor_task_status",
        interval=schedule,
        args='[{"sync": {"expected_statuses": ["Completed"]}}]',
    )

    install()

    assert PeriodicTask.objects.filter(task="monitor_task_status").count() == 2


def test_an_interval_of_no_minutes_is_refused() -> None:
    with pytest.raises(CommandError, match="--every must be at least 1 minute, got 0"):
        install("--every", "0")


def test_djangos_own_options_may_stand_behind_the_subcommand() -> None:
    assert "created" in install("--no-color", "--verbosity", "1")
