"""The rule form in a real browser: lists, a context, and every error put right."""

from __future__ import annotations

import json
import re
from datetime import timedelta

from playwright.sync_api import Locator, Page, expect

from monitoring.models import MonitorRule
from tests.admin.browser import in_browser, shoot, violations
from tests.admin.data import url
from tests.factories import ago, execution, rule
from tests.gap.models import IngestorSession

pytestmark = in_browser


def begin(page: Page, name: str = "Data is in sync", task_name: str = "sync") -> None:
    page.goto(url(MonitorRule, "add"))
    page.get_by_label("Name:").fill(name)
    page.get_by_label("Task:", exact=True).fill(task_name)


def add(page: Page, group: str, *items: str) -> Locator:
    """Add items to one of the lists, and return the list."""
    found = page.get_by_role("group", name=group)
    for item in items:
        found.get_by_role("button", name="Add item").click()
        found.get_by_role("textbox").last.fill(item)
    return found


def save(page: Page) -> None:
    page.get_by_role("button", name="Save", exact=True).click()


def saved(page: Page) -> MonitorRule:
    save(page)
    expect(page.locator(".messagelist")).to_contain_text("was added successfully")
    return MonitorRule.objects.order_by("-pk")[0]


def test_each_wrong_address_is_said_at_its_own_item(page: Page) -> None:
    begin(page)
    people = add(page, "Notify", "good@example.com", "nobody", "also wrong")
    save(page)

    items = people.locator(".rjf-form-row")
    expect(items).to_have_count(3)
    expect(items.nth(0).locator(".rjf-error-text")).to_have_count(0)
    expect(items.nth(1).locator(".rjf-error-text")).to_contain_text('"nobody" is not an e-mail')
    expect(items.nth(2).locator(".rjf-error-text")).to_contain_text('"also wrong" is not an e-mail')
    for place, address in ((1, "b@example.com"), (2, "c@example.com")):
        people.get_by_role("textbox").nth(place).fill(address)

    assert saved(page).notify_to == ["good@example.com", "b@example.com", "c@example.com"]


def test_items_are_put_in_another_order_and_taken_off(page: Page) -> None:
    begin(page)
    tasks = add(page, "Dependent tasks", "first", "second", "third")

    tasks.get_by_title("Move up").last.click()
    expect(tasks.get_by_role("textbox").nth(1)).to_have_value("third")
    tasks.get_by_title("Remove").first.click()
    expect(tasks.get_by_role("textbox")).to_have_count(2)

    assert saved(page).dependent_tasks == ["third", "second"]


def test_every_error_of_the_form_is_put_right(page: Page, complaints: list[str]) -> None:
    rule("other", name="Taken")
    begin(page, "Taken", " ")
    statuses = page.get_by_role("group", name="Expected statuses")
    statuses.locator(".rjf-multiselect-field-input").click()
    statuses.get_by_role("checkbox", name="Completed").uncheck()
    add(page, "Notify", "nobody")
    page.get_by_text("Advanced").click()
    wrong_and_right = {
        "lookback_hours": ("0", "1.5"),
        "max_runtime_minutes": ("-1", "90"),
        "max_duration_factor": ("0.5", "2.5"),
        "min_success_rate": ("0.9", "90"),
        "alert_after": ("0", "2"),
        "remind_hours": ("-1", "4"),
        "snoozed_until_0": ("tomorrow", "2026-04-01"),
        "snoozed_until_1": ("nine", "09:00:00"),
        "context_model": ("", "gap.IngestorSession"),
        "context_type": ("Hourly", "Hourly"),
    }
    for name, (wrong, _right) in wrong_and_right.items():
        page.locator(f"[name={name}]").fill(wrong)
    save(page)

    said = {
        "name": "already exists",
        "task_name": "This field is required",
        "expected_statuses": "Is empty: name at least one",
        "notify_to": '"nobody" is not an e-mail address',
        "lookback_hours": "Must be greater than 0",
        "max_runtime_minutes": "Must be greater than 0",
        "max_duration_factor": "Must be from 1 to 1000, got 0.5",
        "min_success_rate": "Must be from 1 to 100, got 0.9: write a percentage, such as 90",
        "alert_after": "greater than or equal to 1",
        "remind_hours": "greater than or equal to 0",
        "snoozed_until": "Enter a valid date",
        "context_model": "context_type is given without context_model",
    }
    for name, text in said.items():
        expect(page.locator(f".field-{name} .errorlist")).to_contain_text(text)
    shoot(page, "rule-form-all-errors")
    assert violations(page, complaints) == []

    page.get_by_label("Name:").fill("Free")
    page.get_by_label("Task:", exact=True).fill("sync")
    statuses.locator(".rjf-multiselect-field-input").click()
    statuses.get_by_role("checkbox", name="Stopped").check()
    page.get_by_role("group", name="Notify").get_by_role("textbox").fill("a@example.com")
    for name, (_wrong, right) in wrong_and_right.items():
        page.locator(f"[name={name}]").fill(right)
    row = saved(page)

    assert (row.expected_statuses, row.notify_to) == (["Stopped"], ["a@example.com"])
    assert (row.lookback_hours, row.max_runtime_minutes, row.remind_hours) == (1.5, 90, 4)
    assert (row.max_duration_factor, row.min_success_rate) == (2.5, 90)
    assert (row.context_model, row.context_type) == ("gap.IngestorSession", "Hourly")


def test_what_would_be_measured_is_shown_while_one_types(page: Page, complaints: list[str]) -> None:
    for day in range(25):
        start = ago(days=day, minutes=30)
        execution("sync", started=start, finished_at=start + timedelta(minutes=3 if day else 14))
    begin(page)
    page.locator("[name=lookback_hours]").fill("240")
    page.locator("[name=min_success_rate]").fill("90")
    measured = page.locator("#monitoring-preview dd").filter(has_text="runs since")
    expect(measured).to_contain_text("10 of 10 runs since")
    shoot(page, "rule-form-measured-ok")

    page.locator("[name=max_duration_factor]").fill("2")

    expect(page.locator("#monitoring-preview .monitoring-bad").first).to_have_text("Slow")
    expect(page.locator("#monitoring-preview")).to_contain_text("it took 14 min; 95 % of the last")
    shoot(page, "rule-form-measured-slow")
    assert violations(page, complaints) == []


def test_on_a_phone_the_verdict_stays_in_view_and_leads_to_the_preview(page: Page) -> None:
    execution("sync", status="Stopped", started_at=ago(minutes=10))
    page.set_viewport_size({"width": 400, "height": 700})
    begin(page)

    verdict = page.get_by_role("link", name=re.compile("If it were checked now: Status mismatch"))
    expect(verdict).to_be_in_viewport()
    verdict.click()
    expect(page.get_by_role("heading", name="If it were checked now")).to_be_in_viewport()

    page.get_by_label("Look back, in hours:").fill("-1")
    expect(verdict).to_be_hidden()


def test_a_context_is_chosen_from_what_is_there(page: Page) -> None:
    for kind in ("Daily", "Hourly", "Hourly"):
        IngestorSession.objects.create(ingestor_type=kind)
    begin(page)
    page.get_by_text("Advanced").click()

    for name, typed, offered in (
        ("context_model", "ingestors", {"gap.IngestorSession"}),
        ("context_field", "type", {"ingestor_type"}),
        ("context_type", "", {"Daily", "Hourly"}),
    ):
        box = page.locator(f"[name={name}]")
        box.click()
        box.press_sequentially(typed)
        options = page.locator(f"#monitoring-{name}-options option")
        expect(options).to_have_count(len(offered))
        values = {options.nth(place).get_attribute("value") for place in range(len(offered))}
        assert values == offered
        box.fill(max(offered))
    row = saved(page)

    assert json.dumps([row.context_model, row.context_field, row.context_type]) == (
        '["gap.IngestorSession", "ingestor_type", "Hourly"]'
    )


def test_statuses_are_chosen_by_the_keyboard_alone(page: Page) -> None:
    page.goto(url(MonitorRule, "add"))
    box = page.get_by_role("button", name=re.compile("^Choose"))
    box.focus()
    page.keyboard.press("Enter")

    expect(page.get_by_label("Running")).to_be_visible()
