"""The mails themselves in a real browser: readable for everybody, in light and in dark."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.utils import timezone
from playwright.sync_api import Page

from monitoring import doors
from monitoring.models import BackgroundTask, Notification
from tests.admin.browser import shoot
from tests.factories import ago, execution, rule

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

# Contrast among them; a mail has no landmarks, which axe recommends for pages.
FOR_MAIL = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}
OPS = {"notify_to": ["ops@example.com"], "description": "See https://wiki.example.com/runbook"}


def mails() -> dict[str, str]:
    """Let checks decide one mail of each kind; return their HTML by what they say."""
    execution("heartbeat", started=ago(days=30))
    for name in ("mismatch", "recovers", "reminds"):
        rule(name, remind_hours=0, dependent_tasks=["report", "cleanup"], **OPS)
        execution(name, "Stopped", errors="OSError: no route to <host>", started=recently(20))
    rule("overruns", max_runtime_minutes=5, **OPS)
    execution("overruns", "Running", started=recently(50))
    for name in ("slows", "flaps"):
        for day in range(30):
            start = recently(40) - timedelta(days=day)
            end = start + timedelta(minutes=3 if day else 14)
            status = "Stopped" if name == "flaps" and day % 3 == 1 else "Completed"
            execution(name, status, started=start, finished_at=end)
    rule("slows", max_duration_factor=2, **OPS)
    rule("flaps", min_success_rate=90, lookback_hours=240, **OPS)
    rule("missing", dependent_tasks=["report"], **OPS)
    execution("missing", "Queued", started_at=None, submitted_at=recently(30))
    rule("vanished", context_model="gap.Gone", context_field="x", context_type="y", **OPS)
    doors.check((), {})
    BackgroundTask.objects.filter(task_name="recovers").update(status="Completed")
    for _ in range(2):
        doors.check((), {})
    rows = Notification.objects.order_by("pk")
    return {f"{row.kind}-{row.subject.split()[1]}": row.html_body for row in rows}


def recently(minutes: float) -> datetime:
    return timezone.now() - timedelta(minutes=minutes)


def test_axe_finds_nothing_wrong_with_any_mail_in_light_or_dark(page: Page) -> None:
    found = mails()
    assert set(found) >= {
        "alert-mismatch",
        "alert-overruns",
        "alert-slows",
        "alert-flaps",
        "alert-missing",
        "alert-vanished",
        "reminder-reminds",
        "recovery-recovers",
    }
    wrong = []
    for name, html in found.items():
        page.set_content(html)
        shoot(page, f"mail-{name}")
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            result = Axe().run(page, options=FOR_MAIL)
            wrong += [
                f"{name} in {scheme}: {one['id']}: {node['html']}: {node['failureSummary']}"
                for one in result.response["violations"]
                for node in one["nodes"]
            ]
    assert wrong == []
