"""A mail server that is away, stalls, drops, refuses and comes back."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from threading import Event
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import override_settings

from monitoring import doors, outbox
from monitoring.models import AlertEvent, Notification
from tests.doors.harness import wait_until
from tests.factories import NOW, execution, rule, superuser
from tests.faults.scene import DEV, OPS, Scene, failing_rules, long_log, text_of
from tests.faults.victim import PATIENCE, forked
from tests.mail_server import HANG_UP, OK, TAKE_AND_HANG_UP

pytestmark = [pytest.mark.door, pytest.mark.fault]

AN_OUTAGE = timedelta(hours=60)


def deliver_whenever_due(
    scene: Scene, since: datetime, until: datetime, pause: timedelta = timedelta(minutes=1)
) -> int:
    """Deliver each time that something is due, as a worker does; return how often that was."""
    passes, at = 0, since
    while at < until:
        scene.deliver(at)
        passes += 1
        at = max(next_attempt(), at + pause)
    return passes


def next_attempt() -> datetime:
    owed = Notification.objects.owed().first_of_their_incident()
    at = owed.order_by("next_attempt_at").values_list("next_attempt_at", flat=True).first()
    assert at is not None, "nothing is owed"
    return at


class TestAMailServerThatIsAwayForDays:
    @pytest.fixture
    def incidents(self, scene: Scene) -> datetime:
        """Let three tasks fail, recover and partly fail again while it is away; return when."""
        long_log()
        for name in ("a", "b", "c"):
            rule(name, notify_to=[OPS, DEV], lookback_hours=100)
            execution(name, "Stopped")
        scene.server.stop()
        scene.check(NOW)
        passes = deliver_whenever_due(scene, NOW, NOW + timedelta(hours=5))
        recovered = NOW + timedelta(hours=5)
        for name in ("a", "b"):
            execution(name, started=recovered)
        scene.check(recovered)
        passes += deliver_whenever_due(scene, recovered, NOW + timedelta(hours=9))
        again = NOW + timedelta(hours=9)
        execution("a", "Stopped", started=again)
        scene.check(again)
        # The worker sleeps most of the rest of the time, to make the test shorter.
        passes += deliver_whenever_due(scene, again, NOW + AN_OUTAGE, timedelta(hours=3))
        assert passes > 9 * 60 / 20 + 51 / 4
        scene.count(faults=1)
        return NOW + AN_OUTAGE

    def test_gets_everything_when_it_is_back(self, scene: Scene, incidents: datetime) -> None:
        scene.server.start()
        scene.deliver_all(incidents + timedelta(minutes=20))

        wanted = [("a", "alert"), ("b", "alert"), ("c", "alert"), ("a", "recovery")]
        wanted += [("b", "recovery")]
        decided = {(task, kind, to): 1 for task, kind in wanted for to in (OPS, DEV)}
        assert scene.decided() == decided | {("a", "alert", OPS): 2, ("a", "alert", DEV): 2}
        assert not Notification.objects.filter(state="failed").exists()
        scene.assert_settled("an outage")

    def test_gets_each_alert_before_its_recovery(self, scene: Scene, incidents: datetime) -> None:
        scene.server.start()
        scene.deliver_all(incidents + timedelta(minutes=20))

        order = {str(one["Message-ID"]): at for at, one in enumerate(scene.server.messages)}
        for event in AlertEvent.objects.all():
            for recipient in (OPS, DEV):
                rows = event.notifications.filter(recipient=recipient).order_by("pk")
                arrived = [order[row.message_id] for row in rows]
                assert arrived == sorted(arrived), event
        by_kind = [(row.kind, order[row.message_id]) for row in scene.rows]
        assert len(by_kind) == 12

    @pytest.mark.parametrize("mood", ["451 later", HANG_UP])
    def test_may_put_a_message_off_once_more_when_it_is_back(
        self, scene: Scene, incidents: datetime, mood: str
    ) -> None:
        scene.server.data_replies[OPS] = mood
        scene.server.start()
        scene.deliver(incidents + timedelta(minutes=20))
        scene.server.data_replies[OPS] = OK
        scene.deliver_all(incidents + timedelta(hours=3))

        assert not Notification.objects.filter(state="failed").exists()
        scene.assert_settled("an outage and a hiccup")


class TestAMailServerThatRefusesOneRecipient:
    def refused(self, scene: Scene) -> None:
        scene.server.replies[OPS] = "550 no such mailbox"
        scene.count(faults=1)

    def test_costs_the_others_nothing(self, scene: Scene) -> None:
        superuser()
        long_log()
        failing_rules(3, OPS, DEV)
        self.refused(scene)
        scene.check(NOW)

        done = scene.deliver(NOW)

        states = Notification.objects.filter(stands_in_for=None).values_list("recipient", "state")
        assert sorted(states) == [(DEV, "sent")] * 3 + [(OPS, "failed")] * 3
        assert done.failed == 3
        assert len(scene.server.ids_to(DEV)) == 3
        assert scene.server.ids_to(OPS) == []

    def test_tells_the_superusers_once_saying_so(self, scene: Scene) -> None:
        superuser("root@example.com")
        long_log()
        failing_rules(1, OPS, DEV)
        self.refused(scene)
        scene.check(NOW)

        for minutes in range(0, 100, 20):
            scene.deliver(NOW + timedelta(minutes=minutes))

        assert len(scene.server.ids_to("root@example.com")) == 1
        (told,) = [one for one in scene.server.messages if one["To"] == "root@example.com"]
        text = text_of(told)
        assert OPS in text
        assert "550" in text
        assert "no such mailbox" in text
        assert doors.owed_count() == 0

    def test_tells_nobody_else_about_json_arguments(self, scene: Scene) -> None:
        superuser("root@example.com")
        long_log()
        execution("entry", "Stopped")
        self.refused(scene)
        scene.check(NOW, {"entry": {"expected_statuses": ["Completed"], "notify_to": [OPS]}})

        scene.deliver(NOW)
        scene.deliver(NOW + timedelta(hours=1))

        assert [row.state for row in scene.rows] == ["failed"]
        assert scene.server.messages == []


class TestAMailServerThatLosesConnections:
    def owe(self, scene: Scene, number: int = 4) -> None:
        long_log()
        failing_rules(number, OPS)
        rule("dev's", notify_to=[DEV])
        execution("dev's", "Stopped")
        scene.check(NOW)

    def test_after_the_message_without_taking_it_repeats_nothing(self, scene: Scene) -> None:
        self.owe(scene)
        scene.server.data_replies[OPS] = HANG_UP

        done = scene.deliver(NOW)
        assert (done.sent, done.deferred) == (1, 4)
        scene.count(faults=4)
        scene.server.data_replies[OPS] = OK
        scene.deliver_all(NOW + timedelta(minutes=2))

        scene.assert_settled("a message dropped")

    def test_after_taking_the_message_repeats_it_with_the_same_id(self, scene: Scene) -> None:
        self.owe(scene)
        scene.server.data_replies[DEV] = TAKE_AND_HANG_UP

        scene.deliver(NOW)
        in_doubt = scene.in_doubt()
        scene.count(faults=1)
        scene.server.data_replies[DEV] = OK
        scene.deliver_all(NOW + timedelta(minutes=2))

        assert len(in_doubt) == 1
        assert scene.arrived[in_doubt[0]] == 2
        scene.assert_settled("a reply lost", repeatable=in_doubt)

    def test_by_a_restart_between_two_messages_loses_nothing(
        self, scene: Scene, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.owe(scene)
        settle, settled = outbox.settle_sent, []

        def settle_and_restart(*args: Any) -> None:
            settle(*args)
            settled.append(args)
            if len(settled) in {1, 3}:
                scene.server.stop()
                scene.server.start()
                scene.count(faults=1)

        monkeypatch.setattr(outbox, "settle_sent", settle_and_restart)
        scene.deliver(NOW)
        scene.deliver_all(NOW + timedelta(minutes=2))

        assert scene.server.connections >= 3
        scene.assert_settled("two restarts")

    def test_for_good_between_two_messages_loses_nothing(
        self, scene: Scene, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.owe(scene)
        settle = outbox.settle_sent

        def settle_and_stop(*args: Any) -> None:
            settle(*args)
            scene.server.stop()

        with monkeypatch.context() as patch:
            patch.setattr(outbox, "settle_sent", settle_and_stop)
            done = scene.deliver(NOW)
        assert (done.sent, done.deferred) == (1, 4)
        scene.count(faults=1)
        scene.server.start()
        scene.deliver_all(NOW + timedelta(minutes=2))

        scene.assert_settled("a server that went")


@contextmanager
def silent_server() -> Iterator[int]:
    """Accept connections and never say a word; yields the port."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(8)
        yield int(listening.getsockname()[1])


class TestAMailServerThatStalls:
    TIMEOUT = {"EMAIL_TIMEOUT": 1}

    def owe(self, scene: Scene) -> None:
        long_log()
        failing_rules(2, OPS)
        scene.check(NOW)

    def test_before_its_greeting_is_given_up_for_now(self, scene: Scene) -> None:
        self.owe(scene)
        began = time.monotonic()
        with silent_server() as port, override_settings(EMAIL_PORT=port, **self.TIMEOUT):
            done = scene.deliver(NOW)
        took = time.monotonic() - began
        scene.count(faults=1)

        assert (done.sent, done.deferred) == (0, 2)
        assert took < 10
        scene.deliver_all(NOW + timedelta(minutes=2))
        scene.assert_settled("no greeting")

    def test_after_a_message_is_given_up_for_now(self, scene: Scene) -> None:
        self.owe(scene)
        go_on = Event()

        def stall(message: object) -> None:
            go_on.wait(20)

        scene.server.before_reply = stall

        # Long enough for a busy machine to take the messages.
        with override_settings(EMAIL_TIMEOUT=3):
            done = scene.deliver(NOW)
        in_doubt_at_most = [row.message_id for row in scene.mails()]
        go_on.set()
        scene.count(faults=2)
        assert (done.sent, done.deferred) == (0, 2)
        # The server that stalled has taken both messages all the same.
        wait_until(lambda: len(scene.server.messages) == 2, "the server wakes up")
        scene.deliver_all(NOW + timedelta(minutes=3))

        scene.assert_settled("no reply", repeatable=in_doubt_at_most)

    def test_holds_no_lock_of_the_database(self, scene: Scene) -> None:
        self.owe(scene)
        stalls, go_on = Event(), Event()
        # Longer than the others may take to begin and to end.
        longest = 4 * PATIENCE

        def stall(*message: object) -> None:
            stalls.set()
            go_on.wait(longest)

        scene.server.before_reply = stall
        with forked(scene.job("deliver", settings={"EMAIL_TIMEOUT": longest})) as (delivery,):
            try:
                assert stalls.wait(PATIENCE)
                # Both would wait for as long as the server stalls, if a transaction was open.
                others = [scene.job("check", NOW + timedelta(minutes=1)), scene.job("write")]
                with forked(*others) as (check, write):
                    report, written = check.wait().result, write.wait().result
                still_stalls = delivery.process.is_alive()
            finally:
                go_on.set()
            delivery.wait()
        scene.count(faults=1, checks=1)

        assert still_stalls
        assert (report["state"], report["failing"]) == ("complete", 2)
        assert written["changed"] == 2
        scene.assert_settled("a server that hangs")


def test_a_storm_of_faults_loses_nothing(scene: Scene) -> None:
    """Each recipient's server behaves badly in another way, and gets well one after the other."""
    long_log()
    moods = ["451 later", HANG_UP, "452 full", "421 closing"]
    people = [f"person-{number}@example.com" for number in range(len(moods))]
    failing_rules(5, *people)
    scene.server.data_replies = dict(zip(people, moods, strict=True))
    with override_settings(MONITORING=django_settings.MONITORING | {"DIGEST_ABOVE": 100}):
        scene.check(NOW)

    at = NOW
    for person in people:
        for _ in range(3):
            scene.deliver(at)
            at += timedelta(minutes=40)
        scene.server.data_replies[person] = OK
        scene.count(faults=3)
    scene.deliver_all(at + timedelta(hours=2), passes=30)

    assert len(scene.mails()) == 20
    scene.assert_settled("a storm")
