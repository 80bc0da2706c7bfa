"""What the admin shows of durations and success rates that rules limit."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from monitoring.models import AlertEvent, MonitorRule
from tests.admin.conftest import client_of, staff
from tests.admin.data import event, message, url
from tests.admin.test_rule_form import form
from tests.factories import NOW, ago, execution, rule
from tests.shell.conftest import Monitor, clock, monitor, old_log

__all__ = ["clock", "monitor", "old_log"]

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.any_database,
    pytest.mark.usefixtures("clock", "old_log"),
]

WINDOW = {"task_name": "sync", "lookback_hours": "240", "while_running": "judge"}


def ran(minutes: float, days: float, status: str = "Completed") -> Any:
    start = ago(days=days)
    finish = start + timedelta(minutes=minutes)
    return execution("sync", status, started=start, finished_at=finish)


def panel(client: Client, **changes: str) -> str:
    answer = client.post(url(MonitorRule, "preview"), form(**WINDOW, **changes))
    assert answer.status_code == 200
    return str(answer.json()["panel"])


class TestThePreview:
    def test_says_what_was_measured_although_all_is_well(self, root: Client) -> None:
        for day in range(1, 22):
            ran(3, day)

        said = panel(root, max_duration_factor="2", min_success_rate="90")

        assert '<span class="monitoring-badge monitoring-good">OK</span>' in said
        assert (
            "it took 3 min; 95 % of the last 20 completed runs took at most 3 min; the rule allows "
            "2 times that; 10 of 10 runs since 2026-02-28 12:00 UTC were Completed (100 %), the "
            "rule wants 90 %"
        ) in said

    def test_says_how_much_is_missing_before_anything_can_be_judged(self, root: Client) -> None:
        for day in range(1, 5):
            ran(3, day)

        said = panel(root, max_duration_factor="2", min_success_rate="90")

        assert "duration not judged yet: 3 of 20 runs" in said
        assert "success rate not judged yet: 4 of 5 runs" in said

    def test_says_that_an_execution_is_slow_and_shows_its_mail(self, root: Client) -> None:
        for day in range(2, 23):
            ran(3, day)
        ran(14, 1)

        said = panel(root, max_duration_factor="2")

        assert '<span class="monitoring-badge monitoring-bad">Slow</span>' in said
        assert "it took 14 min; 95 % of the last 21 completed runs" in said
        assert "[ALERT] sync Status Check Failed" in said
        assert "if it had not run" not in said

    def test_says_how_many_were_good_although_the_latest_failed(
        self, root: Client, ed: Client
    ) -> None:
        for day in range(2, 10):
            ran(3, day)
        ran(3, 1, "Stopped")

        said = panel(root, max_duration_factor="3", min_success_rate="80")

        assert "Status mismatch" in said
        assert (
            "8 of 9 runs since 2026-02-28 12:00 UTC were Completed (88.8 %), the rule wants 80 %"
        ) in said
        hidden = panel(ed, max_duration_factor="3", min_success_rate="80")
        assert "what was measured stands in the task log, which you may not view" in hidden
        assert "8 of 9" not in hidden

    @pytest.mark.parametrize("days", [22, 4], ids=["slow", "not judged yet"])
    def test_keeps_it_from_whoever_may_not_view_the_log(self, ed: Client, days: int) -> None:
        for day in range(2, days):
            ran(3, day)
        ran(14, 1)

        said = panel(ed, max_duration_factor="2", min_success_rate="90")

        assert "what was measured stands in the task log, which you may not view" in said
        assert "min;" not in said
        assert "runs" not in said


def test_an_event_and_the_timeline_name_the_verdict_and_the_limit(
    root: Client, monitor: Monitor
) -> None:
    row = rule("sync", lookback_hours=240, min_success_rate=90, notify_to=["ops@example.com"])
    for day in range(1, 9):
        ran(3, day, "Stopped" if day in {3, 5} else "Completed")
    monitor()
    opened = AlertEvent.objects.get()

    page = root.get(url(AlertEvent, "change", opened.pk)).content.decode()
    assert "Low success rate" in page
    assert "Lowest success rate, in percent: 90.0" in page
    listed = root.get(url(AlertEvent, "changelist") + "?verdict__exact=low_success_rate")
    assert [one.pk for one in listed.context["cl"].result_list] == [opened.pk]
    drawn = root.get(url(MonitorRule, "timeline") + f"?rule={row.pk}&verdict=low_success_rate")
    assert "Low success rate" in drawn.content.decode()
    assert "Failing" in root.get(url(MonitorRule, "changelist")).content.decode()


class TestTheEvent:
    def test_says_what_was_measured_as_its_newest_alert_does(
        self, root: Client, monitor: Monitor
    ) -> None:
        rule("sync", lookback_hours=240, max_duration_factor=2, notify_to=["ops@example.com"])
        for day in range(2, 23):
            ran(3, day)
        ran(14, 1)
        monitor()

        page = root.get(url(AlertEvent, "change", AlertEvent.objects.get().pk)).content.decode()

        assert (
            "it took 14 min; 95 % of the last 21 completed runs took at most 3 min; the rule "
            "allows 2 times that"
        ) in page
        assert "Slow from, times the usual: 2.0" in page

    def test_says_nothing_of_another_verdict_or_of_the_recovery(self, root: Client) -> None:
        found = event("sync", verdict="slow", resolved_at=NOW)
        message(found, facts={"verdict": "slow", "measured": "it took an hour"})
        message(found, kind="recovery", facts={"verdict": "ok", "measured": "it took a minute"})
        changed = event("sync", verdict="slow")
        message(changed, facts={"verdict": "low_success_rate", "measured": "1 of 9 runs"})

        resolved = root.get(url(AlertEvent, "change", found.pk)).content.decode()
        failing = root.get(url(AlertEvent, "change", changed.pk)).content.decode()

        assert "it took an hour" in resolved
        assert "it took a minute" not in resolved
        assert "1 of 9 runs" not in failing

    def test_keeps_it_from_whoever_may_not_view_the_log(self) -> None:
        found = event("sync", verdict="slow")
        message(found, facts={"verdict": "slow", "measured": "it took an hour"})
        client = client_of(staff("vera", "view_alertevent", "view_notification"))

        page = client.get(url(AlertEvent, "change", found.pk)).content.decode()

        assert "it took an hour" not in page
