"""A person with a browser who tries a rule before saving it, and acts on what failed."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

from django.core import mail
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from monitoring.models import AlertEvent, MonitorRule, MonitorRun
from tests.admin.browser import failing, forget, in_browser, shoot, violations
from tests.admin.data import url
from tests.factories import NOW, ago, execution, rule, superuser

pytestmark = in_browser


class TestThePreview:
    def test_says_what_a_rule_would_do_while_it_is_written(
        self, page: Page, complaints: list[str]
    ) -> None:
        superuser("boss@example.com")
        for hours in (2, 26, 50, 74, 98):
            execution("nightly", "Stopped" if hours == 2 else "Completed", started=ago(hours=hours))
        page.goto(url(MonitorRule, "add"))
        preview = page.get_by_role("region", name="If it were checked now")

        page.get_by_label("Task:", exact=True).fill("nightly")
        expect(preview).to_contain_text("No execution")
        expect(preview).to_contain_text("boss@example.com")
        expect(preview.get_by_role("img")).to_have_attribute(
            "aria-label", re.compile("the newest first: Stopped, 2026-03-10 10:00:00")
        )
        warning = page.locator("#monitoring-note-lookback_hours")
        expect(warning).to_contain_text("Shorter than the task's rhythm: up to 1 d pass")
        page.get_by_role("button", name="Use 25 hours").click()

        expect(preview).to_contain_text("Status mismatch")
        expect(preview).to_contain_text("[ALERT] nightly Status Check Failed")
        expect(warning).to_have_text("Last 25 hours")
        framed = page.frame_locator("iframe.monitoring-preview-mail")
        expect(framed.get_by_text("nightly is Stopped").first).to_be_visible()
        shoot(page, "rule-preview")
        assert violations(page, complaints) == []
        assert MonitorRule.objects.count() == 0

    def test_names_what_has_to_be_corrected_first(self, page: Page) -> None:
        page.goto(url(MonitorRule, "add"))
        page.get_by_label("Task:", exact=True).fill("nightly")
        page.get_by_label("Look back, in hours:").fill("0")

        preview = page.get_by_role("region", name="If it were checked now")
        expect(preview).to_contain_text("Look back, in hours: Must be greater than 0.")

    def test_warns_of_a_task_that_nobody_ever_saw(self, page: Page) -> None:
        execution("hourly_data_sync")
        page.goto(url(MonitorRule, "add"))
        page.get_by_label("Task:", exact=True).fill("hourly_data_snyc")

        expect(page.locator("#monitoring-note-task_name")).to_contain_text(
            'No task of this name was ever seen here (did you mean "hourly_data_sync"?)'
        )

    def test_offers_the_tasks_that_were_seen(self, page: Page) -> None:
        execution("hourly_data_sync")
        page.goto(url(MonitorRule, "add"))
        page.get_by_label("Task:", exact=True).press_sequentially("data")

        option = page.locator("#monitoring-task_name-options option").first
        expect(option).to_have_attribute("value", "hourly_data_sync")
        expect(option).to_have_attribute(
            "label", re.compile(r"hourly_data_sync \(has run, last 5 min( \d+ s)? ago\)")
        )

    def test_many_addresses_are_pasted_at_once(self, page: Page) -> None:
        page.goto(url(MonitorRule, "add"))
        people = page.get_by_role("group", name="Notify")
        people.get_by_role("button", name="Add item").click()
        people.get_by_role("textbox").evaluate(
            """box => {
                const clipboardData = new DataTransfer();
                clipboardData.setData("text", "a@example.com, b@example.com\\nc@example.com");
                box.dispatchEvent(new ClipboardEvent("paste", {clipboardData, bubbles: true}));
            }"""
        )

        expect(people.get_by_role("textbox")).to_have_count(3)
        page.get_by_label("Name:").fill("Pasted")
        page.get_by_label("Task:", exact=True).fill("sync")
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page.locator(".messagelist")).to_contain_text("was added successfully")
        assert MonitorRule.objects.get().notify_to == [f"{one}@example.com" for one in "abc"]


class TestARulesPage:
    def test_checks_it_now_and_says_what_was_found(self, page: Page) -> None:
        superuser("boss@example.com")
        execution("sync", "Stopped")
        watched = rule("sync")
        page.goto(url(MonitorRule, "change", watched.pk))

        page.get_by_role("button", name="Check now").click()

        said = page.locator(".messagelist")
        expect(said).to_contain_text("1 rule was checked. sync rule (Stopped instead of Completed)")
        assert AlertEvent.objects.open().get().rule == watched
        assert "[ALERT] sync Status Check Failed" in {sent.subject for sent in mail.outbox}

    def test_snoozes_it_and_wakes_it(self, page: Page) -> None:
        watched = rule("sync")
        page.goto(url(MonitorRule, "change", watched.pk))
        page.locator("#monitoring-snooze-length").select_option("4 hours")
        before = timezone.now()
        page.get_by_role("button", name="Snooze", exact=True).click()

        expect(page.locator(".messagelist")).to_contain_text("snoozed until 2026-03-10 1")
        watched.refresh_from_db()
        assert before <= watched.snoozed_until - timedelta(hours=4) <= timezone.now()
        shoot(page, "rule-page")
        page.locator("#monitoring-snooze-length").select_option("no longer")
        page.get_by_role("button", name="Snooze", exact=True).click()
        expect(page.locator(".messagelist")).to_contain_text("is no longer snoozed")

    def test_sends_a_mail_to_try_to_who_asks_only(self, page: Page) -> None:
        watched = rule("sync", notify_to=["team@example.com"])
        page.goto(url(MonitorRule, "change", watched.pk))

        page.get_by_role("button", name="Send a test mail to me").click()

        expect(page.locator(".messagelist")).to_contain_text("A test mail was sent to root@")
        (sent,) = mail.outbox
        assert sent.to == ["root@example.com"]
        assert sent.subject == "[TEST] [ALERT] sync Has Not Executed"

    def test_duplicates_it(self, page: Page) -> None:
        watched = rule("sync", notify_to=["team@example.com"], lookback_hours=25)
        page.goto(url(MonitorRule, "change", watched.pk))
        page.get_by_role("link", name="Duplicate").click()

        expect(page.get_by_label("Name:")).to_have_value("sync rule (copy)")
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page.locator(".messagelist")).to_contain_text("was added successfully")
        copy = MonitorRule.objects.get(name="sync rule (copy)")
        assert (copy.task_name, copy.notify_to, copy.lookback_hours) == (
            "sync",
            ["team@example.com"],
            25,
        )


def test_an_event_is_acknowledged_with_a_note_and_then_resolved(
    page: Page, complaints: list[str]
) -> None:
    found = failing()[AlertEvent]
    page.goto(url(AlertEvent, "change", found.pk))
    page.get_by_label("Note", exact=True).fill("The figures come late today.")
    page.get_by_role("button", name="Acknowledge").click()

    expect(page.locator(".messagelist")).to_contain_text("The alert event was acknowledged.")
    expect(page.locator(".field-note")).to_contain_text("The figures come late today.")
    expect(page.get_by_role("button", name="Acknowledge")).to_have_count(0)
    shoot(page, "event-acknowledged")
    assert violations(page, complaints) == []
    page.get_by_role("button", name="Resolve").click()

    expect(page.locator(".messagelist")).to_contain_text("The alert event was resolved.")
    expect(page.locator(".field-state").first).to_contain_text("Resolved by hand")
    found.refresh_from_db()
    assert found.open_key is None


def test_the_timeline_draws_and_lists_what_happened(page: Page, complaints: list[str]) -> None:
    watched = failing()[MonitorRule]
    page.goto(url(MonitorRule, "change", watched.pk))
    page.get_by_role("link", name="Timeline").click()

    table = page.locator("#monitoring-timeline-table")
    expect(table).to_contain_text("Stopped, 6 min")
    expect(table).to_contain_text("Status mismatch")
    expect(table).to_contain_text("Alert, Failed: gone@example.com")
    expect(page.locator("svg rect")).to_have_count(6)
    shoot(page, "timeline")
    page.set_viewport_size({"width": 400, "height": 800})
    box, picture = page.locator(".monitoring-picture"), page.locator(".monitoring-picture svg")
    edges = [one.bounding_box() for one in (box, picture)]
    assert edges[1]["width"] > edges[0]["width"]
    ends = [edge["x"] + edge["width"] for edge in edges]
    assert ends[1] <= ends[0]  # it begins at its newest end
    page.set_viewport_size({"width": 1280, "height": 800})
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert violations(page, complaints) == []
    page.get_by_label("Period").select_option("7 days")
    page.get_by_role("button", name="Show").click()
    expect(table).to_contain_text("Stopped, 6 min")


def test_the_overview_says_what_fails_sleeps_and_is_not_watched(
    page: Page, complaints: list[str]
) -> None:
    failing()
    MonitorRun.objects.update(started_at=ago(days=2))
    rule("quiet", snoozed_until=NOW + timedelta(hours=3))
    execution("nobody_watches_me")
    page.goto("/admin/monitoring/")

    expect(page.locator(".monitoring-cards")).to_contain_text("generate_daily_report")
    expect(page.locator(".monitoring-cards")).to_contain_text("until 2026-03-10 15:00:00")
    expect(page.locator(".monitoring-run")).to_contain_text("The last check started 2 d ago")
    shoot(page, "overview")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert violations(page, complaints) == []
    page.set_viewport_size({"width": 400, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    page.get_by_role("link", name="Add a rule nobody_watches_me").click()

    expect(page.get_by_label("Task:", exact=True)).to_have_value("nobody_watches_me")


class TestAFileOfRules:
    def upload(self, page: Page, rules: list[dict[str, object]]) -> None:
        page.goto(url(MonitorRule, "import"))
        file = {"name": "rules.json", "mimeType": "application/json"}
        page.locator("input[type=file]").set_input_files(
            {**file, "buffer": json.dumps(rules).encode()}
        )
        page.get_by_role("button", name="Submit").click()

    def test_with_one_bad_row_changes_nothing_and_says_which(self, page: Page) -> None:
        self.upload(
            page,
            [
                {"name": "Good", "task_name": "sync"},
                {"name": "Bad", "task_name": "sync", "lookback_hours": "1"},
            ],
        )

        said = page.locator("#content")
        expect(said).to_contain_text('row 2 ("Bad"), lookback_hours: must be a number, got "1"')
        assert MonitorRule.objects.count() == 0

    def test_is_shown_before_it_is_confirmed(self, page: Page, complaints: list[str]) -> None:
        rule("sync", name="Sync", lookback_hours=1)
        self.upload(page, [{"name": "Sync", "task_name": "sync", "lookback_hours": 2}])

        expect(page.locator("del")).to_have_text("1")
        expect(page.locator("ins")).to_have_text("2")
        assert MonitorRule.objects.get().lookback_hours == 1
        shoot(page, "import-preview")
        assert violations(page, complaints) == []
        page.get_by_role("button", name="Confirm import").click()

        expect(page.locator(".messagelist")).to_contain_text("Import finished")
        assert MonitorRule.objects.get().lookback_hours == 2

    def test_may_hold_documented_arguments(self, page: Page) -> None:
        documented = {"sync": {"expected_statuses": ["Completed"], "lookback_hours": 3}}
        self.upload(page, [documented])
        page.get_by_role("button", name="Confirm import").click()

        expect(page.locator(".messagelist")).to_contain_text("Import finished")
        assert MonitorRule.objects.get().lookback_hours == 3


def test_from_nothing_to_the_first_alert_and_by_the_mails_link_to_its_event(
    page: Page, live_server: LiveServer, settings: Any
) -> None:
    settings.MONITORING = {"BASE_URL": live_server.url}
    execution("nightly", "Stopped", errors="ValueError: no figures")
    page.goto("/admin/monitoring/")
    page.get_by_role("link", name="Add a rule nightly").click()
    page.get_by_label("Name:").fill("Nightly figures")
    page.get_by_role("button", name="Save and continue editing").click()
    page.get_by_role("button", name="Check now").click()
    expect(page.locator(".messagelist")).to_contain_text("1 mail was sent")
    link = re.search(rf"{live_server.url}\S+", str(mail.outbox[0].body))
    assert link is not None

    page.goto(link.group())

    expect(page.locator("#content")).to_contain_text("nightly: Status mismatch")
    expect(page.locator("#content")).to_contain_text("Open")


def test_documented_arguments_become_rules(page: Page, complaints: list[str]) -> None:
    schedule = IntervalSchedule.objects.create(every=5, period="minutes")
    documented = {
        "sync": {"expected_statuses": ["Completed"], "lookback_hours": 2},
        "report": {"expected_statuses": ["Completed", "Running"], "lookback_hours": 25},
    }
    row = PeriodicTask.objects.create(
        name="Monitor", task="monitor_task_status", interval=schedule, args=json.dumps([documented])
    )
    # Not its own page: django-celery-beat's script there is inline, which the policy refuses.
    page.goto(f"/admin/django_celery_beat/periodictask/{row.pk}/to-rules/")
    shoot(page, "to-rules")
    assert violations(page, complaints) == []

    page.get_by_role("button", name="Add the rules").click()

    expect(page.locator(".messagelist")).to_contain_text("2 rules were added.")
    assert set(MonitorRule.objects.values_list("name", flat=True)) == {"sync", "report"}
    forget(page, complaints)  # of the inline script
