"""A delivery that is killed, at every point where something is written or said."""

from __future__ import annotations

import os
import signal
from datetime import datetime, timedelta
from email.message import EmailMessage
from threading import Event

import pytest

from tests.doors.harness import wait_until
from tests.factories import NOW
from tests.faults.scene import AFTER_THE_CLAIM, Scene, owed_messages, text_of
from tests.faults.victim import Boundary, Victim, forked
from tests.mail_server import HANG_UP, OK

pytestmark = [pytest.mark.door, pytest.mark.fault]

DELIVERY = NOW + timedelta(seconds=30)
LATER = DELIVERY + AFTER_THE_CLAIM

BOUNDARIES = [
    pytest.param("commit", "before", id="before-commit"),
    pytest.param("commit", "after", id="after-commit", marks=pytest.mark.slow),
    pytest.param("write", "before", id="before-write", marks=pytest.mark.slow),
    pytest.param("write", "after", id="after-write", marks=pytest.mark.slow),
]


class TestADeliveryThatIsKilledWhenItWrites:
    @pytest.mark.parametrize(("what", "when"), BOUNDARIES)
    def test_repeats_only_what_it_had_no_time_to_mark(
        self, scene: Scene, what: str, when: str
    ) -> None:
        mails = owed_messages(scene)
        repeated = []

        for where in scene.kills(scene.job("deliver", DELIVERY), what, when):
            in_doubt = scene.in_doubt()
            assert len(in_doubt) <= 1, where
            scene.deliver_all(LATER)

            assert len(scene.arrived) == mails, where
            assert [one for one, times in scene.arrived.items() if times > 1] == in_doubt, where
            scene.assert_settled(where, repeatable=in_doubt)
            repeated += in_doubt
        expected = 0 if (what, when) == ("commit", "after") else mails
        # The digest is marked by two statements.
        assert len(repeated) in {expected, expected + (what == "write")}

    def test_keeps_others_off_until_its_claim_runs_out(self, scene: Scene) -> None:
        mails = owed_messages(scene)
        just_claimed = scene.job("deliver", DELIVERY, boundary=Boundary("commit", "after", 1))
        assert scene.run(just_claimed) is None

        early = scene.deliver(LATER - timedelta(minutes=1))
        late = scene.deliver(LATER)

        assert (early.sent, late.sent) == (0, mails)
        scene.assert_settled("after the claim")


class Assassin:
    """Kills the client of a mail server when a message has arrived whole."""

    def __init__(self, number: int) -> None:
        self._left = number
        self._knows_whom = Event()
        self._victim: Victim | None = None
        self.is_dead = Event()
        self.is_done = False

    def wants(self, victim: Victim) -> None:
        self._victim = victim
        self._knows_whom.set()

    def __call__(self, message: EmailMessage) -> None:
        self._left -= 1
        if self._left == 0:
            assert self._knows_whom.wait(20)
            assert self._victim is not None
            os.kill(self._victim.pid, signal.SIGKILL)
            assert self.is_dead.wait(20)
            self.is_done = True


class TestADeliveryThatIsKilledBeforeTheReply:
    @pytest.mark.parametrize("number", [1, 2, 3])
    def test_repeats_the_message_if_the_server_kept_it(self, scene: Scene, number: int) -> None:
        mails = owed_messages(scene)

        kill_before_reply(scene, number)
        wait_until(lambda: len(scene.server.messages) == number, "the server keeps the message")
        in_doubt = scene.in_doubt()
        scene.deliver_all(LATER)

        assert len(in_doubt) == 1
        assert scene.arrived[in_doubt[0]] == 2
        assert len(scene.arrived) == mails
        scene.assert_settled(f"message {number}", repeatable=in_doubt)

    @pytest.mark.parametrize("number", [1, 2, 3])
    def test_repeats_nothing_if_the_server_dropped_it(self, scene: Scene, number: int) -> None:
        owed_messages(scene)
        drop = scene.mails()[number - 1].recipient
        scene.server.data_replies[drop] = HANG_UP

        kill_before_reply(scene, number)
        scene.server.stop()  # so that the last session is over
        assert len(scene.server.messages) == number - 1
        scene.server.start()
        scene.server.data_replies[drop] = OK
        scene.deliver_all(LATER)

        scene.assert_settled(f"message {number}")

    def test_says_the_same_again(self, scene: Scene) -> None:
        owed_messages(scene)

        kill_before_reply(scene, 1)
        wait_until(lambda: scene.server.messages, "the server keeps the message")
        scene.deliver_all(LATER)

        to = scene.mails()[0].recipient
        first, second = [one for one in scene.server.messages if one["To"] == to]
        assert first["Message-ID"] == second["Message-ID"]
        assert first["Subject"] == second["Subject"]
        assert text_of(first) == text_of(second)


def kill_before_reply(scene: Scene, number: int, at: datetime = DELIVERY) -> None:
    """Kill a delivery when the server has its n-th message, before it has answered."""
    scene.server.before_reply = assassin = Assassin(number)
    with forked(scene.job("deliver", at)) as (victim,):
        assassin.wants(victim)
        victim.wait()
        assert victim.was_killed
        assassin.is_dead.set()
        wait_until(lambda: assassin.is_done, "the server has seen it die")
    scene.server.before_reply = lambda message: None
    scene.count(faults=1)
