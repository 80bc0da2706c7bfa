"""The pages of held alerts, digests and gaps in a real browser, under a strict policy."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from monitoring import rendering
from monitoring.core.digests import Topic, digest_facts
from monitoring.models import AlertEvent, MonitorRun, Notification
from tests.admin.browser import failing, shoot, violations
from tests.admin.data import event, message, run, url
from tests.factories import NOW, ago

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def digest() -> Notification:
    """Store a digest with its messages, rendered as it is sent."""
    rows = []
    for number in range(12):
        name = f"warehouse.load_table_{number:02}"
        facts = {
            "task_name": name,
            "rule_name": f"Table {number}",
            "current_status": "Stopped" if number % 3 else "No execution found",
            "expected_statuses": "Completed",
            "opened_at": ago(hours=number).isoformat(),
            "dependent_tasks": ["report"] * (number == 7),
        }
        rows.append(message(event(name), facts=facts, state="sent"))
    said = digest_facts(Topic.FAILED, [(row.alert_event_id, row.facts) for row in rows], NOW)
    mail = rendering.render(said, None)
    row = message(
        None,
        is_digest=True,
        facts=said,
        subject=mail.subject,
        text_body=mail.text_body,
        html_body=mail.html_body,
    )
    Notification.objects.filter(pk__in=[one.pk for one in rows]).update(digest=row)
    return row


def test_an_event_is_acknowledged_until_a_time(page: Page, complaints: list[str]) -> None:
    found = failing()[AlertEvent]
    AlertEvent.objects.filter(pk=found.pk).update(
        upstream=event("fetch_figures"), alert_owed=True, periodic_task=""
    )
    page.goto(url(AlertEvent, "change", found.pk))
    shoot(page, "event-held")
    assert violations(page, complaints) == []
    until = timezone.localtime() + timedelta(days=1)
    page.get_by_label("Until").fill(until.strftime("%Y-%m-%dT%H:%M"))
    page.get_by_role("button", name="Acknowledge").click()

    expect(page.locator(".messagelist")).to_contain_text("The alert event was acknowledged.")
    expect(page.locator(".field-acknowledged_end")).to_contain_text(f"{until:%H:%M}")
    shoot(page, "event-acknowledged-until")
    assert violations(page, complaints) == []


def test_a_digest_leads_to_its_messages_and_back(page: Page, complaints: list[str]) -> None:
    row = digest()
    page.goto(url(Notification, "change", row.pk))
    mail = page.frame_locator("iframe.monitoring-mail")
    expect(mail.get_by_role("heading").first).to_contain_text("12 tasks failed")
    shoot(page, "digest")
    assert violations(page, complaints) == []
    page.get_by_role("link", name="several").click()
    expect(page.locator("#result_list tbody tr")).to_have_count(12)
    page.locator("#result_list tbody tr a").first.click()
    page.get_by_role("link", name=row.subject).click()

    expect(page).to_have_url(
        f"{page.url.partition('/admin/')[0]}{url(Notification, 'change', row.pk)}"
    )


def test_a_check_admits_its_gap(page: Page, complaints: list[str]) -> None:
    row = run(not_checked_from=ago(minutes=55), messages=2, failing=2, checked=40, ok=38)
    page.goto(url(MonitorRun, "change", row.pk))

    expect(page.locator(".field-gap")).to_contain_text("Not checked since")
    shoot(page, "check-with-gap")
    assert violations(page, complaints) == []
