"""The pictures of all rules, looked at in a browser by somebody with a keyboard."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from monitoring.models import MonitorRule, RuleState
from monitoring.rule_rows import key_of
from tests.admin.browser import in_browser, shoot, violations
from tests.admin.data import event, run, state_of, url
from tests.factories import ago, execution, rule

pytestmark = in_browser

NARROW = {"width": 400, "height": 800}


def store() -> MonitorRule:
    """Store tasks of a shop that depend on each other; the import of the night has failed."""
    failed = rule(
        "shop.orders.import_orders",
        name="Orders are imported",
        dependent_tasks=["shop.stock.recount", "shop.reports.daily_report"],
    )
    state_of(failed, "status_mismatch", failing_checks=30)
    event(
        failed.task_name,
        rule=failed,
        rule_name=failed.name,
        open_key=key_of(failed),
        opened_at=ago(hours=2.5),
    )
    others = {
        "shop.stock.recount": ("Stock is counted", ["shop.stock.order_goods"]),
        "shop.reports.daily_report": ("Daily report is made", ["shop.mail.send_report"]),
        "shop.prices.fetch_prices": ("Prices are fetched", ["shop.prices.publish_prices"]),
        "shop.prices.publish_prices": ("Prices are published", []),
        "shop.backup.dump_database": ("Database is backed up", []),
    }
    for task_name, (name, dependents) in others.items():
        watched = rule(task_name, name=name, dependent_tasks=dependents)
        state_of(watched, "ok")
    RuleState.objects.filter(task_name="shop.backup.dump_database").update(verdict="no_execution")
    for minutes in range(0, 24 * 60, 30):
        status = "Stopped" if minutes < 150 else "Completed"
        execution(failed.task_name, status, started=ago(minutes=minutes + 1))
        if minutes >= 90:
            execution("shop.stock.recount", started=ago(minutes=minutes + 8))
    for minutes in range(0, 24 * 60, 15):
        status = "Cancelled" if minutes in (600, 615) else "Completed"
        execution("shop.prices.fetch_prices", status, started=ago(minutes=minutes + 2))
    execution("shop.prices.publish_prices", "Running", started=ago(minutes=3))
    execution("shop.reports.daily_report", started=ago(hours=6))
    execution("shop.backup.dump_database", started=ago(hours=23))
    run(checked=6, ok=4, failing=2)
    return failed


def test_the_last_day_of_all_rules_is_drawn_and_said(page: Page, complaints: list[str]) -> None:
    store()
    page.goto("/admin/monitoring/")
    picture = page.get_by_role("region", name="The last 24 hours")

    expect(picture.get_by_role("row")).to_have_count(7)
    expect(picture.get_by_role("row").nth(1)).to_contain_text("Orders are imported")
    expect(picture.get_by_role("img").first).to_have_attribute(
        "aria-label",
        re.compile("Completed from .+; Stopped from .+; Alert event from 09:30 to now"),
    )
    shoot(page, "overview-day")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert violations(page, complaints) == []
    page.set_viewport_size(NARROW)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert picture.evaluate("box => box.scrollWidth > box.clientWidth")

    page.get_by_text("The same in words").click()
    expect(page.locator(".monitoring-said")).to_contain_text("Alert event from 09:30 to now")
    page.get_by_role("link", name="All rules, the worst first").click()
    expect(page.get_by_role("heading", name="The last 24 hours")).to_be_visible()
    shoot(page, "day")
    assert violations(page, complaints) == []


def test_the_failing_part_of_the_dependencies_is_reached_by_keyboard(
    page: Page, complaints: list[str]
) -> None:
    failed = store()
    page.goto("/admin/monitoring/")
    page.get_by_role("link", name="What depends on what").click()

    picture = page.get_by_role("region", name="Dependencies")
    expect(picture.locator("rect.monitoring-bad")).to_have_count(1)
    expect(page.locator(".monitoring-tree")).to_contain_text(
        "shop.stock.recount Depends on one that fails"
    )
    shoot(page, "dependencies")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert violations(page, complaints) == []
    page.set_viewport_size(NARROW)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert picture.evaluate("box => box.scrollWidth > box.clientWidth")

    picture.focus()
    page.keyboard.press("Tab")
    focused = page.evaluate("document.activeElement.getAttribute('href')")
    assert focused == url(MonitorRule, "change", failed.pk)
    page.keyboard.press("Enter")
    expect(page.get_by_label("Name:")).to_have_value("Orders are imported")
