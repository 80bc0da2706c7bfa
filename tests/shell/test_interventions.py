"""What people do about rules and alert events."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from monitoring import interventions
from monitoring.checker import run_check
from monitoring.core.arguments import Arguments
from monitoring.models import AlertEvent, MonitorRule, Notification
from monitoring.rulesets import select
from tests.factories import NOW, ago, execution, rule, superuser

pytestmark = pytest.mark.django_db


def check(minutes: int = 0) -> None:
    run_check(select(Arguments(all_rules=True)), NOW + timedelta(minutes=minutes))


@pytest.fixture
def failing() -> MonitorRule:
    """A rule with an open event, that reminds at every check."""
    execution("sync", "Stopped", started=ago(minutes=1))
    watched = rule("sync", notify_to=["ops@example.com"], remind_hours=0)
    check()
    return watched


def messages() -> list[tuple[str, str]]:
    return list(Notification.objects.order_by("pk").values_list("kind", "state"))


class TestAnAcknowledgedEvent:
    def test_says_who_when_and_why(self, failing: MonitorRule) -> None:
        event, user = AlertEvent.objects.get(), superuser()

        assert interventions.acknowledge(event, user, " On it. ", NOW)

        event.refresh_from_db()
        assert (event.acknowledged_by, event.acknowledged_at, event.note) == (user, NOW, "On it.")

    def test_stays_open_and_sends_no_reminder(self, failing: MonitorRule) -> None:
        interventions.acknowledge(AlertEvent.objects.get(), superuser(), "", NOW)

        check(minutes=5)

        assert AlertEvent.objects.open().count() == 1
        assert messages() == [("alert", "pending"), ("reminder", "suppressed")]

    def test_is_not_acknowledged_again(self, failing: MonitorRule) -> None:
        event = AlertEvent.objects.get()
        interventions.acknowledge(event, superuser(), "first", NOW)

        assert not interventions.acknowledge(event, superuser(), "second", NOW)
        event.refresh_from_db()
        assert event.note == "first"


class TestAnEventThatIsAcknowledgedUntilATime:
    @pytest.fixture
    def event(self, failing: MonitorRule) -> AlertEvent:
        event = AlertEvent.objects.get()
        assert interventions.acknowledge(event, superuser(), "", NOW, NOW + timedelta(minutes=30))
        return event

    def test_sends_no_reminder_before_it(self, event: AlertEvent) -> None:
        check(minutes=29)

        assert messages()[1:] == [("reminder", "suppressed")]

    def test_reminds_once_it_has_come_and_the_task_still_fails(
        self, event: AlertEvent, failing: MonitorRule
    ) -> None:
        MonitorRule.objects.update(remind_hours=None)
        for minutes in (10, 31, 32, 33):
            check(minutes=minutes)

        assert messages()[1:] == [("reminder", "pending")]

    def test_says_nothing_more_if_it_has_recovered(self, event: AlertEvent) -> None:
        execution("sync", started=NOW + timedelta(minutes=20))
        check(minutes=31)

        assert [kind for kind, _ in messages()] == ["alert", "recovery"]

    def test_may_be_acknowledged_for_longer(self, event: AlertEvent) -> None:
        later = NOW + timedelta(hours=9)

        assert interventions.acknowledge(event, superuser(), "More.", NOW, later)

        event.refresh_from_db()
        assert (event.acknowledged_until, event.note) == (later, "More.")

    def test_is_not_acknowledged_after_it(self, event: AlertEvent) -> None:
        event.refresh_from_db()

        assert event.is_acknowledged(NOW + timedelta(minutes=29))
        assert not event.is_acknowledged(NOW + timedelta(minutes=30))
        assert not AlertEvent.objects.acknowledged(NOW + timedelta(minutes=30)).exists()


class TestAResolvedEvent:
    def test_is_closed_by_hand_without_a_message(self, failing: MonitorRule) -> None:
        event = AlertEvent.objects.get()

        assert interventions.resolve(event, "Restarted.", NOW)

        event.refresh_from_db()
        assert (event.open_key, event.resolved_at) == (None, NOW)
        assert (event.resolution, event.note) == ("manual", "Restarted.")
        assert messages() == [("alert", "pending")]

    def test_keeps_the_note_of_its_acknowledgement(self, failing: MonitorRule) -> None:
        event = AlertEvent.objects.get()
        interventions.acknowledge(event, superuser(), "On it.", NOW)
        interventions.resolve(event, "Done.", NOW)

        event.refresh_from_db()
        assert event.note == "On it.\nDone."

    def test_is_followed_by_another_if_the_task_still_fails(self, failing: MonitorRule) -> None:
        interventions.resolve(AlertEvent.objects.get(), "", NOW)

        check(minutes=5)

        assert AlertEvent.objects.count() == 2
        assert AlertEvent.objects.open().get().failing_checks == 1
        assert messages() == [("alert", "pending")] * 2

    def test_lets_the_threshold_count_anew(self, failing: MonitorRule) -> None:
        MonitorRule.objects.update(alert_after=2)
        interventions.resolve(AlertEvent.objects.get(), "", NOW)

        check(minutes=5)
        assert AlertEvent.objects.open().count() == 0
        check(minutes=10)
        assert AlertEvent.objects.open().count() == 1

    def test_is_not_resolved_again(self, failing: MonitorRule) -> None:
        event = AlertEvent.objects.get()
        interventions.resolve(event, "", NOW)

        assert not interventions.resolve(event, "late", NOW)
        assert not interventions.acknowledge(event, superuser(), "later", NOW)


class TestASnooze:
    def test_lasts_until_the_moment_it_was_given(self) -> None:
        row = rule("sync")

        assert interventions.snooze([row], NOW) == 1
        row.refresh_from_db()
        assert row.snoozed_until == NOW

    def test_can_be_ended(self) -> None:
        row = rule("sync", snoozed_until=NOW)

        interventions.snooze([row], None)
        row.refresh_from_db()
        assert row.snoozed_until is None

    @pytest.mark.parametrize(
        ("zone", "evening"),
        [
            ("Europe/Berlin", datetime(2026, 3, 28, 20)),  # noqa: DTZ001
            ("America/New_York", datetime(2026, 10, 31, 20)),  # noqa: DTZ001
            ("Asia/Kathmandu", datetime(2026, 5, 1, 8)),  # noqa: DTZ001
        ],
        ids=["clocks go forward", "clocks go back", "an odd zone"],
    )
    def test_until_tomorrow_ends_at_nine_on_the_clock_of_the_user(
        self, zone: str, evening: datetime
    ) -> None:
        with timezone.override(ZoneInfo(zone)):
            ends = interventions.tomorrow_morning(evening.replace(tzinfo=ZoneInfo(zone)))
        assert (ends.hour, ends.minute, ends.day) == (9, 0, (evening + timedelta(days=1)).day)


def test_an_event_keeps_what_the_rule_said_when_the_rule_is_gone(failing: MonitorRule) -> None:
    MonitorRule.objects.update(max_runtime_minutes=30, description="Call Ann.")
    check(minutes=5)
    failing.delete()

    said = AlertEvent.objects.get().rule_settings

    assert said == {
        "notify_to": ["ops@example.com"],
        "channels": [],
        "description": "Call Ann.",
        "alert_after": 1,
        "remind_hours": 0,
        "notify_on_recovery": True,
        "max_runtime_minutes": 30,
        "max_duration_factor": None,
        "min_success_rate": None,
        "while_running": "wait",
    }
