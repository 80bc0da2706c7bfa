"""A person with a browser who adds a channel, tries it, and lets a rule tell it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from monitoring.models import Channel, MonitorRule
from tests.admin.browser import in_browser, shoot, violations
from tests.admin.data import channel, url
from tests.factories import execution, rule
from tests.hook_server import LOOPBACK, Hooks, hook_server
from tests.shell.test_delivery import owed

pytestmark = in_browser


@pytest.fixture
def hooks(settings: Any) -> Iterator[Hooks]:
    settings.MONITORING = settings.MONITORING | LOOPBACK
    with hook_server() as hooks:
        yield hooks


def test_a_channel_is_added_and_tried(page: Page, complaints: list[str], hooks: Hooks) -> None:
    page.goto(url(Channel, "add"))
    page.get_by_label("Name").fill("ops-webhook")
    page.get_by_label("Address").fill(hooks.json_url)
    shoot(page, "channel-add")
    page.get_by_role("button", name="Save and continue editing").click()

    expect(page.get_by_label("New address")).to_have_value("")
    expect(page.get_by_text("json://…")).to_be_visible()
    page.get_by_role("button", name="Send test").click()

    expect(page.get_by_text("The test message was accepted by json://…")).to_be_visible()
    assert hooks.titles == ["Test of task monitoring"]
    shoot(page, "channel-tried")
    assert violations(page, complaints) == []


def test_a_test_that_fails_says_why(page: Page, complaints: list[str], hooks: Hooks) -> None:
    row = channel("ops-webhook", hooks.json_url)
    hooks.answers = [404]
    page.goto(url(Channel, "change", row.pk))
    page.get_by_role("button", name="Send test").click()

    expect(page.get_by_text("was not accepted: 404 Not Found")).to_be_visible()
    shoot(page, "channel-refused")


def test_a_rule_tells_the_channels_that_are_ticked(page: Page, complaints: list[str]) -> None:
    channel("ops-slack", "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ")
    channel("on call", enabled=False)
    execution("nightly")
    row = rule("nightly", notify_to=["ops@example.com"], channels=["gone"])
    page.goto(url(MonitorRule, "change", row.pk))
    preview = page.get_by_role("region", name="If it were checked now")

    page.get_by_label("ops-slack").check()
    expect(preview).to_contain_text("ops@example.com, ops-slack, gone")
    page.get_by_label("gone (does not exist)").uncheck()
    expect(preview).not_to_contain_text("gone")
    framed = page.frame_locator("iframe.monitoring-preview-mail")
    expect(framed.get_by_text("nightly").first).to_be_visible()
    shoot(page, "rule-channels")
    assert violations(page, complaints) == []
    page.get_by_role("button", name="Save", exact=True).click()

    expect(page.get_by_text("was changed successfully")).to_be_visible()
    row.refresh_from_db()
    assert row.channels == ["ops-slack"]


def test_the_list_says_who_uses_a_channel_and_what_waits(page: Page, complaints: list[str]) -> None:
    channel("ops-slack", "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ")
    row = channel("on call", "pagerduty://integration-key@api-key", enabled=False)
    rule("nightly", channels=["on call"])
    owed("on call", channel="on call")
    page.goto(url(Channel, "changelist"))

    expect(page.get_by_role("link", name="1 rule")).to_be_visible()
    shoot(page, "channels")
    assert violations(page, complaints) == []
    page.goto(url(Channel, "delete", row.pk))
    expect(page.get_by_text('on call: named by the rule "nightly rule"')).to_be_visible()
    expect(page.locator("#content").get_by_role("button")).to_have_count(0)
    shoot(page, "channel-in-use")
