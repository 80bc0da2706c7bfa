"""A task log in another database than the rules, as a router or a read replica has it."""

from __future__ import annotations

from typing import Any

import pytest
from celery import shared_task
from django.test import Client
from django.urls import reverse

from monitoring.models import AlertEvent, BackgroundTask, MonitorRun, Notification
from tests.factories import ago, execution, log, rule, superuser
from tests.gap.models import IngestorSession
from tests.hostlogs.models import BackgroundTask as HostTask
from tests.shell.conftest import Monitor
from tests.sources import HOST, OWN, Source

pytestmark = [
    pytest.mark.django_db(databases=["default", "second"]),
    pytest.mark.usefixtures("clock", "second"),
]

OPS = {"notify_to": ["ops@example.com"]}
SECOND = "second"


class LogsGoToTheSecond:
    """A router of the host."""

    def db_for_read(self, model: type[Any], **_: Any) -> str | None:
        return SECOND if model in (BackgroundTask, HostTask) else None

    db_for_write = db_for_read


@shared_task(name="contracts.something")
def something() -> None:
    """Run eagerly, as a task of the host does."""


@pytest.fixture(params=[OWN, HOST], ids=["own", "host"])
def second(
    request: pytest.FixtureRequest, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> Source:
    """Keep the task log in a database of its own."""
    source: Source = request.param
    settings.DATABASE_ROUTERS = [f"{__name__}.LogsGoToTheSecond"]
    settings.MONITORING = settings.MONITORING | source.settings
    monkeypatch.setattr(log, "source", source)
    return source


def test_a_check_reads_the_one_and_writes_the_other(
    monitor: Monitor, second: Source, mailoutbox: Any
) -> None:
    rule("sync", **OPS)
    rule("report", **OPS)
    rule("waits", max_runtime_minutes=5, **OPS)
    execution("sync", "Stopped", errors="OSError: no")
    execution("report")
    execution("waits", "Running", started=ago(hours=3))

    found = monitor()

    assert (found["ok"], found["failing"], found["unknown"]) == (1, 2, 0)
    assert {mail.subject.split()[1] for mail in mailoutbox} == {"sync", "waits"}
    assert second.model.objects.using("default").count() == 0
    assert AlertEvent.objects.count() == Notification.objects.count() == 2
    assert MonitorRun.objects.get().state == "complete"


def test_a_context_may_stand_in_the_first_database(monitor: Monitor) -> None:
    hourly = IngestorSession.objects.create(ingestor_type="Hourly")
    daily = IngestorSession.objects.create(ingestor_type="Daily")
    rule("ingest", context_model="gap.IngestorSession", context_type="Hourly", **OPS)
    execution("ingest", context_id=str(hourly.pk), started=ago(minutes=20))
    execution("ingest", "Stopped", context_id=str(daily.pk))

    assert monitor()["ok"] == 1


def test_the_recorder_writes_to_where_its_log_is(
    second: Source, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(using=SECOND, execute=True):
        something.apply()

    recorded = BackgroundTask.objects.using(SECOND).filter(task_name="contracts.something")
    assert recorded.exists() == (second is OWN)
    assert not BackgroundTask.objects.using("default").exists()


def test_the_pages_read_it_from_there(second: Source) -> None:
    client = Client()
    client.force_login(superuser())
    rule("sync")
    execution("sync", "Stopped")

    for page in ("monitorrule_changelist", "monitorrule_timeline"):
        answer = client.get(reverse(f"admin:monitoring_{page}"), {"task_name": "sync"})
        assert answer.status_code == 200
    answer = client.get(reverse("admin:app_list", args=["monitoring"]))
    assert answer.status_code == 200
