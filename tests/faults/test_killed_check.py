"""A check that is killed, at every point where something is written."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import settings as django_settings
from django.test import override_settings

from monitoring.models import MonitorRun, Notification
from tests.factories import NOW
from tests.faults.scene import (
    DEV,
    FAILING_OF_EVERYTHING,
    OPS,
    Scene,
    a_bit_of_everything,
    failing_rules,
    long_log,
    next_check,
)

pytestmark = [pytest.mark.door, pytest.mark.fault]

BOUNDARIES = [
    pytest.param("commit", "before", id="before-commit", marks=pytest.mark.slow),
    pytest.param("commit", "after", id="after-commit"),
    pytest.param("write", "before", id="before-write", marks=pytest.mark.slow),
    pytest.param("write", "after", id="after-write", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("what", "when"), BOUNDARIES)
class TestACheckThatIsKilled:
    def test_is_made_good_by_the_next(self, scene: Scene, what: str, when: str) -> None:
        wanted = a_bit_of_everything(scene)
        then = next_check()

        for where in scene.kills(scene.job("check", batch_size=2), what, when):
            scene.check(then)
            scene.deliver_all(then)

            assert scene.decided() == dict.fromkeys(wanted, 1), where
            scene.assert_one_event_each(FAILING_OF_EVERYTHING, where)
            scene.assert_settled(where)
            assert not MonitorRun.objects.filter(state="running").exists(), where

    def test_owes_one_digest_and_no_more(self, scene: Scene, what: str, when: str) -> None:
        long_log()
        failing_rules(6, OPS, DEV)
        scene.keep()
        then = next_check()

        with override_settings(MONITORING=django_settings.MONITORING | {"DIGEST_ABOVE": 2}):
            for where in scene.kills(scene.job("check", batch_size=2), what, when):
                scene.check(then)
                scene.deliver_all(then)

                digests = Notification.objects.filter(members__isnull=False).distinct()
                assert sorted(digests.values_list("recipient", flat=True)) == [DEV, OPS], where
                assert len(scene.mails()) == 2, where
                assert Notification.objects.filter(digest__isnull=False).count() == 12, where
                scene.assert_settled(where)

    def test_and_followed_by_no_other_still_delivers_what_it_decided(
        self, scene: Scene, what: str, when: str
    ) -> None:
        wanted = a_bit_of_everything(scene)

        for where in scene.kills(scene.job("check", batch_size=2), what, when):
            scene.deliver_all(NOW + timedelta(minutes=30))

            assert set(scene.decided()) <= set(wanted), where
            scene.assert_settled(where)
