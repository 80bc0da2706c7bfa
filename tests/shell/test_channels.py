"""From the outbox through channels, beside mail."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.core import serializers
from django.core.mail import EmailMultiAlternatives
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from monitoring import delivery, outbox
from monitoring.channels.apprise import Caller
from monitoring.channels.base import DeliveryError
from monitoring.checker import run_check
from monitoring.core.arguments import parse_arguments
from monitoring.core.retries import Fault
from monitoring.exchange.resources import export_rules, import_rules
from monitoring.models import AlertEvent, Channel, MonitorRule, Notification
from monitoring.models.encryption import UnreadableError
from monitoring.rule_rows import forget
from monitoring.rulesets import select
from tests.factories import NOW, ago, execution, rule, superuser
from tests.hook_server import LOOPBACK, Hooks, hook_server
from tests.mail_server import free_port, mail_server, smtp_at
from tests.shell.test_delivery import event, owed, state_of

pytestmark = [pytest.mark.django_db, pytest.mark.process]

Mailbox = list[EmailMultiAlternatives]
LATER = NOW + timedelta(minutes=5)
URL = "json://hooks.example.com/s3cr3t"


def channel(name: str = "ops", url: str = URL, **fields: Any) -> Channel:
    made = Channel(name=name, **fields)
    made.set_url(url)
    made.save()
    return made


def to_channel(name: str = "ops", **columns: Any) -> Notification:
    """Store a message that is due now and goes through a channel."""
    return owed(name, channel=name, **columns)


class Service:
    """Stands in for the process that calls services."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str]] = []
        """Channel and title of each message that was taken."""
        self.tried: list[str] = []
        self.errors: dict[str, DeliveryError] = {}
        self.before: Callable[[], object] = lambda: None

    def send(self, row: Notification) -> None:
        self.before()
        self.tried.append(row.channel)
        if row.channel in self.errors:
            raise self.errors[row.channel]
        self.got.append((row.channel, row.subject))


AWAY = DeliveryError("503 Service Unavailable", connection_lost=True)
GONE = DeliveryError("404 Not Found", Fault.REFUSED)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    made = Service()
    monkeypatch.setattr(Caller, "send", lambda self, row: made.send(row))
    return made


@pytest.fixture
def hooks(settings: Any) -> Iterator[Hooks]:
    settings.MONITORING = settings.MONITORING | LOOPBACK
    with hook_server() as hooks:
        yield hooks


def check(at: datetime = NOW) -> None:
    run_check(select(parse_arguments((), {})), at)


class TestAMessageThatIsTaken:
    def test_is_marked_like_a_mail(self, service: Service, mailoutbox: Mailbox) -> None:
        row = to_channel()

        done = delivery.deliver(NOW)

        assert done.as_dict() == {"sent": 1, "failed": 0, "deferred": 0}
        assert state_of(row) == "sent"
        assert (row.attempts, row.error, row.claim, row.claimed_until) == (1, "", "", None)
        assert service.got == [("ops", row.subject)]
        assert not mailoutbox

    def test_arrives_as_text(self, hooks: Hooks) -> None:
        channel(url=hooks.json_url)
        row = to_channel()

        delivery.deliver(NOW)

        row.refresh_from_db()
        (message,) = hooks.messages
        assert message["title"] == row.subject
        assert message["message"].strip() == row.text_body.strip()
        assert message["type"] == "failure"

    def test_says_by_its_type_what_kind_it_is(self, hooks: Hooks) -> None:
        channel(url=hooks.json_url)
        to_channel(kind="recovery")
        to_channel(kind="reminder")

        delivery.deliver(NOW)

        assert [message["type"] for message in hooks.messages] == ["success", "failure"]

    @pytest.mark.django_db(transaction=True)
    def test_is_sent_while_no_transaction_is_open(self, service: Service) -> None:
        to_channel()
        seen = []
        service.before = lambda: seen.append(connection.in_atomic_block)

        delivery.deliver(NOW)

        assert seen == [False]


class TestAMessageThatIsNotTaken:
    def test_for_now_is_delivered_later(self, hooks: Hooks) -> None:
        channel(url=hooks.json_url)
        row = to_channel()
        hooks.answers = [500]

        delivery.deliver(NOW)
        assert state_of(row) == "pending"
        assert row.error.startswith("500 Internal Server Error")
        assert row.next_attempt_at >= NOW + timedelta(seconds=40)
        delivery.deliver(LATER)

        assert state_of(row) == "sent"
        assert len(hooks.messages) == 1

    def test_for_good_goes_to_superusers_once(self, hooks: Hooks, mailoutbox: Mailbox) -> None:
        superuser("root@example.com")
        channel(url=hooks.json_url)
        row = to_channel()
        hooks.answers = [404]

        delivery.deliver(NOW)
        delivery.deliver(LATER)

        assert state_of(row) == "failed"
        (mail,) = mailoutbox
        assert mail.to == ["root@example.com"]
        assert mail.subject.endswith("(undelivered)")
        assert "- ops: 404 Not Found" in mail.body

    def test_says_why_without_the_address(self, hooks: Hooks) -> None:
        channel(url=hooks.json_url)
        row = to_channel()
        hooks.answers = [404]

        delivery.deliver(NOW)

        row.refresh_from_db()
        assert "404 Not Found" in row.error
        assert "s3cr3t" not in row.error
        assert str(hooks.port) not in row.error

    @pytest.mark.parametrize(
        ("prepare", "error"),
        [
            (lambda: None, "there is no channel of this name any more"),
            (lambda: channel(enabled=False), "the channel is disabled"),
            (
                lambda: Channel.objects.create(name="ops"),
                "the channel has no address: enter it again",
            ),
            (
                lambda: Channel.objects.create(name="ops", encrypted_url="junk"),
                "its address was encrypted by a key that is no longer in "
                'MONITORING["CHANNEL_KEYS"] or SECRET_KEY_FALLBACKS: enter it again',
            ),
        ],
        ids=["deleted", "disabled", "without an address", "unreadable"],
    )
    def test_because_of_its_channel_fails_for_good(
        self, prepare: Callable[[], object], error: str
    ) -> None:
        prepare()
        row = to_channel()

        delivery.deliver(NOW)

        assert state_of(row) == "failed"
        assert row.error == error

    def test_because_the_packages_are_missing_says_what_to_install(
        self, monkeypatch: pytest.MonkeyPatch, mailoutbox: Mailbox
    ) -> None:
        channel()
        row, mail = to_channel(), owed()
        monkeypatch.setattr("monitoring.channels.apprise.is_installed", lambda: False)

        delivery.deliver(NOW)

        assert state_of(row) == "failed"
        assert row.error == (
            "channels need packages that are not there: "
            "pip install django-task-monitoring[channels]"
        )
        assert state_of(mail) == "sent"

    def test_for_48_hours_is_given_up_with_all_that_waits_behind_it(self, service: Service) -> None:
        superuser("root@example.com")
        rows = [to_channel(task_name=f"task-{number}") for number in range(3)]
        service.errors["ops"] = AWAY
        at = NOW
        while at < NOW + timedelta(hours=48, minutes=30):
            delivery.deliver(at)
            assert state_of(rows[0]) == "pending" or at >= NOW + timedelta(hours=48)
            at += timedelta(minutes=80)  # longer than the longest wait

        for minutes in range(0, 30, 5):
            delivery.deliver(at + timedelta(minutes=minutes))

        assert [state_of(row) for row in rows] == ["failed"] * 3


class TestASlowOrDeadChannel:
    def test_is_called_after_the_mails(self, service: Service, mailoutbox: Mailbox) -> None:
        to_channel()
        owed()
        seen = []
        service.before = lambda: seen.append(len(mailoutbox))

        delivery.deliver(NOW)

        assert seen == [1]

    def test_holds_a_mail_up_for_one_call_at_most(
        self, service: Service, mailoutbox: Mailbox
    ) -> None:
        for number in range(3):
            to_channel(task_name=f"task-{number}")
        seen = []

        def before() -> None:
            seen.append(len(mailoutbox))
            if len(seen) == 1:
                owed()

        service.before = before
        delivery.deliver(NOW)

        assert seen == [0, 1, 1]

    def test_keeps_no_mail_server_waiting(self, service: Service) -> None:
        to_channel()
        owed()
        service.before = lambda: owed("later@example.com")

        with mail_server() as server:
            delivery.deliver(NOW)

        assert server.recipients == ["ops@example.com", "later@example.com"]
        assert server.connections == 2

    def test_costs_one_call_in_a_pass(self, service: Service) -> None:
        rows = [to_channel(task_name=f"task-{number}") for number in range(5)]
        service.errors["ops"] = AWAY

        done = delivery.deliver(NOW)

        assert service.tried == ["ops"]
        assert done.as_dict() == {"sent": 0, "failed": 0, "deferred": 5}
        assert {state_of(row) for row in rows} == {"pending"}
        assert {row.error for row in rows} == {"503 Service Unavailable"}
        assert len({row.next_attempt_at for row in rows}) == 1
        assert [row.attempts for row in rows] == [1, 0, 0, 0, 0]

    def test_does_not_hold_up_another(self, service: Service) -> None:
        for number in range(3):
            to_channel("dead", task_name=f"task-{number}")
        row = to_channel("alive")
        service.errors["dead"] = AWAY

        delivery.deliver(NOW)

        assert state_of(row) == "sent"
        assert service.tried.count("dead") == 1

    def test_takes_turns_with_the_others(self, service: Service) -> None:
        for number in range(2):
            to_channel("a", task_name=f"task-{number}")
            to_channel("b", task_name=f"task-{number}")

        delivery.deliver(NOW)

        assert service.tried == ["a", "b", "a", "b"]

    def test_that_is_back_gets_everything(self, service: Service) -> None:
        rows = [to_channel(task_name=f"task-{number}") for number in range(3)]
        service.errors["ops"] = AWAY
        delivery.deliver(NOW)

        service.errors.clear()
        delivery.deliver(LATER)

        assert [state_of(row) for row in rows] == ["sent"] * 3

    def test_that_refuses_one_message_still_gets_the_next(self, service: Service) -> None:
        rows = [to_channel(task_name=f"task-{number}") for number in range(2)]
        service.errors["ops"] = GONE

        delivery.deliver(NOW)

        assert service.tried == ["ops", "ops"]
        assert [state_of(row) for row in rows] == ["failed"] * 2

    def test_never_answers_and_the_mails_are_there_all_the_same(
        self, hooks: Hooks, mailoutbox: Mailbox, settings: Any
    ) -> None:
        settings.MONITORING = settings.MONITORING | {"CHANNEL_TIMEOUT": 1}
        hooks.go_on.clear()
        channel(url=hooks.json_url)
        row = to_channel()
        owed()
        began = time.monotonic()

        done = delivery.deliver(NOW)

        assert time.monotonic() - began < 8
        assert len(mailoutbox) == 1
        assert done.as_dict() == {"sent": 1, "failed": 0, "deferred": 1}
        assert state_of(row) == "pending"
        assert row.error == "no answer within 1 seconds"

    def test_is_not_held_up_by_a_mail_server_that_is_down(self, service: Service) -> None:
        row = to_channel()
        mail = owed()

        with smtp_at(free_port()):
            delivery.deliver(NOW)

        assert (state_of(row), state_of(mail)) == ("sent", "pending")

    def test_is_left_for_the_next_pass_when_this_one_is_over(self, service: Service) -> None:
        row = to_channel()

        delivery.deliver(NOW, timedelta(seconds=-1))

        assert state_of(row) == "pending"
        assert row.claim == ""

    def test_is_not_asked_again_by_a_killed_delivery_before_its_claim_runs_out(
        self, service: Service
    ) -> None:
        row = to_channel()
        outbox.claim(NOW, "ops")

        delivery.deliver(NOW + timedelta(minutes=9))
        assert service.tried == []
        delivery.deliver(NOW + timedelta(minutes=10, seconds=1))

        assert state_of(row) == "sent"

    def test_costs_the_same_number_of_queries_however_much_waits(self, service: Service) -> None:
        service.errors["ops"] = AWAY

        def asked(number: int) -> int:
            Notification.objects.all().delete()
            for one in range(number):
                to_channel(task_name=f"task-{one}")
            with CaptureQueriesContext(connection) as queries:
                delivery.deliver(NOW)
            return len(queries)

        assert asked(2) == asked(20)


class TestARuleWithChannels:
    @pytest.fixture(autouse=True)
    def _log(self) -> None:
        execution("heartbeat", started=ago(days=30))
        superuser("root@example.com")

    def told(self) -> list[tuple[str, str, str]]:
        rows = Notification.objects.order_by("pk")
        return list(rows.values_list("kind", "recipient", "channel"))

    def test_tells_them_beside_its_addresses(self) -> None:
        rule("sync", notify_to=["a@example.com"], channels=["ops", "chat"])

        check()

        assert self.told() == [
            ("alert", "a@example.com", ""),
            ("alert", "ops", "ops"),
            ("alert", "chat", "chat"),
        ]

    def test_without_addresses_tells_no_superuser(self) -> None:
        rule("sync", channels=["ops"])

        check()

        assert self.told() == [("alert", "ops", "ops")]

    def test_tells_the_recovery_to_those_who_got_the_alert(self, service: Service) -> None:
        watched = rule("sync", channels=["ops"])
        check()
        delivery.deliver(NOW)
        MonitorRule.objects.filter(pk=watched.pk).update(channels=["other"])
        execution("sync", started=NOW)

        check(NOW + timedelta(minutes=1))

        assert self.told()[-1] == ("recovery", "ops", "ops")

    def test_waits_with_the_recovery_for_the_alert(self, service: Service) -> None:
        about = event()
        alert = to_channel(alert_event=about)
        to_channel(alert_event=about, kind="recovery")
        service.errors["ops"] = AWAY
        delivery.deliver(NOW)

        service.errors.clear()
        delivery.deliver(LATER)

        assert state_of(alert) == "sent"
        assert service.tried == ["ops", "ops", "ops"]

    def test_a_storm_is_one_message_to_each(self, service: Service) -> None:
        for number in range(12):
            rule(f"task-{number}", notify_to=["a@example.com"], channels=["ops"])

        check()
        delivery.deliver(NOW)

        digests = Notification.objects.filter(is_digest=True).order_by("recipient")
        assert list(digests.values_list("recipient", "channel", "state")) == [
            ("a@example.com", "", "sent"),
            ("ops", "ops", "sent"),
        ]
        assert service.got == [("ops", "[ALERT] 12 tasks failed their status check")]

    def test_that_were_written_past_the_form_is_judged_all_the_same(self) -> None:
        watched = rule("sync")
        MonitorRule.objects.filter(pk=watched.pk).update(channels={"not": "a list"})
        forget()

        check()

        assert self.told() == [("alert", "root@example.com", "")]

    def test_is_remembered_by_the_event(self) -> None:
        rule("sync", channels=["ops"])

        check()

        assert AlertEvent.objects.get().rule_settings["channels"] == ["ops"]


class TestTheAddress:
    def test_is_nowhere_in_the_database(self) -> None:
        made = channel()

        row = Channel.objects.filter(pk=made.pk).values().get()

        assert "s3cr3t" not in str(row)
        assert made.read_url() == URL
        assert made.shown_url == "json://…"

    def test_is_in_no_export(self) -> None:
        made = channel()

        assert "encrypted_url" not in serializers.serialize("json", [made])

    def test_is_in_no_representation(self) -> None:
        made = channel()

        assert "s3cr3t" not in f"{made!r} {made} {vars(made)}"

    def test_is_read_by_whoever_has_the_secret_key_that_it_was_written_by(
        self, settings: Any
    ) -> None:
        made = channel()
        settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "new", [settings.SECRET_KEY]
        assert made.read_url() == URL

        settings.SECRET_KEY_FALLBACKS = []
        with pytest.raises(UnreadableError, match="enter it again"):
            made.read_url()

    def test_is_written_by_the_first_key_and_read_by_all(self, settings: Any) -> None:
        old, new = "o" * 32, "n" * 32
        by_django = channel("a")
        settings.MONITORING = settings.MONITORING | {"CHANNEL_KEYS": [old]}
        by_old = channel("b")
        settings.MONITORING = settings.MONITORING | {"CHANNEL_KEYS": [new, old]}
        by_new = channel("c")
        assert {one.read_url() for one in (by_django, by_old, by_new)} == {URL}

        settings.MONITORING = settings.MONITORING | {"CHANNEL_KEYS": [new]}

        assert by_new.read_url() == URL
        with pytest.raises(UnreadableError):
            by_old.read_url()

    def test_is_never_encrypted_twice_alike(self) -> None:
        assert channel("a").encrypted_url != channel("b").encrypted_url


class TestReencrypting:
    def test_lets_an_old_key_go(self, settings: Any, capsys: pytest.CaptureFixture[str]) -> None:
        old, new = "o" * 32, "n" * 32
        settings.MONITORING = settings.MONITORING | {"CHANNEL_KEYS": [old]}
        made = channel()
        settings.MONITORING = settings.MONITORING | {"CHANNEL_KEYS": [new, old]}

        call_command("monitor", "reencrypt-channels")

        settings.MONITORING = settings.MONITORING | {"CHANNEL_KEYS": [new]}
        made.refresh_from_db()
        assert made.read_url() == URL
        assert capsys.readouterr().out == "1 encrypted by the first key\n"

    def test_names_what_no_key_reads_and_leaves_it(self) -> None:
        Channel.objects.create(name="old", encrypted_url="junk")
        channel()

        with pytest.raises(CommandError, match='channel "old": its address was encrypted by'):
            call_command("monitor", "reencrypt-channels")

        assert Channel.objects.get(name="old").encrypted_url == "junk"


def test_the_command_says_which_way_a_message_went(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    execution("heartbeat", started=ago(days=30))
    rule("sync", notify_to=["a@example.com"], channels=["ops"], created_at=ago(days=30))

    with time_machine.travel(NOW), suppress(SystemExit):
        call_command("monitor", "check")

    said = capsys.readouterr().out
    assert "  mail     a@example.com: [ALERT]" in said
    assert "  channel  ops: [ALERT]" in said


class TestAFileOfRules:
    def test_names_channels_and_holds_no_address(self) -> None:
        channel()
        rule("sync", name="Nightly", channels=["ops"])

        text = export_rules()

        assert '"ops"' in text
        assert "s3cr3t" not in text
        MonitorRule.objects.all().delete()
        assert import_rules([{"name": "Nightly", "task_name": "sync", "channels": ["ops"]}])
        assert MonitorRule.objects.get().channels == ["ops"]

    def test_that_names_one_that_is_not_here_is_refused_with_one_error(self) -> None:
        channel("ops-slack")
        row = {"name": "Nightly", "task_name": "sync", "channels": ["ops-slak", "zz", "ops-slack"]}

        problems = import_rules([row]).problems()

        assert problems == [
            'row 1 ("Nightly"), channels: there is no channel "ops-slak" '
            '(did you mean "ops-slack"?); there is no channel "zz": add it in the admin first'
        ]
        assert not MonitorRule.objects.exists()

    def test_that_says_nothing_of_them_changes_none(self) -> None:
        rule("sync", name="Nightly", channels=["deleted since"])

        result = import_rules([{"name": "Nightly", "task_name": "sync", "lookback_hours": 3}])

        assert result.problems() == []
        assert MonitorRule.objects.get().channels == ["deleted since"]
