"""The pages over a task log that somebody else keeps."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from monitoring.models import BackgroundTask, MonitorRule, WorkerHeartbeat
from tests.admin.conftest import client_of, staff
from tests.admin.data import event, url
from tests.admin.test_pages import body, facts
from tests.factories import ago, execution, log, rule
from tests.sources import HOST, JOBS, RESULTS, Source

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("source")]

MARK = 'class="monitoring-mark'


@pytest.fixture(params=[HOST, JOBS, RESULTS], ids=["host", "jobs", "results"])
def source(
    request: pytest.FixtureRequest, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> Source:
    found: Source = request.param
    settings.MONITORING = settings.MONITORING | found.settings
    monkeypatch.setattr(log, "source", found)
    return found


def page_of(source: Source, row: Any) -> str:
    """Return the address of an execution's own page; only TaskResult has one here."""
    if source is not RESULTS:
        return ""
    return reverse("admin:django_celery_results_taskresult_change", args=[row.pk])


def test_what_our_recorder_would_write_is_closed(root: Client) -> None:
    for model in (BackgroundTask, WorkerHeartbeat):
        assert root.get(url(model, "changelist")).status_code == 403
    page = facts(body(root, reverse("admin:app_list", args=["monitoring"])))
    assert "Executions" not in page
    assert "Workers" not in page


def test_the_list_of_rules_shows_the_last_runs_and_leads_to_them(
    root: Client, source: Source
) -> None:
    rule("sync")
    row = execution("sync", "Stopped")

    page = body(root, url(MonitorRule, "changelist"))

    assert MARK in page
    if address := page_of(source, row):
        assert address in page


def test_the_timeline_draws_what_ran(root: Client, source: Source) -> None:
    row = execution("sync", "Stopped", started=timezone.now())
    execution("sync", "Running", started=timezone.now())

    page = body(root, url(MonitorRule, "timeline") + "?task_name=sync")

    assert "Stopped" in facts(page)
    assert "Running" in facts(page)
    assert f'<a href="{page_of(source, row)}">' in page or not page_of(source, row)


def test_an_alert_event_leads_to_its_execution(root: Client, source: Source) -> None:
    row = execution("sync", "Stopped", task_id="task-900003")
    opened = event("sync", task_id="task-900003")

    page = body(root, reverse("admin:monitoring_alertevent_change", args=[opened.pk]))

    assert "task-900003" in facts(page)
    assert page_of(source, row) in page


def test_the_form_previews_over_it(root: Client) -> None:
    execution("sync", "Stopped", started=timezone.now())
    answer = root.post(
        url(MonitorRule, "preview"),
        {
            "name": "Sync",
            "task_name": "sync",
            "expected_statuses": '["Completed"]',
            "lookback_hours": "1",
            "notify_to": "[]",
            "dependent_tasks": "[]",
            "alert_after": "1",
            "while_running": "wait",
        },
    )

    panel = answer.json()["panel"]
    assert "Stopped instead of Completed" in panel
    assert MARK in panel


def test_the_overview_names_what_nobody_watches(root: Client) -> None:
    execution("forgotten")

    assert "forgotten" in facts(body(root, reverse("admin:app_list", args=["monitoring"])))


def test_whoever_may_not_view_the_log_sees_nothing_of_it(vera: Client) -> None:
    rule("sync")
    execution("sync", "Stopped", started=timezone.now())
    execution("forgotten")

    assert MARK not in body(vera, url(MonitorRule, "changelist"))
    assert "Stopped" not in body(vera, url(MonitorRule, "timeline") + "?task_name=sync")
    overview = body(vera, reverse("admin:app_list", args=["monitoring"]))
    assert "forgotten" not in overview


def test_the_permission_is_that_of_the_log(db: None, source: Source) -> None:
    meta = source.model._meta
    user = staff("paul", "view_monitorrule")
    user.user_permissions.add(
        Permission.objects.get(
            content_type__app_label=meta.app_label, codename=f"view_{meta.model_name}"
        )
    )
    rule("sync")
    execution("sync", started=ago(minutes=3))

    assert MARK in body(client_of(user), url(MonitorRule, "changelist"))
