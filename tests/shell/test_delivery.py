"""From the outbox to the mail server, and what becomes of a message on the way."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.conf import settings as django_settings
from django.core.mail import EmailMultiAlternatives
from django.core.mail.backends.base import BaseEmailBackend
from django.db import connection, transaction
from django.test import override_settings

from monitoring import delivery, doors, outbox, rendering
from monitoring.channels.email import Mailer
from monitoring.core.incidents import MessageKind
from monitoring.core.messages import facts
from monitoring.core.statuses import Status
from monitoring.core.values import Evidence, Rule
from monitoring.core.verdicts import judge
from monitoring.models import AlertEvent, Notification
from monitoring.tasks import deliver_notifications
from tests.factories import NOW
from tests.mail_server import HANG_UP, Moody, free_port, mail_server, smtp_at
from tests.slow_mail import let_each_message_take

pytestmark = pytest.mark.django_db

Mailbox = list[EmailMultiAlternatives]
LATER = NOW + timedelta(minutes=5)


def event(task_name: str = "sync") -> AlertEvent:
    return AlertEvent.objects.create(
        key=task_name,
        open_key=task_name,
        task_name=task_name,
        verdict="no_execution",
        lookback_hours=1,
        opened_at=NOW,
        last_checked_at=NOW,
    )


def owed(
    recipient: str = "ops@example.com", task_name: str = "sync", **columns: Any
) -> Notification:
    """Store a message that is due now."""
    rule = Rule(key="key", task_name=task_name, expected_statuses=(Status.COMPLETED,))
    said = facts(rule, judge(rule, Evidence(), NOW), MessageKind.ALERT, NOW)
    values = {
        "kind": "alert",
        "subject": said["subject"],
        "facts": said,
        "created_at": NOW,
        "next_attempt_at": NOW,
    }
    return Notification.objects.create(recipient=recipient, **(values | columns))


def state_of(row: Notification) -> str:
    row.refresh_from_db()
    return str(row.state)


@pytest.fixture
def server() -> Iterator[Moody]:
    with mail_server() as moody:
        yield moody


class TestAMessageThatIsAccepted:
    def test_it_is_marked_as_sent(self, mailoutbox: Mailbox) -> None:
        row = owed()

        done = delivery.deliver(NOW)

        assert done.as_dict() == {"sent": 1, "failed": 0, "deferred": 0}
        assert state_of(row) == "sent"
        assert (row.attempts, row.error, row.claim, row.claimed_until) == (1, "", "", None)
        assert NOW <= row.sent_at < NOW + timedelta(seconds=5)

    def test_it_is_not_sent_again(self, mailoutbox: Mailbox) -> None:
        owed()

        delivery.deliver(NOW)
        delivery.deliver(LATER)

        assert len(mailoutbox) == 1

    def test_its_body_is_rendered_and_kept(self, mailoutbox: Mailbox) -> None:
        row = owed()
        assert row.text_body == ""

        delivery.deliver(NOW)

        row.refresh_from_db()
        assert row.text_body == mailoutbox[0].body
        assert "sync has not executed" in row.text_body
        assert row.html_body == mailoutbox[0].alternatives[0][0]

    def test_its_headers_say_that_a_machine_wrote_it(self, server: Moody) -> None:
        owed()

        delivery.deliver(NOW)

        assert server.messages[0]["Auto-Submitted"] == "auto-generated"
        assert server.messages[0]["X-Auto-Response-Suppress"] == "All"

    def test_it_has_a_text_and_an_html_part(self, server: Moody) -> None:
        owed()

        delivery.deliver(NOW)

        parts = [part.get_content_type() for part in server.messages[0].walk()]
        assert parts == ["multipart/alternative", "text/plain", "text/html"]

    def test_its_message_id_is_the_stored_one(self, server: Moody) -> None:
        row = owed()

        delivery.deliver(NOW)

        row.refresh_from_db()
        assert server.messages[0]["Message-ID"] == row.message_id
        assert row.message_id.startswith(f"<monitoring-{row.pk}-")

    def test_the_sender_is_the_configured_one(self, server: Moody) -> None:
        row = owed()
        given = django_settings.MONITORING | {"FROM_EMAIL": "Monitor <monitor@example.org>"}

        with override_settings(MONITORING=given):
            delivery.deliver(NOW)

        row.refresh_from_db()
        assert server.messages[0]["From"] == "Monitor <monitor@example.org>"
        assert row.message_id.endswith("@example.org>")

    def test_without_a_configured_sender_it_is_djangos(self, mailoutbox: Mailbox) -> None:
        owed()

        delivery.deliver(NOW)

        assert mailoutbox[0].from_email == django_settings.DEFAULT_FROM_EMAIL

    def test_every_recipient_gets_their_own_over_one_connection(self, server: Moody) -> None:
        everybody = [f"{number}@example.com" for number in range(5)]
        for address in everybody:
            owed(address)

        delivery.deliver(NOW)

        assert [message["To"] for message in server.messages] == everybody
        assert server.recipients == everybody
        assert server.connections == 1

    def test_more_than_one_batch_goes_out_in_one_pass_over_one_connection(
        self, server: Moody, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(outbox, "BATCH_SIZE", 2)
        for number in range(5):
            owed(f"{number}@example.com")

        assert delivery.deliver(NOW).sent == 5
        assert server.connections == 1

    def test_the_oldest_goes_first(self, mailoutbox: Mailbox) -> None:
        for task_name in ("first", "second", "third"):
            owed(task_name=task_name)

        delivery.deliver(NOW)

        assert [mail.subject.split()[1] for mail in mailoutbox] == ["first", "second", "third"]


class TestWhatIsDue:
    @pytest.mark.parametrize("state", ["sent", "failed", "suppressed"])
    def test_what_is_settled_stays_where_it_is(self, mailoutbox: Mailbox, state: str) -> None:
        owed(state=state)

        assert delivery.deliver(NOW).sent == 0
        assert not mailoutbox

    def test_what_is_put_off_waits(self, mailoutbox: Mailbox) -> None:
        owed(next_attempt_at=NOW + timedelta(minutes=1))

        assert delivery.deliver(NOW).sent == 0
        assert delivery.deliver(NOW + timedelta(minutes=1)).sent == 1

    def test_nothing_due_opens_no_connection(self, server: Moody) -> None:
        delivery.deliver(NOW)

        assert server.connections == 0


class TestARefusal:
    def test_a_refusal_for_good_fails_the_message(self, server: Moody) -> None:
        server.replies["gone@example.com"] = "550 5.1.1 no such user"
        row = owed("gone@example.com")

        done = delivery.deliver(NOW)

        assert done.as_dict() == {"sent": 0, "failed": 1, "deferred": 0}
        assert state_of(row) == "failed"
        assert "5.1.1 no such user" in row.error
        assert row.attempts == 1

    def test_it_is_not_tried_again(self, server: Moody) -> None:
        server.replies["gone@example.com"] = "550 5.1.1 no such user"
        row = owed("gone@example.com")
        delivery.deliver(NOW)
        server.replies.clear()

        delivery.deliver(LATER)

        assert state_of(row) == "failed"

    def test_the_others_get_theirs_over_the_same_connection(self, server: Moody) -> None:
        server.replies["gone@example.com"] = "550 5.1.1 no such user"
        for address in ("a@example.com", "gone@example.com", "b@example.com"):
            owed(address)

        delivery.deliver(NOW)

        assert server.recipients == ["a@example.com", "b@example.com"]
        assert server.connections == 1

    def test_a_refusal_for_now_leaves_it_owed(self, server: Moody) -> None:
        server.replies["busy@example.com"] = "451 4.3.0 try again later"
        row = owed("busy@example.com")

        done = delivery.deliver(NOW)

        assert done.as_dict() == {"sent": 0, "failed": 0, "deferred": 1}
        assert state_of(row) == "pending"
        assert "4.3.0 try again later" in row.error
        assert (row.attempts, row.claim) == (1, "")
        assert row.next_attempt_at >= NOW + timedelta(seconds=30)

    def test_a_later_delivery_sends_it(self, server: Moody) -> None:
        server.replies["busy@example.com"] = "451 4.3.0 try again later"
        row = owed("busy@example.com")
        delivery.deliver(NOW)
        server.replies.clear()

        delivery.deliver(LATER)

        assert state_of(row) == "sent"
        assert (row.attempts, row.error) == (2, "")

    @pytest.mark.parametrize("reply", ["451 4.7.1 greylisted", "554 5.7.1 looks like spam"])
    def test_a_refused_text_stays_owed(self, server: Moody, reply: str) -> None:
        server.data_replies["ops@example.com"] = reply
        row = owed()
        second = owed("b@example.com")

        delivery.deliver(NOW)

        assert (state_of(row), state_of(second)) == ("pending", "sent")
        assert reply.split(maxsplit=1)[1] in row.error

    def test_a_refused_sender_leaves_everything_owed(self, server: Moody) -> None:
        server.sender_reply = "553 5.7.1 not allowed to send as this"
        rows = [owed("a@example.com"), owed("b@example.com")]

        delivery.deliver(NOW)

        assert [state_of(row) for row in rows] == ["pending", "pending"]
        assert "5.7.1 not allowed to send as this" in rows[0].error

    def test_each_is_tried_once_in_a_pass(self, server: Moody) -> None:
        server.replies["busy@example.com"] = "451 4.3.0 try again later"
        row = owed("busy@example.com")

        delivery.deliver(NOW)

        row.refresh_from_db()
        assert row.attempts == 1


class TestABrokenConnection:
    def test_the_rest_goes_over_a_new_one(self, server: Moody) -> None:
        server.replies["b@example.com"] = HANG_UP
        rows = [owed(f"{name}@example.com") for name in "abcd"]

        done = delivery.deliver(NOW)

        assert [state_of(row) for row in rows] == ["sent", "pending", "sent", "sent"]
        assert done.as_dict() == {"sent": 3, "failed": 0, "deferred": 1}
        assert server.connections == 2

    def test_what_broke_it_is_sent_by_a_later_delivery(self, server: Moody) -> None:
        server.replies["b@example.com"] = HANG_UP
        row = owed("b@example.com")
        delivery.deliver(NOW)
        server.replies.clear()

        delivery.deliver(LATER)

        assert state_of(row) == "sent"

    def test_a_server_that_says_goodbye_loses_nothing(self, server: Moody) -> None:
        server.replies["b@example.com"] = "421 4.3.2 shutting down"
        rows = [owed(f"{name}@example.com") for name in "abcd"]

        delivery.deliver(NOW)
        server.replies.clear()
        delivery.deliver(LATER)

        assert [state_of(row) for row in rows] == ["sent"] * 4
        assert sorted(server.recipients) == [f"{name}@example.com" for name in "abcd"]

    def test_a_server_that_is_down_leaves_all_owed_with_the_error(self) -> None:
        rows = [owed(f"{name}@example.com") for name in "abc"]

        with smtp_at(free_port()):
            done = delivery.deliver(NOW)

        assert done.as_dict() == {"sent": 0, "failed": 0, "deferred": 3}
        for row in rows:
            assert state_of(row) == "pending"
            assert row.error.startswith("ConnectionRefusedError: ")
            assert (row.claim, row.claimed_until) == ("", None)
            assert row.next_attempt_at >= NOW + timedelta(seconds=30)

    def test_a_server_that_is_back_gets_them(self, server: Moody) -> None:
        rows = [owed(f"{name}@example.com") for name in "abc"]
        with smtp_at(free_port()):
            delivery.deliver(NOW)

        delivery.deliver(LATER)

        assert [state_of(row) for row in rows] == ["sent"] * 3
        assert {row.error for row in rows} == {""}

    def test_a_server_that_goes_down_in_between_leaves_the_rest_owed(
        self, server: Moody, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rows = [owed(f"{name}@example.com") for name in "abc"]
        send = Mailer.send

        def send_and_break(self: Mailer, row: Notification) -> None:
            send(self, row)
            self.connection.close()
            self.connection.port = free_port()

        monkeypatch.setattr(Mailer, "send", send_and_break)

        done = delivery.deliver(NOW)

        assert [state_of(row) for row in rows] == ["sent", "pending", "pending"]
        assert done.as_dict() == {"sent": 1, "failed": 0, "deferred": 2}
        assert rows[2].error.startswith("ConnectionRefusedError: ")

    @pytest.mark.process
    def test_a_silent_server_is_given_up_in_time(self) -> None:
        row = owed()
        silent = socket.create_server(("127.0.0.1", 0))
        given = django_settings.MONITORING | {"EMAIL_TIMEOUT": 1}

        with (
            silent,
            smtp_at(silent.getsockname()[1]),
            override_settings(EMAIL_TIMEOUT=None, MONITORING=given),
        ):
            delivery.deliver(NOW)

        assert state_of(row) == "pending"
        assert "imed" in row.error  # "timed out", in the words of this Python

    def test_a_timeout_that_the_host_has_set_stays(self) -> None:
        with smtp_at(25), override_settings(EMAIL_TIMEOUT=7):
            assert Mailer().connection.timeout == 7

    def test_without_one_ours_is_used(self) -> None:
        with smtp_at(25), override_settings(EMAIL_TIMEOUT=None):
            assert Mailer().connection.timeout == 30

    def test_errors_of_a_foreign_mail_backend_leave_the_message_owed(
        self, settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings.EMAIL_BACKEND = f"{__name__}.ForeignBackend"
        rows = [owed("bad@example.com"), owed("good@example.com")]

        done = delivery.deliver(NOW)

        assert [state_of(row) for row in rows] == ["pending", "sent"]
        assert done.as_dict() == {"sent": 1, "failed": 0, "deferred": 1}
        assert rows[0].error == "ForeignError: quota exceeded"


class ForeignError(Exception):
    """What a backend for some web service raises."""


class ForeignBackend(BaseEmailBackend):
    def send_messages(self, email_messages: Any) -> int:
        if email_messages[0].to == ["bad@example.com"]:
            raise ForeignError("quota exceeded")
        return 1


class TestAClaim:
    def test_a_claimed_message_is_not_claimed_again(self) -> None:
        owed()
        _, first = outbox.claim(NOW)

        _, second = outbox.claim(NOW)

        assert (len(first), len(second)) == (1, 0)

    def test_it_says_who_has_it_and_until_when(self) -> None:
        row = owed()

        token, _ = outbox.claim(NOW)

        assert state_of(row) == "sending"
        assert (row.claim, row.claimed_until) == (token, NOW + timedelta(minutes=10))

    def test_a_claim_that_has_not_run_out_is_respected(self, mailoutbox: Mailbox) -> None:
        owed()
        outbox.claim(NOW)

        delivery.deliver(NOW + timedelta(minutes=9))

        assert not mailoutbox

    def test_a_claim_that_ran_out_is_sent_by_another(self, mailoutbox: Mailbox) -> None:
        row = owed()
        outbox.claim(NOW)

        delivery.deliver(NOW + timedelta(minutes=10, seconds=1))

        assert state_of(row) == "sent"
        assert len(mailoutbox) == 1

    def test_the_second_attempt_has_the_same_message_id(self, mailoutbox: Mailbox) -> None:
        row = owed()
        send_and_die(row)

        delivery.deliver(NOW + timedelta(minutes=11))

        first, second = (mail.extra_headers["Message-ID"] for mail in mailoutbox)
        assert first == second

    def test_the_second_attempt_has_the_same_text(
        self, mailoutbox: Mailbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        row = owed()
        send_and_die(row)
        monkeypatch.setattr(rendering, "render", lambda *_: 1 / 0)

        delivery.deliver(NOW + timedelta(minutes=11))

        assert mailoutbox[0].body == mailoutbox[1].body
        assert mailoutbox[0].alternatives == mailoutbox[1].alternatives

    def test_who_lost_it_does_not_settle_the_message(self) -> None:
        row = owed()
        token, (mine,) = outbox.claim(NOW)
        Notification.objects.update(claim="somebody else")

        outbox._settle(token, mine, state="failed")

        assert (state_of(row), row.claim) == ("sending", "somebody else")

    def test_who_lost_it_before_the_first_rendering_sends_nothing(
        self, mailoutbox: Mailbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        row = owed()
        claim = outbox.claim

        def claim_and_lose(now: Any) -> Any:
            claimed = claim(now)
            Notification.objects.update(claim="somebody else")
            return claimed

        monkeypatch.setattr(outbox, "claim", claim_and_lose)

        done = delivery.deliver(NOW)

        assert not mailoutbox
        assert (state_of(row), row.claim, row.text_body) == ("sending", "somebody else", "")
        assert done.as_dict() == {"sent": 0, "failed": 0, "deferred": 0}

    def test_a_message_deleted_in_between_disturbs_no_other(
        self, mailoutbox: Mailbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        gone, there = owed("gone@example.com"), owed("there@example.com")
        send = Mailer.send

        def delete_and_send(self: Mailer, row: Notification) -> None:
            Notification.objects.filter(pk=there.pk).delete()
            send(self, row)

        monkeypatch.setattr(Mailer, "send", delete_and_send)

        done = delivery.deliver(NOW)

        assert state_of(gone) == "sent"
        assert done.sent == 1

    def test_the_rest_of_a_slow_pass_is_handed_back_before_the_claim_runs_out(
        self, mailoutbox: Mailbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tokens = []
        claim = outbox.claim

        def counting_claim(now: Any) -> Any:
            token, rows = claim(now)
            tokens.append(len(rows))
            return token, rows

        let_each_message_take(240, monkeypatch)
        monkeypatch.setattr(outbox, "claim", counting_claim)
        for number in range(3):
            owed(f"{number}@example.com")

        assert delivery.deliver(NOW).sent == 2
        assert tokens == [3]
        assert Notification.objects.due(NOW).count() == 1


def send_and_die(row: Notification) -> None:
    """Send a message as a worker does that is killed before it can say so."""
    with Mailer() as mailer, pytest.MonkeyPatch.context() as patch:
        patch.setattr(outbox, "settle_sent", lambda *_: None)
        delivery._Pass(mailer, NOW).send_batch()


class TestAMessageThatCannotBeMade:
    def test_it_does_not_keep_the_others_from_being_sent(self, mailoutbox: Mailbox) -> None:
        broken = owed(facts={})
        good = owed("b@example.com")

        done = delivery.deliver(NOW)

        assert (state_of(broken), state_of(good)) == ("pending", "sent")
        assert done.as_dict() == {"sent": 1, "failed": 0, "deferred": 1}

    def test_it_says_why(self, mailoutbox: Mailbox) -> None:
        broken = owed(facts={})

        delivery.deliver(NOW)

        broken.refresh_from_db()
        assert broken.error.startswith("cannot be rendered: KeyError: ")

    def test_a_subject_with_a_line_break_never_leaves(self, server: Moody) -> None:
        row = owed(text_body="text", subject="a\nBcc: x@example.com", message_id="<1@localhost>")

        delivery.deliver(NOW)

        assert state_of(row) == "failed"
        assert row.error.startswith("BadHeaderError: ") or row.error.startswith("ValueError: ")
        assert server.recipients == []

    def test_an_address_with_a_line_break_never_leaves(self, server: Moody) -> None:
        row = owed("a@example.com\nBcc: x@example.com")

        delivery.deliver(NOW)

        assert state_of(row) == "failed"
        assert server.recipients == []

    @pytest.mark.parametrize("end", ["\r\n", "\n", "\r", "\x0b", "\x0c", "\x85", "\u2028"])
    def test_a_task_name_adds_no_header(self, server: Moody, end: str) -> None:
        owed(task_name=f"evil{end}Bcc: victim@example.com{end}{end}<b>body</b>")

        delivery.deliver(NOW)

        (message,) = server.messages
        assert message["Bcc"] is None
        assert server.recipients == ["ops@example.com"]
        assert message["Subject"].startswith("[ALERT] evil Bcc: victim@example.com <b>body</b>")


class TestThreads:
    def test_messages_of_one_event_are_one_thread(self, server: Moody) -> None:
        row = event()
        owed("a@example.com", alert_event=row)
        owed("a@example.com", alert_event=row, kind="recovery")

        delivery.deliver(NOW)

        thread = f"<monitoring-event-{row.pk}@localhost>"
        assert [message["In-Reply-To"] for message in server.messages] == [thread, thread]
        assert [message["References"] for message in server.messages] == [thread, thread]
        assert server.messages[0]["Message-ID"] != server.messages[1]["Message-ID"]

    def test_another_event_is_another_thread(self, server: Moody) -> None:
        owed(alert_event=event("a"))
        owed(alert_event=event("b"))

        delivery.deliver(NOW)

        first, second = (message["In-Reply-To"] for message in server.messages)
        assert first != second

    def test_a_message_about_no_event_belongs_to_none(self, server: Moody) -> None:
        owed()

        delivery.deliver(NOW)

        assert server.messages[0]["In-Reply-To"] is None


class TestWhoDelivers:
    CONFIG = {"sync": {"expected_statuses": ["Completed"], "notify_to": ["ops@example.com"]}}

    @pytest.mark.django_db(transaction=True)
    def test_a_check_inside_a_transaction_delivers_when_it_commits(
        self, mailoutbox: Mailbox
    ) -> None:
        with transaction.atomic():
            doors.check([self.CONFIG], {})
            assert not mailoutbox

        assert len(mailoutbox) == 1
        assert Notification.objects.get().state == "sent"

    @pytest.mark.django_db(transaction=True)
    def test_a_check_that_is_rolled_back_delivers_nothing(self, mailoutbox: Mailbox) -> None:
        with suppress(ZeroDivisionError), transaction.atomic():
            doors.check([self.CONFIG], {})
            raise ZeroDivisionError

        assert not mailoutbox
        assert not Notification.objects.exists()

    @pytest.mark.django_db(transaction=True)
    def test_no_transaction_is_open_while_the_server_is_spoken_to(
        self, mailoutbox: Mailbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen = []
        send = Mailer.send

        def look_and_send(self: Mailer, row: Notification) -> None:
            seen.append(connection.in_atomic_block)
            send(self, row)

        monkeypatch.setattr(Mailer, "send", look_and_send)

        doors.check([self.CONFIG], {})

        assert seen == [False]

    def test_a_check_delivers_what_an_earlier_one_left(
        self, mailoutbox: Mailbox, django_capture_on_commit_callbacks: Any
    ) -> None:
        left = owed()

        with (
            time_machine.travel(NOW, tick=False),
            django_capture_on_commit_callbacks(execute=True),
        ):
            doors.check([], {})

        assert state_of(left) == "sent"

    def test_a_check_survives_a_mail_server_that_is_down(
        self, django_capture_on_commit_callbacks: Any
    ) -> None:
        with smtp_at(free_port()), django_capture_on_commit_callbacks(execute=True):
            report = doors.check([self.CONFIG], {})

        assert report.counts["failing"] == 1
        assert Notification.objects.get().state == "pending"

    def test_the_task_says_what_it_did(self, mailoutbox: Mailbox) -> None:
        owed()

        with time_machine.travel(NOW, tick=False):
            assert deliver_notifications() == {"sent": 1, "failed": 0, "deferred": 0}
