"""Many checks and many deliveries at once, each a process of its own."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pytest
from django.conf import settings as django_settings
from django.test import override_settings

from monitoring.models import MonitorRun, Notification
from tests.factories import NOW
from tests.faults.scene import DEV, OPS, Scene, failing_rules, long_log
from tests.faults.victim import forked

pytestmark = [pytest.mark.door, pytest.mark.fault]


@dataclass(frozen=True)
class Crowd:
    rules: int
    checkers: int
    deliverers: int


CROWDS = [
    pytest.param(Crowd(60, 4, 2), id="small"),
    pytest.param(Crowd(500, 8, 8), id="large", marks=pytest.mark.slow),
]


def at_once(scene: Scene, crowd: Crowd) -> None:
    """Let all of them loose on the same failing rules, and wait until everything is delivered.

    Half of the checkers ask for all rules, and wait for one another. The others ask for parts
    that overlap, which no lease keeps apart.
    """
    long_log()
    names = [rule.name for rule in failing_rules(crowd.rules, OPS, DEV)]
    step = crowd.rules // crowd.checkers
    parts = [names[index * step : (index * step) + crowd.rules * 2 // 3] for index in range(8)]
    selections: list[dict[str, object]] = [
        {} if number % 2 else {"rules": parts[number // 2]} for number in range(crowd.checkers)
    ]
    checks = [
        # Small batches, so that checks of different parts meet again and again.
        scene.job("check until done", selection=selection, waits=True, batch_size=crowd.rules // 5)
        for selection in selections
    ]
    deliveries = [scene.job("deliver until told", waits=True, claim_size=20)] * crowd.deliverers
    with forked(*checks, *deliveries) as processes:
        for process in processes:
            process.wait_until_ready()
        for process in processes:
            process.tell()
        checkers, deliverers = processes[: len(checks)], processes[len(checks) :]
        reports = [checker.wait().result for checker in checkers]
        for deliverer in deliverers:
            deliverer.tell()
        sent = [deliverer.wait().result["sent"] for deliverer in deliverers]
    scene.count(checks=len(reports))
    assert [report["state"] for report in reports] == ["complete"] * crowd.checkers
    assert [report["problems"] for report in reports] == [[]] * crowd.checkers
    scene.deliver_all(NOW)
    assert sum(sent) > 0


@pytest.mark.parametrize("crowd", CROWDS)
class TestChecksAndDeliveriesAtOnce:
    def test_alert_each_recipient_of_each_rule_once(self, scene: Scene, crowd: Crowd) -> None:
        at_once(scene, crowd)

        tasks = [f"task-{number:03}" for number in range(crowd.rules)]
        scene.assert_one_event_each(tasks)
        assert scene.decided() == {
            (task, "alert", recipient): 1 for task in tasks for recipient in (OPS, DEV)
        }
        scene.assert_settled(crowd)
        assert set(Notification.objects.values_list("attempts", flat=True)) == {1}

    def test_send_one_digest_to_each_recipient_of_each_check(
        self, scene: Scene, crowd: Crowd
    ) -> None:
        with override_settings(MONITORING=django_settings.MONITORING | {"DIGEST_ABOVE": 5}):
            at_once(scene, crowd)

        tasks = [f"task-{number:03}" for number in range(crowd.rules)]
        scene.assert_one_event_each(tasks)
        assert scene.decided() == {
            (task, "alert", recipient): 1 for task in tasks for recipient in (OPS, DEV)
        }
        scene.assert_settled(crowd)
        digests = Counter((row.run_id, row.recipient) for row in scene.rows if "tasks" in row.facts)
        assert set(digests.values()) == {1}
        said = Counter((row.run_id, row.recipient) for row in scene.rows if row.digest_id)
        assert said.keys() == digests.keys()
        single = Counter(
            (row.run_id, row.recipient) for row in scene.mails() if "tasks" not in row.facts
        )
        assert all(number <= 5 for number in single.values())
        assert not single.keys() & digests.keys()
        assert not MonitorRun.objects.filter(state="running").exists()
