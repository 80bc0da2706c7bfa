"""Rules that write themselves, by real processes: what beat sends and a worker runs is proposed."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db.models import F
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from monitoring.models import BackgroundTask, MonitorRule
from tests.doors.harness import OBSERVER, PATIENCE, System, wait_until
from tests.doors.servers import EMBEDDED

pytestmark = pytest.mark.door

OFTEN, DAILY, LEGACY = "door.succeed", "door.retry_until", "door.legacy"


def every(count: int, period: str) -> IntervalSchedule:
    return IntervalSchedule.objects.get_or_create(every=count, period=period)[0]


def schedule_tasks() -> None:
    """Store what the host's people have in beat: two that come often, one daily, one disabled."""
    eight = CrontabSchedule.objects.create(minute="0", hour="8", timezone="Europe/Berlin")
    often = every(1, "seconds")
    PeriodicTask.objects.create(name="Synchronise", task=OFTEN, interval=often)
    PeriodicTask.objects.create(name="Old import", task=LEGACY, interval=every(2, "seconds"))
    PeriodicTask.objects.create(name="Daily report", task=DAILY, crontab=eight)
    PeriodicTask.objects.create(name="Off", task="door.fail", interval=often, enabled=False)
    call_command("monitor", "install-schedules", verbosity=0)


def manage(system: System, name: str, *line: str, **environment: str) -> tuple[int, str]:
    """Run a `monitor` command in a process of its own; return its exit status and output."""
    process = system.start(name, "manage.py", "monitor", *line, **environment)
    return process.popen.wait(timeout=PATIENCE), process.output


def discover(
    system: System, name: str, *options: str, **environment: str
) -> tuple[int, dict[str, Any]]:
    """Return the exit status, and what is proposed by the name of its rule."""
    status, output = manage(system, name, "discover", "--format=json", *options, **environment)
    return status, {one["name"]: one for one in json.loads(output)}


def wait_until_completed(task_name: str, times: int) -> None:
    rows = BackgroundTask.objects.using(OBSERVER).filter(task_name=task_name, status="Completed")
    wait_until(lambda: rows.count() >= times, f"{task_name} has completed {times} times")


def an_hour_passes() -> None:
    """Let all that was recorded have happened an hour earlier."""
    columns = ("submitted_at", "first_started_at", "started_at", "finished_at", "last_update")
    BackgroundTask.objects.update(**{name: F(name) - timedelta(hours=1) for name in columns})


@pytest.mark.parametrize("system", [EMBEDDED], indirect=True)
def test_rules_are_proposed_hold_and_follow_what_beat_is_told(system: System) -> None:
    schedule_tasks()
    system.start_worker()
    system.start_beat()
    system.send(DAILY, 0)  # somebody did not want to wait until eight
    wait_until_completed(OFTEN, 3)
    wait_until_completed(LEGACY, 2)
    wait_until_completed(DAILY, 1)

    status, accepted = discover(system, "accept", "--accept-all")

    assert status == 0
    windows = {name: (one["reason"], one["lookback_hours"]) for name, one in accepted.items()}
    assert windows == {
        "Synchronise": ("scheduled", 0.25),
        "Old import": ("scheduled", 0.25),
        "Daily report": ("scheduled", 25.5),
    }
    grounds = [ground["text"] for ground in accepted["Synchronise"]["grounds"]]
    assert "its schedule leaves up to 1 s between two runs (every second)" in grounds
    assert "a check comes every 5 min" in grounds

    status, said = manage(system, "check", "check")
    assert status == 0
    assert said.startswith("3 checked: 3 ok, 0 failing, 0 unknown")
    assert discover(system, "again") == (0, {})

    # Whatever was under way would run on, in the hour that is to pass.
    system.kill_all()
    PeriodicTask.objects.filter(name="Synchronise").update(interval=every(1, "hours"))
    PeriodicTask.objects.get(name="Old import").delete()
    an_hour_passes()
    _, drifted = discover(system, "drifted", "--accept-all", DOOR_LEGACY_IS_RETIRED="yes")

    assert {name: one["reason"] for name, one in drifted.items()} == {
        "Synchronise": "too_short",
        "Old import": "gone",
    }
    rules = MonitorRule.objects.order_by("name").values_list("name", "lookback_hours", "enabled")
    assert list(rules) == [
        ("Daily report", 25.5, True),
        ("Old import", 0.25, False),
        ("Synchronise", 1.25, True),
    ]
