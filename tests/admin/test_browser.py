"""A person with a browser: nothing but what they can see and click, on a host with a strict CSP."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from monitoring.models import (
    AlertEvent,
    BackgroundTask,
    MonitorRule,
    MonitorRun,
    Notification,
)
from tests.admin.browser import failing, in_browser, shoot, violations
from tests.admin.data import url
from tests.admin.strict_csp import POLICY
from tests.factories import rule

pytestmark = in_browser


def test_a_rule_is_created_from_nothing(page: Page) -> None:
    page.goto("/admin/")
    page.get_by_role("link", name="Rules", exact=True).first.click()
    page.get_by_role("link", name="Add rule").click()
    page.get_by_label("Name:").fill("Daily report is made")
    page.get_by_label("Task:", exact=True).fill("generate_daily_report")
    statuses = page.get_by_role("group", name="Expected statuses")
    expect(statuses).to_contain_text("Completed")
    statuses.locator(".rjf-multiselect-field-input").click()
    statuses.get_by_label("Running").check()
    page.get_by_label("Look back, in hours:").fill("25")
    for address in ("reports@example.com", "ops@example.com"):
        people = page.get_by_role("group", name="Notify")
        people.get_by_role("button", name="Add item").click()
        expect(people.get_by_role("textbox").last).to_be_focused()
        people.get_by_role("textbox").last.fill(address)
    depends = page.get_by_role("group", name="Dependent tasks")
    depends.get_by_role("button", name="Add item").click()
    depends.get_by_role("textbox").fill("send_report_emails")
    shoot(page, "rule-form")
    page.get_by_role("button", name="Save", exact=True).click()

    expect(page.locator(".messagelist")).to_contain_text("was added successfully")
    row = page.locator("#result_list tbody tr")
    expect(row).to_contain_text("Daily report is made")
    expect(row).to_contain_text("Never checked")
    expect(row).to_contain_text("Completed, Running")
    expect(row).to_contain_text("Last 25 hours")
    stored = MonitorRule.objects.get()
    assert stored.expected_statuses == ["Completed", "Running"]
    assert stored.notify_to == ["reports@example.com", "ops@example.com"]
    assert stored.dependent_tasks == ["send_report_emails"]


def test_what_is_wrong_is_said_at_its_field_and_can_be_put_right(
    page: Page, complaints: list[str]
) -> None:
    rule("sync", name="Taken")
    page.goto(url(MonitorRule, "add"))
    page.get_by_label("Name:").fill("Taken")
    page.get_by_label("Task:", exact=True).fill("sync")
    page.get_by_role("group", name="Notify").get_by_role("button", name="Add item").click()
    page.get_by_role("group", name="Notify").get_by_role("textbox").fill("nobody")
    page.get_by_role("button", name="Save", exact=True).click()

    expect(page.locator(".field-name .errorlist")).to_have_text(
        "Rule with this Name already exists."
    )
    expect(page.locator(".field-notify_to .errorlist")).to_contain_text("is not an e-mail address")
    shoot(page, "rule-form-errors")
    assert violations(page, complaints) == []
    page.get_by_label("Name:").fill("Free")
    page.get_by_role("group", name="Notify").get_by_role("textbox").fill("a@example.com")
    page.get_by_role("button", name="Save", exact=True).click()

    expect(page.locator(".messagelist")).to_contain_text("was added successfully")
    assert MonitorRule.objects.get(name="Free").notify_to == ["a@example.com"]


def test_from_a_failing_rule_to_its_event_its_execution_and_its_mail(page: Page) -> None:
    rows = failing()

    page.goto(url(MonitorRule, "changelist"))
    expect(page.locator("#result_list")).to_contain_text("Status mismatch, 3 checks")
    page.get_by_role("link", name="open for").first.click()
    expect(page).to_have_url(re.compile(url(AlertEvent, "change", rows[AlertEvent].pk)))
    page.get_by_role("link", name="[ALERT] generate_daily_report").click()
    mail = page.frame_locator("iframe.monitoring-mail")
    expect(mail.get_by_role("heading")).to_have_text("It did not end as expected")
    page.get_by_role("link", name="generate_daily_report: Status mismatch").click()
    page.get_by_role("link", name=rows[BackgroundTask].task_id).click()
    expect(page.locator(".field-stack_trace")).to_contain_text("MissingFigures")


@pytest.mark.parametrize(
    "model", [MonitorRule, AlertEvent, Notification, BackgroundTask, MonitorRun]
)
def test_lists_fit_beside_both_bars_and_pages_a_phone_and_all_are_accessible_light_and_dark(
    page: Page, complaints: list[str], model: type[Any]
) -> None:
    row = failing()[model]
    name = model._meta.model_name

    for address, picture in (
        (url(model, "changelist"), f"{name}-list"),
        (url(model, "change", row.pk), name),
    ):
        page.goto(address)
        wide = "(one => one ? one.scrollWidth - one.clientWidth : 0)"
        assert page.evaluate(f"{wide}(document.querySelector('#changelist .results'))") == 0
        shoot(page, str(picture))
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert violations(page, complaints) == [], (address, scheme)
        page.set_viewport_size({"width": 400, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= 400, address
        page.set_viewport_size({"width": 1280, "height": 800})


def test_the_strict_policy_is_in_force(page: Page) -> None:
    response = page.goto("/admin/")

    assert response is not None
    assert response.headers["content-security-policy"] == POLICY
