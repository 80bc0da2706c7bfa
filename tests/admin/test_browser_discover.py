"""A person with a browser finds the tasks that nobody watches."""

from __future__ import annotations

from datetime import timedelta

from playwright.sync_api import Page, expect

from monitoring.models import MonitorRule
from tests.admin.browser import in_browser, shoot, violations
from tests.admin.data import url
from tests.factories import NOW, execution, rule
from tests.shell.test_discovery import every_five_minutes, scheduled

pytestmark = in_browser

MINUTE = timedelta(minutes=1)


def a_project() -> None:
    """Store two tasks that nobody watches, one of them after the other, and two that drifted."""
    every_five_minutes()
    scheduled("Generate the daily report", "generate_daily_report")
    for number in range(12):
        at = NOW - timedelta(days=number, hours=4)
        times = {"submitted_at": at, "finished_at": at + 31 * MINUTE}
        execution("generate_daily_report", started=at + MINUTE / 6, **times)
        execution("send_report_emails", started=at + 31.2 * MINUTE, finished_at=at + 32 * MINUTE)
    rule("hourly_data_sync", name="Data is in sync", lookback_hours=2)
    scheduled("Data sync", "hourly_data_sync")
    rule("reports.tasks.old_report", name="Old report", lookback_hours=25)


def test_rules_are_accepted_from_what_is_proposed(page: Page, complaints: list[str]) -> None:
    a_project()
    page.goto(url(MonitorRule, "changelist"))
    page.get_by_role("link", name="Discover").click()
    expect(page.locator(".monitoring-proposals tbody tr")).to_have_count(4)
    shoot(page, "discover")
    assert violations(page, complaints) == []
    page.get_by_label("Accept: send_report_emails").check()
    page.get_by_label("Name of the rule for send_report_emails").fill("")
    page.get_by_role("button", name="Accept selected").click()
    expect(page.locator(".errorlist")).to_contain_text("This field is required.")
    shoot(page, "discover-error")
    assert violations(page, complaints) == []
    page.get_by_label("Name of the rule for send_report_emails").fill("Mails are sent")
    page.get_by_label("Accept: hourly_data_sync").check()
    page.get_by_role("button", name="Accept selected").click()

    expect(page.locator(".messagelist")).to_contain_text("1 rule was added: Mails are sent.")
    expect(page.locator(".messagelist")).to_contain_text("1 rule was changed: Data is in sync.")
    page.get_by_role("link", name="Edit first generate_daily_report").click()
    expect(page.get_by_label("Task:", exact=True)).to_have_value("generate_daily_report")
    expect(page.get_by_label("Look back, in hours:")).to_have_value("26")
    page.get_by_role("button", name="Save", exact=True).click()
    page.goto(url(MonitorRule, "discover"))
    page.get_by_label("Accept: reports.tasks.old_report").check()
    page.get_by_role("button", name="Accept selected").click()
    expect(page.locator("#content-main")).to_contain_text("Nothing is proposed")
    shoot(page, "discover-none")
