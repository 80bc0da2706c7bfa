"""The main job by real processes: a task raises, beat asks, a worker checks, mail arrives."""

from __future__ import annotations

import json
from collections.abc import Iterator
from email.message import EmailMessage

import pytest
from django.contrib.auth import get_user_model
from django.db import transaction
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from monitoring.models import (
    AlertEvent,
    BackgroundTask,
    MonitorRule,
    MonitorRun,
    Notification,
    RuleState,
)
from tests.doors.harness import OBSERVER, System, wait_until
from tests.doors.servers import (
    EMBEDDED,
    RABBITMQ_MARIADB,
    RABBITMQ_POSTGRES,
    REDIS_MARIADB,
    REDIS_POSTGRES,
)
from tests.factories import ago
from tests.mail_server import Moody, free_port

pytestmark = pytest.mark.door

SUBJECT = "[ALERT] door.fail Status Check Failed"


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def post_office(port: int) -> Iterator[Moody]:
    """A mail server that is not started yet."""
    moody = Moody(port)
    yield moody
    moody.stop()


def every_second(name: str, args: list[object]) -> PeriodicTask:
    schedule, _ = IntervalSchedule.objects.get_or_create(every=1, period="seconds")
    return PeriodicTask.objects.create(
        name=name, task="monitor_task_status", interval=schedule, args=json.dumps(args)
    )


def start(system: System, port: int) -> None:
    system.start_worker(EMAIL_URL=f"smtp://127.0.0.1:{port}")
    system.start_beat()


def messages_to(office: Moody, address: str) -> list[EmailMessage]:
    return [message for message in list(office.messages) if message["To"] == address]


@pytest.mark.parametrize(
    "system",
    [EMBEDDED, REDIS_POSTGRES, RABBITMQ_MARIADB, REDIS_MARIADB, RABBITMQ_POSTGRES],
    indirect=True,
)
def test_a_task_that_raises_is_mailed_by_json_arguments_and_by_a_stored_rule(
    system: System, post_office: Moody, port: int
) -> None:
    post_office.start()
    get_user_model().objects.create_superuser("root", "root@example.com", "x")
    MonitorRule.objects.create(
        name="Stored", task_name="door.fail", created_at=ago(days=30), description="Call Ann."
    )
    entry = {
        "expected_statuses": ["Completed"],
        "notify_to": ["ops@example.com"],
        "dependent_tasks": ["door.succeed"],
        "lookback_hours": 1.5,
    }
    start(system, port)
    task_id = system.send("door.fail")
    system.ended(task_id)
    documented = every_second("Documented", [{"door.fail": entry}])
    every_second("All rules", [])

    wait_until(lambda: messages_to(post_office, "ops@example.com"), "the documented mail")
    wait_until(lambda: messages_to(post_office, "root@example.com"), "the rule's mail")
    wait_until(lambda: MonitorRun.objects.filter(state="complete").count() > 3, "four checks")

    mail = messages_to(post_office, "ops@example.com")[0]
    assert mail["Subject"] == SUBJECT
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["From"] == "monitoring@localhost"
    assert mail["Message-ID"].startswith("<monitoring-")
    text = mail.get_body(("plain",)).get_content()
    html = mail.get_body(("html",)).get_content()
    for fact in ("door.fail", "Stopped", "Completed", "Last 1.5 hour(s)", "door.succeed", task_id):
        assert fact in text
        assert fact in html
    assert "ValueError: no figures for <North> & 'South'" in text
    assert "no figures for &lt;North&gt; &amp; &#x27;South&#x27;" in html

    (by_rule,) = messages_to(post_office, "root@example.com")
    assert by_rule["Subject"] == SUBJECT
    assert "Call Ann." in by_rule.get_body(("plain",)).get_content()

    events = AlertEvent.objects.order_by("rule_id")
    assert sorted(event.rule_name for event in events) == ["", "Stored"]
    assert {event.task_id for event in events} == {task_id}
    sent = Notification.objects.filter(recipient="root@example.com")
    # A mail is here before the worker has heard so and marked it.
    wait_until(lambda: sent.filter(state="sent"), "the rule's mail is marked")
    assert [(one.state, one.kind, one.message_id) for one in sent] == [
        ("sent", "alert", by_rule["Message-ID"])
    ]
    of_the_first = Notification.objects.filter(message_id=mail["Message-ID"])
    wait_until(lambda: of_the_first.filter(state="sent"), "the documented mail is marked")
    documented_sent = of_the_first.get()
    assert (documented_sent.recipient, documented_sent.state) == ("ops@example.com", "sent")
    assert documented_sent.alert_event.rule_name == ""
    runs = MonitorRun.objects.filter(state="complete")
    assert set(runs.values_list("checked", "failing", "error")) == {(1, 1, "")}
    assert set(runs.values_list("rule_set", flat=True)) == {
        "JSON arguments of Documented",
        "all rules",
    }
    # The checks themselves are no part of the log that they read.
    assert set(BackgroundTask.objects.values_list("task_name", flat=True)) == {"door.fail"}
    documented.refresh_from_db()
    assert documented.total_run_count > 0


# Nothing of it depends on the broker, and half a minute passes before the second attempt.
@pytest.mark.parametrize("system", [EMBEDDED], indirect=True)
def test_mail_that_cannot_be_delivered_waits_for_the_server_and_arrives_once(
    system: System, post_office: Moody, port: int
) -> None:
    MonitorRule.objects.create(
        name="Stored",
        task_name="door.fail",
        created_at=ago(days=30),
        notify_to=["ops@example.com", "gone@example.com"],
    )
    post_office.replies["gone@example.com"] = "550 no such mailbox"
    start(system, port)
    system.ended(system.send("door.fail"))
    every_second("All rules", [])
    owed = Notification.objects.filter(recipient="ops@example.com")
    wait_until(lambda: owed.filter(attempts=1, state="pending"), "the first attempt fails")
    assert "refused" in owed.get().error

    post_office.start()
    wait_until(lambda: owed.filter(state="sent"), "a later check delivers it", seconds=100)
    refused = Notification.objects.filter(recipient="gone@example.com")
    wait_until(lambda: refused.filter(state="failed"), "the refusal is kept", seconds=100)

    checks = MonitorRun.objects.count()
    wait_until(lambda: MonitorRun.objects.count() > checks + 2, "two more checks")
    assert len(messages_to(post_office, "ops@example.com")) == 1
    assert messages_to(post_office, "gone@example.com") == []
    assert "550" in refused.get().error


ENTRY = {"door.fail": {"expected_statuses": ["Completed"], "notify_to": ["ops@example.com"]}}


def ask(system: System, periodic_task: str = "") -> str:
    """Ask for a check of one entry; with the name of a periodic task, as beat does."""
    headers = {"periodic_task_name": periodic_task} if periodic_task else {}
    return system.send("monitor_task_status", ENTRY, headers=headers)


@pytest.mark.parametrize("system", [EMBEDDED, REDIS_POSTGRES, RABBITMQ_MARIADB], indirect=True)
def test_a_backlog_of_checks_is_one_check_and_one_mail(
    system: System, post_office: Moody, port: int
) -> None:
    post_office.start()
    asked = [ask(system, "Documented") for _ in range(10)]

    worker = system.start_worker(EMAIL_URL=f"smtp://127.0.0.1:{port}")
    for task_id in asked:
        worker.wait_for_line(f"monitor_task_status[{task_id}] succeeded")
    wait_until(lambda: messages_to(post_office, "ops@example.com"), "the documented mail")

    assert MonitorRun.objects.count() == 1
    worker.wait_for_line("Task monitoring.tasks.deliver_notifications[")
    assert len(messages_to(post_office, "ops@example.com")) == 1


@pytest.mark.parametrize("system", [REDIS_POSTGRES, RABBITMQ_MARIADB], indirect=True)
def test_a_check_whose_worker_is_killed_is_done_when_its_message_comes_again(
    system: System, post_office: Moody, port: int
) -> None:
    post_office.start()
    mail_server = f"smtp://127.0.0.1:{port}"
    first = system.start_worker(EMAIL_URL=mail_server)
    ask(system)
    wait_until(lambda: messages_to(post_office, "ops@example.com"), "the first mail")

    with transaction.atomic(using=OBSERVER):
        # The check waits for this lock when it is killed.
        list(RuleState.objects.using(OBSERVER).select_for_update())
        asked = ask(system)
        runs = MonitorRun.objects.filter(task_id=asked)
        wait_until(runs.exists, "the check has begun")
        first.kill()
    # Redis hands out again what is not acknowledged for as long as the second says, while the first
    # has no such hurry: it must be dead by then, and the second must have ended the check.
    second = system.start_worker("second", EMAIL_URL=mail_server, DOOR_VISIBILITY_TIMEOUT="6")

    second.wait_for_line(f"monitor_task_status[{asked}] succeeded")
    wait_until(lambda: len(messages_to(post_office, "ops@example.com")) == 2, "the second mail")
    assert list(runs.order_by("pk").values_list("state", flat=True)) == ["failed", "complete"]
