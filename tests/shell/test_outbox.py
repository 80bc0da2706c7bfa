"""The order of an incident, refused recipients, outages and wake-up calls."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from monitoring import delivery, outbox, tasks
from monitoring.alerting import _who_was_told
from monitoring.core.incidents import MessageKind
from monitoring.core.messages import facts
from monitoring.core.statuses import Status
from monitoring.core.values import Evidence, Rule
from monitoring.core.verdicts import judge
from monitoring.models import AlertEvent, DeliveryWakeup, MonitorRule, Notification
from tests.factories import NOW, rule, superuser
from tests.mail_server import HANG_UP, Moody, free_port, mail_server, smtp_at

pytestmark = pytest.mark.django_db

OPS, GONE, ROOT = "ops@example.com", "gone@example.com", "root@example.com"
REFUSED = "550 5.1.1 no such user"
BUSY = "451 4.3.0 try again later"

_RULE = Rule(key="key", task_name="sync", expected_statuses=(Status.COMPLETED,))
FACTS = facts(_RULE, judge(_RULE, Evidence(), NOW), MessageKind.ALERT, NOW)


@pytest.fixture
def server() -> Iterator[Moody]:
    with mail_server() as moody:
        yield moody


@pytest.fixture
def watched() -> MonitorRule:
    return rule("sync")


def event(row: MonitorRule | None = None) -> AlertEvent:
    """Store an open event of a rule, or of an entry of JSON arguments."""
    key = f"rule:{row.pk}:x" if row else "args:x"
    return AlertEvent.objects.create(
        rule=row,
        key=key,
        open_key=key,
        task_name="sync",
        verdict="no_execution",
        lookback_hours=1,
        opened_at=NOW,
        last_checked_at=NOW,
    )


def owed(recipient: str = OPS, of: AlertEvent | None = None, **columns: Any) -> Notification:
    kind = columns.get("kind", "alert")
    values = {
        "kind": kind,
        "subject": f"{kind} sync",
        "facts": FACTS | {"subject": f"{kind} sync", "kind": kind},
        "created_at": NOW,
        "next_attempt_at": NOW,
    }
    return Notification.objects.create(recipient=recipient, alert_event=of, **(values | columns))


def subjects(server: Moody) -> list[str]:
    return [str(message["Subject"]) for message in server.messages]


def after(**duration: float) -> datetime:
    return NOW + timedelta(**duration)


def wait_of(row: Notification) -> timedelta:
    row.refresh_from_db()
    waited: timedelta = row.next_attempt_at - NOW
    return waited


class TestTheOrderOfAnIncident:
    def test_is_kept_in_one_pass(self, server: Moody) -> None:
        of = event()
        for kind in ("alert", "reminder", "recovery"):
            owed(of=of, kind=kind)

        delivery.deliver(NOW)

        assert subjects(server) == ["alert sync", "reminder sync", "recovery sync"]

    def test_lets_a_recovery_wait_for_its_alert(self, server: Moody) -> None:
        server.data_replies[OPS] = BUSY
        of = event()
        owed(of=of)
        delivery.deliver(NOW)
        server.data_replies.clear()
        owed(of=of, kind="recovery")

        delivery.deliver(after(seconds=5))
        assert subjects(server) == []
        delivery.deliver(after(minutes=2))
        assert subjects(server) == ["alert sync", "recovery sync"]

    def test_holds_up_no_other_recipient(self, server: Moody) -> None:
        server.replies[GONE] = BUSY
        of = event()
        owed(GONE, of=of)
        delivery.deliver(NOW)
        owed(OPS, of=of, kind="recovery")

        delivery.deliver(after(seconds=5))

        assert subjects(server) == ["recovery sync"]

    def test_lets_a_digest_of_recoveries_wait_for_each_alert(self, server: Moody) -> None:
        server.data_replies[OPS] = BUSY
        of = event()
        owed(of=of)
        delivery.deliver(NOW)
        server.data_replies.clear()
        digest = owed(is_digest=True, kind="recovery")
        owed(of=of, kind="recovery", digest=digest)

        delivery.deliver(after(seconds=5))
        assert subjects(server) == []
        delivery.deliver(after(minutes=2))
        assert subjects(server) == ["alert sync", "recovery sync"]

    def test_ends_when_the_earlier_one_is_given_up(self, server: Moody) -> None:
        server.replies[OPS] = REFUSED
        of = event()
        owed(of=of)
        delivery.deliver(NOW)
        server.replies.clear()
        owed(of=of, kind="recovery")

        delivery.deliver(after(seconds=5))

        assert subjects(server) == ["recovery sync"]


class TestARefusedRecipient:
    def test_fails_at_once_and_the_superusers_are_told(
        self, server: Moody, watched: MonitorRule
    ) -> None:
        superuser(ROOT)
        server.replies[GONE] = REFUSED
        row = owed(GONE, of=event(watched))

        assert delivery.deliver(NOW).as_dict() == {"sent": 1, "failed": 1, "deferred": 0}

        row.refresh_from_db()
        assert (row.state, row.attempts) == ("failed", 1)
        assert server.recipients == [ROOT]
        assert subjects(server) == ["alert sync (undelivered)"]

    def test_is_named_in_that_mail_with_the_words_of_the_server(
        self, server: Moody, watched: MonitorRule
    ) -> None:
        superuser(ROOT)
        server.replies[GONE] = REFUSED
        owed(GONE, of=event(watched))

        delivery.deliver(NOW)

        text = server.messages[0].get_body(("plain",)).get_content()  # type: ignore[union-attr]
        assert GONE in text
        assert "5.1.1" in text

    def test_is_named_with_the_others_of_the_same_message(
        self, server: Moody, watched: MonitorRule
    ) -> None:
        superuser(ROOT)
        of = event(watched)
        for name in ("a", "b", "c"):
            server.replies[f"{name}@example.com"] = REFUSED
            owed(f"{name}@example.com", of=of)

        delivery.deliver(NOW)

        assert server.recipients == [ROOT]
        text = server.messages[0].get_body(("plain",)).get_content()  # type: ignore[union-attr]
        assert all(f"{name}@example.com" in text for name in ("a", "b", "c"))

    def test_is_not_replaced_by_a_superuser_who_gets_the_message_anyway(
        self, server: Moody, watched: MonitorRule
    ) -> None:
        superuser(ROOT)
        server.replies[GONE] = REFUSED
        of = event(watched)
        owed(ROOT, of=of)
        owed(GONE, of=of)

        delivery.deliver(NOW)

        assert subjects(server) == ["alert sync"]

    def test_is_not_replaced_for_documented_json_arguments(self, server: Moody) -> None:
        superuser(ROOT)
        server.replies[GONE] = REFUSED
        owed(GONE, of=event())

        delivery.deliver(NOW)

        assert not server.messages

    def test_who_is_a_superuser_starts_no_chain(self, server: Moody, watched: MonitorRule) -> None:
        for name in ("a", "b"):
            superuser(f"{name}@example.com")
            server.replies[f"{name}@example.com"] = REFUSED
        server.replies[GONE] = REFUSED
        owed(GONE, of=event(watched))

        for minutes in range(0, 60, 20):
            delivery.deliver(after(minutes=minutes))

        assert Notification.objects.count() == 3
        assert set(Notification.objects.values_list("state", flat=True)) == {"failed"}

    def test_whose_superusers_stand_in_hears_of_the_recovery_through_them(
        self, server: Moody, watched: MonitorRule
    ) -> None:
        superuser(ROOT)
        server.replies[GONE] = REFUSED
        of = event(watched)
        owed(GONE, of=of)
        delivery.deliver(NOW)

        assert _who_was_told([of.pk]) == {of.pk: [ROOT]}


class TestAMessageThatIsRefusedForNow:
    def test_waits_longer_each_time(self, server: Moody) -> None:
        server.replies[OPS] = BUSY
        row = owed()
        at, waits = NOW, []
        for _ in range(8):
            delivery.deliver(at)
            row.refresh_from_db()
            waits.append((row.next_attempt_at - at) / timedelta(minutes=1))
            at = row.next_attempt_at

        wanted = (1, 2, 4, 8, 16, 32, 60, 60)
        assert all(
            0.8 * want <= got <= 1.21 * want for got, want in zip(waits, wanted, strict=True)
        )

    def test_is_given_up_after_48_hours_and_the_superusers_are_told(
        self, server: Moody, watched: MonitorRule
    ) -> None:
        superuser(ROOT)
        server.replies[OPS] = BUSY
        row = owed(of=event(watched))
        delivery.deliver(NOW)

        delivery.deliver(after(hours=47, minutes=59))
        row.refresh_from_db()
        assert row.state == "pending"
        delivery.deliver(after(hours=50))
        row.refresh_from_db()
        assert row.state == "failed"
        assert server.recipients == [ROOT]

    def test_that_always_breaks_the_connection_is_given_up_too(
        self, server: Moody, watched: MonitorRule
    ) -> None:
        server.data_replies[OPS] = HANG_UP
        row = owed(of=event(watched))

        for hours in (0, 50):
            delivery.deliver(after(hours=hours))

        row.refresh_from_db()
        assert row.state == "failed"

    def test_has_48_hours_from_the_first_refusal_and_not_from_an_outage(
        self, server: Moody
    ) -> None:
        row = owed()
        with smtp_at(free_port()):
            delivery.deliver(NOW)
        server.data_replies[OPS] = BUSY

        delivery.deliver(after(hours=60))

        row.refresh_from_db()
        assert row.state == "pending"

    def test_says_so_in_the_words_of_the_server(self, server: Moody) -> None:
        server.replies[OPS] = BUSY
        row = owed()

        delivery.deliver(NOW)

        row.refresh_from_db()
        assert row.error == BUSY

    def test_with_the_end_of_the_service_costs_no_other_an_attempt(self, server: Moody) -> None:
        server.replies["a@example.com"] = "421 4.7.0 too many errors"
        owed("a@example.com")
        innocent = owed("b@example.com")

        delivery.deliver(NOW)

        innocent.refresh_from_db()
        assert (innocent.state, innocent.attempts) == ("sent", 1)


class TestAnOutage:
    def test_lets_everything_wait_as_long_as_the_first(self) -> None:
        rows = [owed(f"{number}@example.com") for number in range(3)]
        with smtp_at(free_port()):
            delivery.deliver(NOW)

        waits = [wait_of(row) for row in rows]
        assert waits[0] == waits[1] == waits[2] <= timedelta(seconds=75)
        assert [row.attempts for row in rows] == [1, 0, 0]

    def test_of_a_week_loses_nothing(self) -> None:
        row = owed()
        server = Moody()
        with smtp_at(server.port):
            for hour in range(0, 24 * 7, 5):
                delivery.deliver(after(hours=hour))
            server.start()
            delivery.deliver(after(days=8))
            server.stop()

        row.refresh_from_db()
        assert (row.state, row.error) == ("sent", "")
        assert len(server.messages) == 1

    def test_is_noticed_to_be_over_within_a_quarter_of_an_hour(self) -> None:
        row = owed()
        at = NOW
        with smtp_at(free_port()):
            for _ in range(12):
                delivery.deliver(at)
                row.refresh_from_db()
                waited, at = row.next_attempt_at - at, row.next_attempt_at

        assert waited <= timedelta(minutes=18, seconds=1)

    def test_of_a_sender_nobody_accepts_is_never_given_up(self, server: Moody) -> None:
        server.sender_reply = "553 5.7.1 not allowed to send as this"
        row = owed()

        delivery.deliver(after(days=9))

        row.refresh_from_db()
        assert row.state == "pending"


class TestAClockThatWasMovedBack:
    def test_does_not_hold_what_was_to_be_tried_again(self, server: Moody) -> None:
        owed(next_attempt_at=after(days=1))

        delivery.deliver(NOW)

        assert subjects(server) == ["alert sync"]

    def test_does_not_hold_what_was_claimed(self, server: Moody) -> None:
        owed(state="sending", claim="x", claimed_until=after(days=1))

        delivery.deliver(NOW)

        assert subjects(server) == ["alert sync"]


class TestTheWakeUp:
    def test_is_booked_while_anything_is_owed(self) -> None:
        owed(next_attempt_at=after(minutes=4))

        assert outbox.book_wakeup(NOW) == timedelta(minutes=4)

    def test_is_not_booked_if_nothing_is(self) -> None:
        owed(state="sent")

        assert outbox.book_wakeup(NOW) is None

    def test_comes_after_a_quarter_of_an_hour_at_most(self) -> None:
        owed(next_attempt_at=after(minutes=59))

        assert outbox.book_wakeup(NOW) == timedelta(minutes=15)

    def test_is_booked_once_for_all(self) -> None:
        owed(next_attempt_at=after(minutes=4))

        waits = [outbox.book_wakeup(after(seconds=second)) for second in range(5)]

        assert waits == [timedelta(minutes=4), None, None, None, None]
        assert DeliveryWakeup.objects.count() == 1

    def test_is_booked_again_when_something_is_due_earlier(self) -> None:
        owed(next_attempt_at=after(minutes=14))
        outbox.book_wakeup(NOW)
        owed("b@example.com", next_attempt_at=after(minutes=1))

        assert outbox.book_wakeup(NOW) == timedelta(minutes=1)

    def test_that_never_came_is_booked_again(self) -> None:
        owed(next_attempt_at=after(minutes=4))
        outbox.book_wakeup(NOW)

        assert outbox.book_wakeup(after(minutes=5)) == timedelta(seconds=5)

    def test_waits_for_the_claim_of_another(self) -> None:
        owed(state="sending", claim="x", claimed_until=after(minutes=10))

        assert outbox.book_wakeup(NOW) == timedelta(minutes=10)

    def test_waits_for_the_first_of_an_incident(self) -> None:
        of = event()
        owed(of=of, next_attempt_at=after(minutes=9))
        owed(of=of, kind="recovery")

        assert outbox.book_wakeup(NOW) == timedelta(minutes=9)

    def test_costs_three_queries(self, django_assert_max_num_queries: Any) -> None:
        owed(next_attempt_at=after(minutes=4))
        outbox.book_wakeup(NOW)

        with django_assert_max_num_queries(6):
            outbox.book_wakeup(after(seconds=1))


@pytest.mark.usefixtures("clock")
class TestTheCommand:
    def test_delivers_and_says_what_is_left(
        self, server: Moody, capsys: pytest.CaptureFixture[str]
    ) -> None:
        server.replies[GONE] = BUSY
        owed()
        owed(GONE)

        with pytest.raises(SystemExit) as ended:
            call_command("monitor", "deliver")

        assert ended.value.code == 1
        assert capsys.readouterr().out == (
            "1 sent, 0 refused for good, 1 to be tried again; 1 still owed\n"
        )

    def test_ends_with_0_when_nothing_is_owed(self, server: Moody) -> None:
        owed()

        with pytest.raises(SystemExit) as ended:
            call_command("monitor", "deliver", "--json")

        assert ended.value.code == 0


class TestTheHandOver:
    def test_asks_a_worker_only_if_something_is_due(self, monkeypatch: pytest.MonkeyPatch) -> None:
        sent: list[str] = []
        monkeypatch.setattr(tasks.deliver_notifications, "delay", lambda: sent.append("x"))

        tasks.hand_over_delivery()
        assert not sent
        owed()
        tasks.hand_over_delivery()
        assert sent == ["x"]

    def test_without_a_broker_delivers_at_once(
        self, server: Moody, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def no_broker() -> None:
            raise ConnectionError("the broker is away")

        monkeypatch.setattr(tasks.deliver_notifications, "delay", no_broker)
        owed()

        tasks.hand_over_delivery()

        assert subjects(server) == ["alert sync"]

    def test_both_tasks_are_acknowledged_late(self) -> None:
        for task in (tasks.monitor_task_status, tasks.deliver_notifications):
            assert (task.acks_late, task.reject_on_worker_lost) == (True, True)
            assert 0 < task.time_limit < 3600


def test_a_claim_costs_the_same_for_few_and_many(django_assert_num_queries: Any) -> None:
    of = event()
    for number in range(60):
        owed(f"{number}@example.com", of=of)
    # Within a transaction of a test each transaction is a savepoint of two more.
    extra = 2 if connection.in_atomic_block else 0

    with django_assert_num_queries(3 + extra):
        _, rows = outbox.claim(NOW)

    assert len(rows) == 60
