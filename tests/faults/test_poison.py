"""One rule, or one message, that spoils everything it is part of."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.test import override_settings

from monitoring.models import AlertEvent, MonitorRule, MonitorRun, Notification, RuleState
from tests.factories import NOW, execution
from tests.faults.scene import OPS, Scene, failing_rules, long_log

pytestmark = [pytest.mark.door, pytest.mark.fault]

SIZES = [
    pytest.param(40, id="of-40"),
    pytest.param(1000, id="of-1000", marks=pytest.mark.slow),
]


@dataclass(frozen=True)
class Poisoned:
    rule: MonitorRule
    tasks: list[str]
    others: list[str]
    """Tasks of the rules that nothing is wrong with."""


@pytest.fixture
def size() -> int:
    return 40


@pytest.fixture
def poisoned(scene: Scene, size: int) -> Poisoned:
    """Return failing rules, of which one in the middle is to be poisoned."""
    long_log()
    rules = failing_rules(size, OPS)
    rule = rules[len(rules) * 2 // 3]
    tasks = [one.task_name for one in rules]
    scene.count(faults=1)
    return Poisoned(rule, tasks, [task for task in tasks if task != rule.task_name])


def assert_served(scene: Scene, tasks: list[str]) -> None:
    scene.assert_one_event_each(tasks)
    assert scene.decided() == {(task, "alert", OPS): 1 for task in tasks}
    scene.assert_settled("the others")


@contextmanager
def refusing(task: str, code: int, what: str = "INSERT ON monitoring_alertevent") -> Iterator[None]:
    """Let the database refuse every alert event of a task, or what else is told."""
    create, drop = {
        "sqlite": (
            f"CREATE TRIGGER poison BEFORE {what} "
            f"WHEN NEW.task_name = '{task}' BEGIN SELECT RAISE(ABORT, 'poison'); END",
            ["DROP TRIGGER poison"],
        ),
        "mysql": (
            f"CREATE TRIGGER poison BEFORE {what} FOR EACH ROW "
            f"BEGIN IF NEW.task_name = '{task}' THEN SIGNAL SQLSTATE '45000' "
            f"SET MYSQL_ERRNO = {code}, MESSAGE_TEXT = 'poison'; END IF; END",
            ["DROP TRIGGER poison"],
        ),
        "postgresql": (
            "CREATE FUNCTION poison() RETURNS trigger AS $$ BEGIN "
            f"IF NEW.task_name = '{task}' THEN RAISE EXCEPTION 'poison'; END IF; RETURN NEW; END "
            f"$$ LANGUAGE plpgsql; CREATE TRIGGER poison BEFORE {what} "
            "FOR EACH ROW EXECUTE FUNCTION poison()",
            [f"DROP TRIGGER poison ON {what.rpartition(' ')[2]}", "DROP FUNCTION poison()"],
        ),
    }[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(create)
        try:
            yield
        finally:
            for statement in drop:
                cursor.execute(statement)


class TestARuleWhoseContextModelIsGone:
    @pytest.mark.parametrize("size", SIZES)
    def test_costs_only_itself_and_is_reported(self, scene: Scene, poisoned: Poisoned) -> None:
        MonitorRule.objects.filter(pk=poisoned.rule.pk).update(
            context_model="gone.Model", context_type="x"
        )

        report = scene.check(NOW)
        scene.deliver_all(NOW)

        assert len(report.problems) == 1
        assert poisoned.rule.name in report.problems[0]
        assert 'context_model "gone.Model" is not an installed model' in report.problems[0]
        assert report.counts["unknown"] == 1
        assert_served(scene, poisoned.others)

    def test_is_told_to_its_owners(self, scene: Scene, poisoned: Poisoned) -> None:
        MonitorRule.objects.filter(pk=poisoned.rule.pk).update(
            context_model="gone.Model", context_type="x"
        )

        for minutes in range(0, 60, 10):
            scene.check(NOW + timedelta(minutes=minutes))
        scene.deliver_all(NOW + timedelta(hours=1))

        about = Notification.objects.filter(alert_event=None)
        assert [row.facts["task_name"] for row in about] == [poisoned.rule.task_name]
        scene.assert_settled("a rule that cannot be checked")


class TestARuleThatTheDatabaseRefuses:
    @pytest.mark.parametrize(
        "code",
        [
            pytest.param(1406, id="data-too-long"),
            # What MariaDB says of a trigger that objects; its driver calls it an OperationalError.
            pytest.param(1644, id="objection"),
        ],
    )
    @pytest.mark.parametrize("size", SIZES)
    def test_costs_only_itself_and_is_reported(
        self, scene: Scene, poisoned: Poisoned, code: int
    ) -> None:
        with refusing(poisoned.rule.task_name, code):
            report = scene.check(NOW)
            scene.deliver_all(NOW)

        assert len(report.problems) == 1
        assert poisoned.rule.name in report.problems[0]
        assert "poison" in report.problems[0]
        assert MonitorRun.objects.get().state == "complete"
        assert_served(scene, poisoned.others)

    def test_costs_only_its_own_note_while_it_is_fine(
        self, scene: Scene, poisoned: Poisoned
    ) -> None:
        for task in poisoned.others[:10]:
            execution(task, started=NOW)
        execution(poisoned.rule.task_name, started=NOW)
        scene.check(NOW)
        later = NOW + timedelta(minutes=20)

        with refusing(poisoned.rule.task_name, 1644, "UPDATE ON monitoring_rulestate"):
            report = scene.check(later)

        assert report.counts["ok"] == 11
        assert report.counts["failing"] == len(poisoned.others) - 10
        assert MonitorRun.objects.latest("pk").state == "complete"
        noted = RuleState.objects.filter(verdict="ok").values_list("task_name", "last_checked_at")
        assert {task for task, at in noted if at < later} == {poisoned.rule.task_name}

    def test_is_served_when_the_database_thinks_better_of_it(
        self, scene: Scene, poisoned: Poisoned
    ) -> None:
        with refusing(poisoned.rule.task_name, 1406):
            scene.check(NOW)

        report = scene.check(NOW + timedelta(minutes=10))
        scene.deliver_all(NOW + timedelta(minutes=10))

        assert report.problems == []
        assert_served(scene, poisoned.tasks)


class TestAMessageThatNoTemplateCanSay:
    @pytest.fixture
    def broken_template(self, poisoned: Poisoned, tmp_path: Path) -> Iterator[None]:
        """Put a host's template before ours, which raises for the one rule."""
        path = tmp_path / "emails" / "task_status_alert.html"
        path.parent.mkdir()
        path.write_text(
            "{% block subject %}Host: {{ task_name }}{% endblock %}"
            "{% block text_body %}{% if task_name == '" + poisoned.rule.task_name + "' %}"
            "{% include 'there-is-no-such-template.html' %}{% endif %}"
            "{{ task_name }}{% endblock %}"
        )
        templates: Any = copy.deepcopy(django_settings.TEMPLATES)
        templates[0]["DIRS"] = [tmp_path, *templates[0]["DIRS"]]
        with override_settings(TEMPLATES=templates):
            yield

    @pytest.mark.parametrize("size", SIZES)
    def test_is_said_in_plain_words_and_the_others_as_the_host_wants(
        self, scene: Scene, poisoned: Poisoned, broken_template: None
    ) -> None:
        scene.check(NOW)
        scene.deliver_all(NOW)

        assert_served(scene, poisoned.tasks)
        plain = [row.subject for row in scene.mails() if not row.subject.startswith("Host: ")]
        assert plain == [f"[ALERT] {poisoned.rule.task_name} Status Check Failed"]

    def test_with_facts_of_no_message_costs_only_itself(
        self, scene: Scene, poisoned: Poisoned
    ) -> None:
        scene.check(NOW)
        rows = Notification.objects.filter(alert_event__task_name=poisoned.rule.task_name)
        rows.update(facts={"task_name": poisoned.rule.task_name})

        scene.deliver(NOW)

        row = rows.get()
        assert (row.state, row.attempts) == ("pending", 1)
        assert "cannot be rendered" in row.error
        others = Notification.objects.exclude(pk=row.pk)
        assert set(others.values_list("state", flat=True)) == {"sent"}
        assert len(scene.server.messages) == len(poisoned.others)


class TestAnAddressThatTheServerHates:
    HATED = "hated@example.com"

    @pytest.mark.parametrize(
        ("reply", "size"),
        [
            pytest.param("550 go away", 40, id="550"),
            pytest.param("550 go away", 1000, id="550-of-1000", marks=pytest.mark.slow),
            pytest.param("451 not now", 40, id="451"),
            pytest.param("421 closing", 40, id="421"),
            pytest.param("hang up", 40, id="hang-up"),
        ],
    )
    def test_costs_only_its_own_message(self, scene: Scene, poisoned: Poisoned, reply: str) -> None:
        MonitorRule.objects.filter(pk=poisoned.rule.pk).update(notify_to=[self.HATED])
        scene.server.replies[self.HATED] = reply
        scene.check(NOW)

        scene.deliver(NOW)
        if scene.mails()[-1].state == "pending":
            scene.deliver(NOW + timedelta(minutes=3))

        states = {row.facts["task_name"]: row.state for row in scene.mails()}
        hated = states.pop(poisoned.rule.task_name)
        assert hated == ("failed" if reply.startswith("550") else "pending")
        assert set(states.values()) == {"sent"}
        assert len(states) == len(poisoned.others)
        assert set(scene.arrived.values()) == {1}
        (row,) = [row for row in scene.mails() if row.recipient == self.HATED]
        assert row.error
        assert AlertEvent.objects.open().count() == len(poisoned.tasks)
