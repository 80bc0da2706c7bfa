"""The backtest beside the rule form, in a real browser: what changes as one types."""

from __future__ import annotations

from datetime import timedelta

from playwright.sync_api import Page, expect

from monitoring.models import MonitorRule
from tests.admin.browser import in_browser, shoot, violations
from tests.admin.data import event, url
from tests.factories import ago, execution, rule

pytestmark = in_browser


def history() -> MonitorRule:
    """Store two months of a daily report that failed twice and was late thrice, and its rule."""
    for day in range(61, 0, -1):
        if day == 33:
            continue
        start = ago(days=day) + timedelta(minutes=50 if day in (7, 18, 40) else day % 4)
        execution(
            "generate_daily_report",
            "Stopped" if day in (12, 25) else "Completed",
            started=start,
            finished_at=start + timedelta(minutes=30),
        )
    row = rule("generate_daily_report", name="Daily report is made", lookback_hours=26)
    event(row.task_name, rule=row, opened_at=ago(days=11.9), resolved_at=ago(days=10.9))
    return row


def test_follows_what_is_typed_and_fills_in_the_suggestion(
    page: Page, complaints: list[str]
) -> None:
    row = history()
    page.goto(url(MonitorRule, "change", row.pk))
    panel = page.get_by_role("region", name="Over the last 60 days")
    window = page.get_by_label("Look back, in hours:")

    expect(panel).to_contain_text("Would have opened 3 events in 60 days: 2 failures, 1 late run")
    window.fill("24")
    expect(panel.get_by_role("row", name="Edited Stored Suggested")).to_be_visible()
    for counts in ("Events 6 3 3", "Failures 2 2 2", "Late runs 4 1 1", "Still open 0 0 0"):
        expect(panel.get_by_role("row", name=counts)).to_be_visible()
    panel.get_by_text("Edited: Events, the newest first").click()
    expect(panel.get_by_role("link", name="alert event of that time").first).to_be_visible()
    shoot(page, "rule-backtest")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert violations(page, complaints) == [], scheme
    page.set_viewport_size({"width": 400, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    page.set_viewport_size({"width": 1280, "height": 800})

    panel.get_by_role("button", name="Use 25 h").click()
    expect(window).to_have_value("25")
    expect(panel).to_contain_text("This is the shortest window without a false alarm")
    expect(panel.get_by_role("button", name="Use")).to_have_count(0)
    factor = page.get_by_label("Slow from, times the usual:")
    factor.fill("3")
    panel.get_by_role("button", name="Use 1.25 times").click()
    expect(factor).to_have_value("1.25")
    expect(factor).to_be_focused()
    expect(panel.get_by_role("button", name="Use")).to_have_count(0)
    panel.get_by_label("A run may come later than usual by").select_option("15 minutes")
    expect(panel).to_contain_text("4 times nothing ran for longer than 24.3 h")
    assert MonitorRule.objects.get().lookback_hours == 26


def test_draws_both_rules_on_the_timeline(page: Page, complaints: list[str]) -> None:
    row = history()
    page.goto(url(MonitorRule, "change", row.pk))
    page.get_by_label("Look back, in hours:").fill("24")
    panel = page.get_by_role("region", name="Over the last 60 days")
    expect(panel.get_by_role("row", name="Stored")).to_be_visible()
    panel.get_by_role("link", name="On the timeline").click()

    picture = page.get_by_role("region", name="Timeline")
    for lane in ("Stored rule", "Edited rule"):
        expect(picture.get_by_text(lane)).to_be_visible()
        expect(page.get_by_role("cell", name=lane).first).to_be_visible()
    shoot(page, "timeline-backtest")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert violations(page, complaints) == [], scheme
    page.get_by_label("Period").select_option("30 days")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("region", name="Timeline").get_by_text("Edited rule")).to_be_visible()
