"""What is odd about rules that are valid."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from monitoring.core.findings import Finding, World
from monitoring.core.linting import lint
from monitoring.core.statuses import Status
from monitoring.core.values import ContextFilter, Rule
from tests.factories import NOW, ago

HOUR = timedelta(hours=1)
DAY = 24 * HOUR
KNOWN = frozenset({"sync", "report", "mail"})


def rule(task_name: str = "sync", name: str = "Mine", **fields: Any) -> Rule:
    values = {"key": f"rule:{name}", "rule_id": 1, "expected_statuses": (Status.COMPLETED,)}
    return Rule(task_name=task_name, name=name, **(values | fields))


def world(**facts: Any) -> World:
    return World(now=NOW, **({"seen": KNOWN} | facts))


def ids(found: Sequence[Finding]) -> list[str]:
    return [finding.id for finding in found]


ONE_RULE: list[tuple[str, Rule, World, str]] = [
    (
        "lookback-shorter-than-schedule",
        rule(lookback_hours=24),
        world(gaps={"sync": 25 * HOUR}),
        "it looks back 24 h, but its schedule leaves up to 25 h between two runs",
    ),
    (
        "lookback-shorter-than-checks",
        rule(lookback_hours=0.5),
        world(check_interval=HOUR),
        "it looks back 0.5 h, but a check comes only every 1 h",
    ),
    (
        "lookback-longer-than-retention",
        rule(lookback_hours=49),
        world(days_kept=2),
        "it looks back 49 h, but executions are meant to be kept for 2 days",
    ),
    (
        "lookback-longer-than-retention",
        rule(lookback_hours=25),
        world(results_kept=DAY),
        "it looks back 25 h, but Celery keeps results only for 24 h",
    ),
    (
        "task-unknown",
        rule("sinc"),
        world(),
        'no task "sinc" is in the code, scheduled, or has ever run (did you mean "sync"?)',
    ),
    (
        "task-disabled",
        rule(),
        world(switched_off=frozenset({"sync"})),
        'every periodic task that runs "sync" is disabled',
    ),
    (
        "task-not-registered",
        rule("late"),
        world(scheduled=frozenset({"late"})),
        'beat sends "late", which is not registered here and never ran',
    ),
    (
        "status-never-seen",
        rule(expected_statuses=(Status.COMPLETED, Status.CANCELLED)),
        world(ends={"sync": [Status.COMPLETED] * 10}),
        "it expects Cancelled, but none of the last 10 executions ended so",
    ),
    (
        "recipient-bounced",
        rule(notify_to=("Gone@example.com", "here@example.com")),
        world(bounced=frozenset({"gone@example.com"})),
        "the last message to Gone@example.com was refused for good",
    ),
    (
        "dependency-cycle",
        rule(dependent_tasks=("mail", "sync")),
        world(),
        "its dependent tasks lead back to it: sync → sync",
    ),
    (
        "dependent-unknown",
        rule(dependent_tasks=("mail", "male")),
        world(),
        'its dependent task "male" is nowhere known (did you mean "mail"?)',
    ),
    (
        "failing-for-long",
        rule(),
        world(open_since={"rule:Mine": ago(days=31)}),
        "it has been failing for 31 days",
    ),
    (
        "snoozed-for-long",
        rule(snoozed_until=NOW + DAY),
        world(snoozed_since={1: ago(days=30)}),
        "it is snoozed until 2026-03-11, for 30 days or more",
    ),
    (
        "snoozed-for-long",
        rule(snoozed_until=NOW + 40 * DAY),
        world(),
        "it is snoozed until 2026-04-19, for 30 days or more",
    ),
]


@pytest.mark.parametrize(
    ("id_", "odd", "known", "message"),
    ONE_RULE,
    ids=[f"{n} {c[0]}" for n, c in enumerate(ONE_RULE)],
)
def test_one_rule_is_warned_of_with_a_fix(id_: str, odd: Rule, known: World, message: str) -> None:
    (found,) = lint([odd], [], known)

    assert (found.id, found.severity, found.message) == (id_, "warning", message)
    assert found.rule is odd
    assert found.fix.endswith(".")


@pytest.mark.parametrize(
    ("fine", "known"),
    [
        (rule(lookback_hours=25), world(gaps={"sync": 25 * HOUR}, check_interval=5 * HOUR)),
        (rule(lookback_hours=48), world(days_kept=2)),
        (rule(lookback_hours=24), world(results_kept=DAY)),
        (rule(lookback_hours=9999), world(days_kept=0)),
        (rule("new"), world(in_code=frozenset({"new"}))),
        (rule("new"), world(seen=None)),
        (rule("sync"), world(scheduled=frozenset({"sync"}))),
        (
            rule(expected_statuses=(Status.COMPLETED, Status.CANCELLED)),
            world(ends={"sync": [Status.COMPLETED] * 9}),
        ),
        (
            rule(expected_statuses=(Status.COMPLETED, Status.RUNNING, Status.QUEUED)),
            world(ends={"sync": [Status.COMPLETED] * 50}),
        ),
        (
            rule(
                expected_statuses=(Status.STOPPED,),
                context=ContextFilter(model="gap.Session", field="", type="daily"),
            ),
            world(ends={"sync": [Status.COMPLETED] * 50}),
        ),
        (rule(dependent_tasks=("mail",)), world()),
        (rule(), world(open_since={"rule:Mine": ago(days=29), "rule:Other": ago(days=90)})),
        (rule(snoozed_until=NOW + DAY), world(snoozed_since={1: ago(days=29)})),
        (rule(snoozed_until=ago(days=1)), world(snoozed_since={1: ago(days=90)})),
    ],
)
def test_nothing_is_said_of_what_is_fine(fine: Rule, known: World) -> None:
    assert ids(lint([fine], [], known)) == []


class TestSeveralRules:
    def test_that_say_the_same_are_told_of_each_other(self) -> None:
        one, other = rule(name="One"), rule(name="Other", rule_id=2, notify_to=("a@example.com",))

        found = lint([one, other], [], world())

        assert [str(finding.message) for finding in found] == [
            'it says the same as "Other"',
            'it says the same as "One"',
        ]
        assert ids(lint([one], [other], world())) == ["same-rule"]

    def test_are_told_of_the_periodic_task_whose_arguments_say_the_same(self) -> None:
        imported = rule(name="sync", rule_id=None)
        entry = rule(name="", rule_id=None, periodic_task="Hourly check", path="sync")

        (finding,) = lint([imported], [entry], world())

        assert str(finding.message) == (
            'it says the same as the JSON arguments of the periodic task "Hourly check"'
        )
        assert str(finding.fix) == (
            "Take the entry out of these arguments, or disable that periodic task once all of "
            "them are rules: each opens an alert event of its own."
        )

    @pytest.mark.parametrize(
        "difference",
        [
            {"lookback_hours": 2},
            {"expected_statuses": (Status.STOPPED,)},
            {"context": ContextFilter(model="gap.Session", field="", type="daily")},
            {"max_runtime_minutes": 5},
            {"task_name": "report"},
        ],
        ids=lambda fields: next(iter(fields)),
    )
    def test_that_differ_in_what_they_expect_are_not(self, difference: dict[str, Any]) -> None:
        other = rule(**({"name": "Other", "task_name": "sync"} | difference))

        assert lint([rule()], [other], world()) == []

    def test_whose_dependents_lead_back_are_told_the_shortest_way(self) -> None:
        sync = rule("sync", "a", dependent_tasks=("report", "mail"))
        report = rule("report", "b", dependent_tasks=("mail",))
        mail = rule("mail", "c", dependent_tasks=("sync",))

        found = lint([sync, report, mail], [], world())

        assert [str(finding.message).partition(": ")[2] for finding in found] == [
            "sync → mail → sync",
            "report → mail → sync → report",
            "mail → sync → mail",
        ]

    def test_a_dependent_that_another_rule_watches_is_known(self) -> None:
        depends = rule(dependent_tasks=("elsewhere",))

        assert lint([depends], [rule("elsewhere", "Other")], world()) == []

    def test_one_that_only_leads_into_a_cycle_is_not_in_it(self) -> None:
        first = rule("sync", "a", dependent_tasks=("report",))
        loop = rule("report", "b", dependent_tasks=("report",))

        assert [finding.rule for finding in lint([first, loop], [], world())] == [loop]
