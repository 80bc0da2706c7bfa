"""The broker delivers the message of a killed check again, as brokers do."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.conf import settings as django_settings
from django.test import override_settings

from monitoring.models import AlertEvent, MonitorRun
from tests.factories import NOW, execution
from tests.faults.scene import OPS, Scene, failing_rules, long_log, next_check

pytestmark = [pytest.mark.door, pytest.mark.fault]

MESSAGE = "message-1"
SOON = NOW + timedelta(seconds=40)
"""Long before the lease of the killed check has run out."""

NAMES = [f"entry-{number}" for number in range(6)]
ENTRIES = {name: {"expected_statuses": ["Completed"], "notify_to": [OPS]} for name in NAMES}

BOUNDARIES = [
    pytest.param("commit", "before", id="before-commit", marks=pytest.mark.slow),
    pytest.param("commit", "after", id="after-commit"),
    pytest.param("write", "before", id="before-write", marks=pytest.mark.slow),
    pytest.param("write", "after", id="after-write", marks=pytest.mark.slow),
]


def failing_entries() -> None:
    long_log()
    for name in NAMES:
        execution(name, "Stopped")


def kill_between_batches(scene: Scene, at: datetime) -> set[str]:
    """Kill a check when it has done some entries more, but not all; return which are done."""
    before = entries_done()
    scene.keep()
    job = scene.job("check", at, arguments=[ENTRIES], task_id=MESSAGE, batch_size=2)
    for _ in scene.kills(job, "commit", "after"):
        done = entries_done()
        if before < done < set(NAMES):
            return done
    raise AssertionError("there is nothing between the batches")


def entries_done() -> set[str]:
    return set(AlertEvent.objects.values_list("task_name", flat=True))


class TestARedeliveredMessage:
    @pytest.mark.parametrize(("what", "when"), BOUNDARIES)
    def test_owes_each_entry_of_json_arguments_one_message(
        self, scene: Scene, what: str, when: str
    ) -> None:
        failing_entries()
        scene.keep()
        job = scene.job("check", arguments=[ENTRIES], task_id=MESSAGE, batch_size=2)

        for where in scene.kills(job, what, when):
            scene.check(SOON, ENTRIES, task_id=MESSAGE)
            scene.deliver_all(SOON)

            assert scene.decided() == {(name, "alert", OPS): 1 for name in NAMES}, where
            scene.assert_one_event_each(NAMES, where)
            assert set(AlertEvent.objects.values_list("failing_checks", flat=True)) == {1}, where
            scene.assert_settled(where)

    @pytest.mark.parametrize(("what", "when"), BOUNDARIES[:2])
    def test_owes_each_stored_rule_one_digest(self, scene: Scene, what: str, when: str) -> None:
        long_log()
        failing_rules(6, OPS)
        scene.keep()

        with override_settings(MONITORING=django_settings.MONITORING | {"DIGEST_ABOVE": 2}):
            for where in scene.kills(scene.job("check", task_id=MESSAGE, batch_size=2), what, when):
                scene.check(SOON, task_id=MESSAGE)
                scene.deliver_all(SOON)

                assert [row.facts["count"] for row in scene.mails()] == [6], where
                scene.assert_settled(where)

    def test_goes_on_where_the_first_stopped(self, scene: Scene) -> None:
        failing_entries()
        done = kill_between_batches(scene, NOW)

        scene.check(SOON, ENTRIES, task_id=MESSAGE)

        by_the_second = AlertEvent.objects.filter(last_checked_at__gte=SOON)
        assert set(by_the_second.values_list("task_name", flat=True)) == set(NAMES) - done

    def test_may_be_killed_as_well(self, scene: Scene) -> None:
        failing_entries()
        first = kill_between_batches(scene, NOW)
        second = kill_between_batches(scene, NOW + timedelta(seconds=10))
        assert first < second

        scene.check(SOON, ENTRIES, task_id=MESSAGE)
        # What the first attempt decided goes out by itself.
        scene.deliver_all(NOW + timedelta(minutes=10))

        assert scene.decided() == {(name, "alert", OPS): 1 for name in NAMES}
        scene.assert_settled("two kills")

    def test_does_nothing_after_the_first_has_ended(self, scene: Scene) -> None:
        failing_entries()
        scene.check(NOW, ENTRIES, task_id=MESSAGE)
        scene.deliver_all(NOW)

        report = scene.check(next_check(), ENTRIES, task_id=MESSAGE)
        scene.deliver_all(next_check())

        assert (report.state, report.skipped_because) == (
            "skipped",
            "this message was obeyed already",
        )
        assert MonitorRun.objects.count() == 1
        assert scene.decided() == {(name, "alert", OPS): 1 for name in NAMES}
        scene.assert_settled("a message that came twice")

    def test_that_comes_while_another_message_has_taken_over_adds_nothing(
        self, scene: Scene
    ) -> None:
        failing_entries()
        kill_between_batches(scene, NOW)
        scene.check(next_check(), ENTRIES, task_id="message-2")
        decided = scene.decided()

        scene.check(next_check() + timedelta(minutes=1), ENTRIES, task_id=MESSAGE)
        scene.deliver_all(next_check() + timedelta(minutes=30))

        assert scene.decided() == decided
        scene.assert_settled("a late message")
