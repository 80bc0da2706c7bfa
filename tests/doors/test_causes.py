"""Real faults of real processes, and what the mails about them say was the cause."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from monitoring import doors
from monitoring.models import AlertEvent, BackgroundTask, MonitorRule, WorkerHeartbeat
from tests.doors.harness import OBSERVER, System, wait_until
from tests.doors.servers import EMBEDDED, RABBITMQ_MARIADB, REDIS_POSTGRES
from tests.factories import ago
from tests.mail_server import Moody, mail_server

pytestmark = pytest.mark.door

OPS = "ops@example.com"
FOUR_SECONDS = 4 / 3600
"""Hours."""


@pytest.fixture
def post_office() -> Iterator[Moody]:
    with mail_server() as moody:
        yield moody


def watch(task_name: str, lookback_hours: float = 1, **columns: Any) -> None:
    MonitorRule.objects.create(
        name=task_name,
        task_name=task_name,
        lookback_hours=lookback_hours,
        notify_to=[OPS],
        created_at=ago(days=30),
        **columns,
    )


def every_second(task_name: str, args: str = "[]") -> PeriodicTask:
    second, _ = IntervalSchedule.objects.get_or_create(every=1, period="seconds")
    return PeriodicTask.objects.create(
        name=f"Every second {task_name}", task=task_name, interval=second, args=args
    )


def executions(**columns: Any) -> Any:
    return BackgroundTask.objects.using(OBSERVER).filter(**columns)


def log_began_long_ago() -> None:
    BackgroundTask.objects.create(
        task_id="old", task_name="door.old", status="Completed", submitted_at=ago(days=30)
    )


def is_older(task_id: str, *, seconds: float) -> bool:
    row = executions(task_id=task_id).first()
    return row is not None and timezone.now() - row.submitted_at > timedelta(seconds=seconds)


def causes(office: Moody) -> dict[str, str]:
    """Return what the mails that have arrived say, by task name, in both of their parts."""
    found = {}
    for mail in office.messages:
        words = " ".join(mail.get_body(("plain",)).get_content().split())
        name = mail["Subject"].split()[1]
        assert "Probable cause" in mail.get_body(("html",)).get_content()
        found[name] = words.partition("Probable cause: ")[2]
    return found


@pytest.mark.parametrize("system", [EMBEDDED, REDIS_POSTGRES, RABBITMQ_MARIADB], indirect=True)
def test_each_mail_names_the_fault_that_was_made(system: System, post_office: Moody) -> None:
    get_user_model().objects.create_superuser("root", "root@example.com", "x")
    log_began_long_ago()
    disabled, deleted = every_second("door.succeed"), every_second("door.ignore_itself")
    every_second("door.retry_until", "[0]")
    queues = {"nobody": f"{system.prefix}.nobody", "common": system.prefix}
    system.start_worker(heartbeat=True)
    doomed = system.start_worker("doomed", queue="doomed", heartbeat=True)
    beat = system.start_beat()
    told = WorkerHeartbeat.objects.using(OBSERVER).filter(queues__isnull=False)
    wait_until(lambda: told.count() == 2, "both workers tell their queues")

    # Periodic tasks are disabled and deleted; then beat itself is killed.
    for row in PeriodicTask.objects.filter(name__startswith="Every second"):
        ran = executions(status="Completed", periodic_task_name=row.name)
        wait_until(ran.exists, f"beat has sent {row.task}")
    PeriodicTask.objects.filter(pk=disabled.pk).update(enabled=False)
    deleted.delete()
    beat.kill()
    waiting = executions(status__in=["Pending", "Queued", "Running"])
    wait_until(lambda: not waiting.exists(), "all that was sent has run")
    silent_since = timezone.now()

    # One task that the worker does not know, and one that no worker takes.
    system.ended(system.send("door.unheard_of"))
    nobody_takes = system.send("door.retry_in_vain", queue="nobody")
    # A worker is killed while it runs a task.
    held = system.gate()
    lost = system.send("door.hold_late", held.name, queue="doomed")
    held.wait_until_taken()
    system.at(lost, "Running")
    doomed.kill()
    # Another one is kept busy, with a task that waits behind three others.
    gates = [system.gate(), system.gate()]
    for gate in gates:
        system.send("door.hold", gate.name)
    for gate in gates:
        gate.wait_until_taken()
    for _ in range(3):
        system.send("door.fail")
    queued = system.send("door.soft_limited_but_tidy")
    assert executions(task_id__in=[nobody_takes, queued]).count() == 2
    wait_until(lambda: timezone.now() - silent_since > timedelta(seconds=4.5), "the window is past")

    for name in ("door.unheard_of", "door.retry_in_vain", "door.soft_limited_but_tidy"):
        watch(name)
    for name in ("door.succeed", "door.ignore_itself"):
        watch(name, FOUR_SECONDS)
    assert doors.check([], {}).state == "complete"

    said = causes(post_office)
    assert len(said) == len(post_office.messages) == 5
    assert said["door.succeed"].startswith(
        "Its periodic task is disabled: “Every second door.succeed”, last changed at"
    )
    assert said["door.ignore_itself"].startswith(
        "Its periodic task was deleted or renamed: “Every second door.ignore_itself” sent its run"
    )
    assert said["door.unheard_of"].startswith(
        f"The worker does not know the task: {system.node('worker')} refused it at"
    )
    nobody = said["door.retry_in_vain"]
    assert nobody.startswith("No worker is heard that consumes its queue: sent at")
    assert f"to “{queues['nobody']}”; the 2 workers heard of take no tasks from there" in nobody
    waits = said["door.soft_limited_but_tidy"]
    assert waits.startswith("It waits in the queue: sent at")
    assert f"to “{queues['common']}”; " in waits
    assert "behind 3 others that wait; 2 executions of this queue run" in waits

    # Twenty minutes later beat and a worker have been silent for long.
    post_office.messages.clear()
    watch("door.hold_late")
    watch("door.retry_until", 0.1)
    with time_machine.travel(timezone.now() + timedelta(minutes=20), tick=True):
        assert doors.check([], {}).state == "complete"

    said = causes(post_office)
    assert said["door.hold_late"].startswith("Its worker was lost: began at")
    assert "and the worker was last heard at" in said["door.hold_late"]
    assert f"(on {system.node('doomed')})" in said["door.hold_late"]
    assert said["celery"].startswith("Beat is silent: no periodic task is known to have been sent")
    assert sorted(mail["To"] for mail in post_office.messages) == [OPS, OPS, "root@example.com"]
    waits_for_beat = AlertEvent.objects.get(task_name="door.retry_until")
    assert waits_for_beat.upstream == AlertEvent.objects.get(task_name="celery beat")
    for gate in (*gates, held):
        gate.open()


@pytest.mark.parametrize("system", [EMBEDDED], indirect=True)
def test_what_a_task_itself_did_is_named_too(system: System, post_office: Moody) -> None:
    log_began_long_ago()
    north, south = (Group.objects.create(name=name) for name in ("north", "south"))
    too_late = system.send("door.soft_limited_but_tidy", expires=1)
    wait_until(lambda: is_older(too_late, seconds=1.2), "the message has expired")
    system.start_worker()

    # One task is found expired, one fails twice, one hangs, one runs for somebody else.
    system.at(too_late, "Cancelled")
    for _ in range(2):
        system.ended(system.send("door.fail"))
    gate = system.gate()
    held = system.send("door.hold", gate.name)
    gate.wait_until_taken()
    system.at(held, "Running")
    system.ended(system.send("door.ingest", kwargs={"session": south.pk}))
    watch("door.soft_limited_but_tidy")
    watch("door.fail")
    watch("door.hold", while_running="judge")
    watch("door.ingest", context_model="auth.Group", context_field="name", context_type=north.name)
    assert doors.check([], {}).state == "complete"

    said = causes(post_office)
    assert len(said) == len(post_office.messages) == 4
    expired = said["door.soft_limited_but_tidy"]
    assert expired.startswith("Its message expired before a worker took it: sent at")
    assert said["door.fail"].startswith(
        "It raised ValueError: no figures for <North> & 'South'; same error as the last failure"
    )
    assert said["door.hold"].startswith("It still runs: for ")
    assert f"(on {system.node('worker')})" in said["door.hold"]
    assert said["door.ingest"].startswith("It ran, but in another context: its run of")
    assert "(Completed) was for “south”, not for “north”" in said["door.ingest"]
    gate.open()


@pytest.mark.parametrize("system", [EMBEDDED], indirect=True)
def test_a_run_that_never_came_is_explained_by_what_is_known(
    system: System, post_office: Moody
) -> None:
    log_began_long_ago()
    every_second("door.succeed")
    system.start_worker()
    beat = system.start_beat()
    ran = executions(status="Completed", task_name="door.succeed")
    wait_until(lambda: ran.count() > 1, "beat has sent it twice")
    by_hand = system.ended(system.send("door.legacy"))
    beat.kill()
    waiting = executions(status__in=["Pending", "Queued", "Running"])
    wait_until(lambda: not waiting.exists(), "all that was sent has run")

    # Beat is dead for a moment only, nobody sends the second any more, the third is misspelt.
    watch("door.succeed", FOUR_SECONDS)
    watch("door.legacy", FOUR_SECONDS)
    watch("door.sucede")
    last = max(ran.values_list("started_at", flat=True))
    assert by_hand.started_at is not None
    for name, at in (
        ("door.succeed", last + timedelta(seconds=20)),
        ("door.legacy", by_hand.started_at + timedelta(seconds=6)),
        ("door.sucede", timezone.now()),
    ):
        with time_machine.travel(at, tick=True):
            assert doors.check([], {"rules": [name]}).state == "complete"

    said = causes(post_office)
    assert len(said) == len(post_office.messages) == 3
    assert said["door.succeed"].startswith("It has missed its schedule: it last ran at")
    assert "runs were due since" in said["door.succeed"]
    assert said["door.legacy"].startswith("It ran before the window began: at")
    assert said["door.sucede"].startswith('Nobody knows the task: no task "door.sucede" is in')
    assert 'did you mean "door.succeed"' in said["door.sucede"]
