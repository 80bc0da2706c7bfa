"""A delivery through a channel that is killed, before and after the service has the message."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from datetime import timedelta
from threading import Event

import pytest
from django.conf import settings as django_settings
from django.test import override_settings

from monitoring.models import Channel, Notification
from tests.doors.harness import wait_until
from tests.factories import NOW
from tests.faults.scene import AFTER_THE_CLAIM, OPS, Scene, failing_rules, long_log
from tests.faults.victim import Boundary, forked
from tests.hook_server import LOOPBACK, Hooks, hook_server

pytestmark = [pytest.mark.door, pytest.mark.fault]

DELIVERY = NOW + timedelta(seconds=30)
LATER = DELIVERY + AFTER_THE_CLAIM
RULES = 2


@pytest.fixture
def hooks(scene: Scene) -> Iterator[Hooks]:
    """Return a service that two rules tell beside a mail address; one alert of each is owed."""
    given = django_settings.MONITORING | LOOPBACK
    with override_settings(MONITORING=given), hook_server() as hooks:
        channel = Channel(name="ops")
        channel.set_url(hooks.json_url)
        channel.save()
        long_log()
        failing_rules(RULES, OPS, channels=["ops"])
        scene.check(NOW)
        assert Notification.objects.filter(channel="ops").count() == RULES
        yield hooks


def assert_all_arrived(scene: Scene, hooks: Hooks, *, repeated: int) -> None:
    states = set(Notification.objects.values_list("state", flat=True))
    owed = {row.subject for row in Notification.objects.filter(channel="ops")}
    assert states == {"sent"}
    assert set(hooks.titles) == owed
    assert len(hooks.titles) == RULES + repeated
    assert len(scene.arrived) == RULES
    scene.count(owed=RULES, delivered=len(hooks.titles), repeated=repeated)


def test_killed_while_the_service_has_the_message_it_sends_it_once_more(
    scene: Scene, hooks: Hooks
) -> None:
    dead, asked = Event(), Event()

    def before_answer() -> None:
        if not dead.is_set():
            asked.set()
            assert dead.wait(20)

    hooks.before_answer = before_answer
    with forked(scene.job("deliver", DELIVERY)) as (victim,):
        assert asked.wait(30)
        os.kill(victim.pid, signal.SIGKILL)
        victim.wait()
        dead.set()
    # The process that it had started ends its call by itself, and then ends.
    wait_until(lambda: len(hooks.messages) == 1, "the service keeps the message")
    scene.count(faults=1)

    scene.deliver_all(LATER)

    assert_all_arrived(scene, hooks, repeated=1)


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(7, id="claimed"),
        pytest.param(9, id="rendered", marks=pytest.mark.slow),
        pytest.param(10, id="marked"),
        pytest.param(12, id="the next", marks=pytest.mark.slow),
    ],
)
def test_killed_when_it_writes_it_repeats_at_most_one_message(
    scene: Scene, hooks: Hooks, number: int
) -> None:
    """The commits before these are those of the mails, which go first."""
    job = scene.job("deliver", DELIVERY, boundary=Boundary("commit", "before", number))
    assert scene.run(job) is None
    in_doubt = (
        len(hooks.messages) - Notification.objects.filter(channel="ops", state="sent").count()
    )
    assert in_doubt == (number == 10)

    scene.deliver_all(LATER)

    assert_all_arrived(scene, hooks, repeated=in_doubt)
