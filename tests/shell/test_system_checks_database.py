"""What `manage.py check --database` says of rules and schedules."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from celery import current_app
from django.contrib.auth import get_user_model
from django.core.checks import CheckMessage, Warning  # noqa: A004
from django.db import ProgrammingError, connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from monitoring import system_checks
from monitoring.models import Channel, MonitorRule
from monitoring.system_checks import (
    check_arguments,
    check_channels,
    check_contexts,
    check_double_schedules,
    check_recipients,
    check_refused_tasks,
    check_unscheduled_rules,
)
from tests.factories import execution, rule, superuser
from tests.shell.test_system_checks import ours, store

pytestmark = pytest.mark.django_db

Check = Callable[..., Sequence[CheckMessage]]

ALL: tuple[Check, ...] = (
    check_arguments,
    check_channels,
    check_contexts,
    check_recipients,
    check_unscheduled_rules,
    check_double_schedules,
    check_arguments,
    system_checks.check_periodic_tasks,
)
CONTEXT_HINT = (
    "Correct the context where it stands: in the rule, in the Arguments of the periodic task, or "
    'in MONITORING["CONTEXT_FIELDS"] and ["CONTEXT_KEYS"]. '
    "See docs/system-checks.md#monitoring-w105."
)
RECIPIENTS_HINT = (
    "Add addresses to notify_to, or give an active superuser an e-mail address. "
    "See docs/system-checks.md#monitoring-w106."
)
SCHEDULE_HINT = (
    'Run "manage.py monitor install-schedules", or enable a periodic task that runs '
    "monitor_task_status, with Arguments [] for all rules. "
    "See docs/system-checks.md#monitoring-w107."
)
ALL_TWICE_HINT = (
    "Disable all but one: a rule that is checked twice reaches alert_after sooner and is reminded "
    "of more often. See docs/system-checks.md#monitoring-w109."
)
SOME_TWICE_HINT = (
    "Leave each rule to one of them: a rule that is checked twice reaches alert_after sooner and "
    "is reminded of more often. See docs/system-checks.md#monitoring-w109."
)
ENTRY_TWICE_HINT = (
    "Take it out of all but one: each of them opens an alert event of its own, so that every mail "
    "is sent once for each. See docs/system-checks.md#monitoring-w109."
)


def found(check: Check) -> list[CheckMessage]:
    return list(check(databases=["default"]))


def store_entries(name: str, config: dict[str, Any], **columns: Any) -> None:
    """Store a periodic task with documented arguments."""
    filled = {task: {"expected_statuses": ["Completed"]} | keys for task, keys in config.items()}
    store(name, args=json.dumps([filled]), **columns)


def context(field: str = "", model: str = "gap.IngestorSession") -> dict[str, str]:
    return {"context_model": model, "context_field": field, "context_type": "Hourly"}


class TestContexts:
    """W105"""

    @pytest.mark.parametrize(
        ("wrong", "reason"),
        [
            (
                context(model="nowhere.Qqq"),
                'context_model "nowhere.Qqq" is not an installed model',
            ),
            (
                context("ingestortype"),
                'gap.IngestorSession has no field "ingestortype" (did you mean "ingestor_type"?)',
            ),
            (
                context(model="gap.Export"),
                'context_field is needed for "gap.Export": name it in the rule or in '
                'MONITORING["CONTEXT_FIELDS"]["gap.Export"]',
            ),
            (
                context("source__region__name", "gap.Shipment"),
                'context_field "source__region__name" of gap.Shipment goes through more than one '
                "relation: name a field of the model, or of a row that it points to",
            ),
        ],
    )
    def test_of_a_rule_that_name_nothing_are_a_warning(
        self, wrong: dict[str, str], reason: str
    ) -> None:
        rule("sync", name="Sessions", **wrong)

        assert found(check_contexts) == [
            Warning(
                f'rule "Sessions" cannot be judged: {reason}',
                hint=CONTEXT_HINT,
                id="monitoring.W105",
            )
        ]

    def test_whose_key_is_wrong_are_a_warning(self) -> None:
        rule("sync", name="Sessions", **context())

        with override_settings(MONITORING={"CONTEXT_KEYS": {"gap.IngestorSession": "code"}}):
            assert found(check_contexts) == [
                Warning(
                    'rule "Sessions" cannot be judged: '
                    'MONITORING["CONTEXT_KEYS"]["gap.IngestorSession"] is "code", which is no '
                    "field of the model",
                    hint=CONTEXT_HINT,
                    id="monitoring.W105",
                )
            ]

    def test_of_scheduled_arguments_that_name_nothing_are_a_warning(self) -> None:
        keys = {"context_model": "nowhere.models.Qqq", "context_type": "Hourly"}
        store_entries("Nightly", {"sync": keys, "other": {}})

        assert found(check_contexts) == [
            Warning(
                'arguments[0]["sync"] of periodic task "Nightly" cannot be judged: '
                'context_model "nowhere.models.Qqq" is not an installed model',
                hint=CONTEXT_HINT,
                id="monitoring.W105",
            )
        ]

    def test_that_are_wrong_in_the_same_way_are_told_together(self) -> None:
        for number in range(8):
            rule("sync", name=f"Sessions {number}", **context("nothing"))

        (told,) = found(check_contexts)

        assert told.msg == (
            'rule "Sessions 0", rule "Sessions 1", rule "Sessions 2", rule "Sessions 3", '
            'rule "Sessions 4" and 3 more cannot be judged: gap.IngestorSession has no field '
            '"nothing"'
        )

    def test_that_are_wrong_in_many_ways_are_counted_after_five(self) -> None:
        for number in range(9):
            rule("sync", name=f"Sessions {number}", **context(f"x{number}z"))

        told = found(check_contexts)

        assert len(told) == 6
        assert told[-1] == Warning(
            "4 more messages like these are not shown", hint=CONTEXT_HINT, id="monitoring.W105"
        )

    def test_that_are_there_pass(self) -> None:
        rule("sync", name="Sessions", **context())
        rule("ship", name="Shipments", **context("source__kind", "gap.Shipment"))
        rule("plain")
        keys = {"context_model": "gap.models.IngestorSession", "context_type": "Hourly"}
        store_entries("Nightly", {"sync": keys})

        assert found(check_contexts) == []

    def test_of_what_is_disabled_are_none_of_our_business(self) -> None:
        rule("sync", enabled=False, **context("nothing"))
        keys = {"context_model": "nowhere.models.Qqq", "context_type": "Hourly"}
        store_entries("Nightly", {"sync": keys}, enabled=False)

        assert found(check_contexts) == []


CHANNEL_HINT = (
    "Take it off the rules, or add, enable or install what is missing "
    "(pip install django-task-monitoring[channels]); superusers get its messages until then. "
    "See docs/system-checks.md#monitoring-w112."
)


class TestChannels:
    """W112"""

    @pytest.mark.parametrize(
        ("prepare", "why"),
        [
            (lambda: None, "does not exist"),
            (lambda: Channel.objects.create(name="ops", enabled=False), "is disabled"),
        ],
    )
    def test_that_take_no_message_are_a_warning_each(
        self, prepare: Callable[[], object], why: str
    ) -> None:
        prepare()
        rule("sync", name="A", channels=["ops"])
        rule("sync", name="B", channels=["ops"])

        assert found(check_channels) == [
            Warning(
                f'channel "ops", which rule "A", rule "B" would tell, {why}',
                hint=CHANNEL_HINT,
                id="monitoring.W112",
            )
        ]

    def test_without_the_packages_are_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("monitoring.system_checks.rules.is_installed", lambda: False)
        Channel.objects.create(name="ops")
        rule("sync", channels=["ops"])

        (one,) = found(check_channels)

        assert "needs packages that are not installed" in one.msg

    def test_that_nobody_names_or_only_a_disabled_rule_are_none(self) -> None:
        Channel.objects.create(name="ops", enabled=False)
        rule("sync", channels=["ops"], enabled=False)

        assert found(check_channels) == []

    def test_are_somebody_to_tell(self) -> None:
        rule("sync", channels=["ops"])

        assert found(check_recipients) == []


class TestRecipients:
    """W106"""

    def test_that_are_nobody_are_one_warning_that_counts(self) -> None:
        for number in range(6):
            rule("sync", name=f"Sync {number}")
        store_entries("Nightly", {"report": {}})

        assert found(check_recipients) == [
            Warning(
                'nobody can be told about rule "Sync 0", rule "Sync 1", rule "Sync 2", '
                'rule "Sync 3", rule "Sync 4" and 2 more (7 in all): notify_to holds no address, '
                "and no active superuser has one",
                hint=RECIPIENTS_HINT,
                id="monitoring.W106",
            )
        ]

    def test_of_scheduled_arguments_count_too(self) -> None:
        store_entries("Nightly", {"report": {}, "told": {"notify_to": ["ops@example.com"]}})

        assert [one.msg for one in found(check_recipients)] == [
            'nobody can be told about arguments[0]["report"] of periodic task "Nightly" '
            "(1 in all): notify_to holds no address, and no active superuser has one"
        ]

    @pytest.mark.parametrize("addresses", [[], ["ops"], {}])
    def test_without_a_usable_address_are_nobody(self, addresses: Any) -> None:
        rule("sync")
        MonitorRule.objects.update(notify_to=addresses)

        assert len(found(check_recipients)) == 1

    @pytest.mark.parametrize("useless", [{"email": ""}, {"email": "root"}, {"is_active": False}])
    def test_that_are_superusers_need_an_address_and_must_be_active(
        self, useless: dict[str, Any]
    ) -> None:
        rule("sync")
        superuser(**useless)

        assert len(found(check_recipients)) == 1

    def test_that_are_superusers_will_do(self) -> None:
        rule("sync")
        store_entries("Nightly", {"report": {}})
        superuser()

        assert found(check_recipients) == []

    def test_of_its_own_will_do(self) -> None:
        rule("sync", notify_to=["ops@example.com"])
        store_entries("Nightly", {"report": {"notify_to": ["ops@example.com"]}})
        assert not get_user_model().objects.exists()

        assert found(check_recipients) == []

    def test_of_what_is_disabled_are_none_of_our_business(self) -> None:
        rule("sync", enabled=False)
        store_entries("Nightly", {"report": {}}, enabled=False)

        assert found(check_recipients) == []


class TestUnscheduledRules:
    """W107"""

    def test_are_a_warning_if_nothing_is_scheduled(self) -> None:
        for number in range(7):
            rule("sync", name=f"Sync {number}")

        assert found(check_unscheduled_rules) == [
            Warning(
                'no enabled periodic task checks rule "Sync 0", rule "Sync 1", rule "Sync 2", '
                'rule "Sync 3", rule "Sync 4" and 2 more (7 in all)',
                hint=SCHEDULE_HINT,
                id="monitoring.W107",
            )
        ]

    def test_are_those_that_no_selection_names(self) -> None:
        rule("sync", name="By name")
        rule("report", name="By task")
        rule("sync", name="Missed")
        store("Some", kwargs='{"rules": ["By name"], "tasks": ["report"]}')

        assert [one.msg for one in found(check_unscheduled_rules)] == [
            'no enabled periodic task checks rule "Missed" (1 in all)'
        ]

    @pytest.mark.parametrize(
        "columns",
        [
            {"enabled": False},
            {"one_off": True},
            {"task": "other"},
            {"args": "null"},
            {"args": "not JSON"},
            {"kwargs": "[]"},
            {"expires": timezone.now() - timedelta(days=1)},
        ],
    )
    def test_are_not_checked_by_what_does_not_run_the_monitor(
        self, columns: dict[str, Any]
    ) -> None:
        rule("sync")
        store("All", **columns)

        assert len(found(check_unscheduled_rules)) == 1

    def test_are_not_checked_by_documented_arguments(self) -> None:
        rule("sync")
        store_entries("Nightly", {"sync": {}})

        assert len(found(check_unscheduled_rules)) == 1

    @pytest.mark.parametrize(
        "columns",
        [
            {},
            {"args": "", "kwargs": ""},
            {"kwargs": '{"tasks": ["sync"]}'},
            {"expires": timezone.now() + timedelta(days=1)},
        ],
    )
    def test_are_none_when_a_periodic_task_checks_them(self, columns: dict[str, Any]) -> None:
        rule("sync")
        store("All", **columns)

        assert found(check_unscheduled_rules) == []

    def test_are_none_when_there_are_no_enabled_rules(self) -> None:
        rule("sync", enabled=False)

        assert found(check_unscheduled_rules) == []


class TestDoubleSchedules:
    """W109"""

    def test_of_all_rules_are_a_warning(self) -> None:
        store("Every hour")
        store("Every day", args="", kwargs="")

        assert found(check_double_schedules) == [
            Warning(
                'periodic tasks "Every day", "Every hour" check all rules, each of them',
                hint=ALL_TWICE_HINT,
                id="monitoring.W109",
            )
        ]

    @pytest.mark.parametrize("kwargs", ['{"rules": ["Sync"]}', '{"tasks": ["sync"]}'])
    def test_with_the_same_keyword_arguments_are_a_warning(self, kwargs: str) -> None:
        rule("sync", name="Sync")
        store("A", kwargs=kwargs)
        store("B", kwargs=kwargs)

        assert found(check_double_schedules) == [
            Warning(
                'periodic tasks "A", "B" check the same: rule "Sync"',
                hint=SOME_TWICE_HINT,
                id="monitoring.W109",
            )
        ]

    def test_of_which_one_checks_all_rules_are_a_warning(self) -> None:
        for number in range(7):
            rule("sync", name=f"Sync {number}")
        store("All")
        store("Some", kwargs='{"tasks": ["sync"]}')

        assert [one.msg for one in found(check_double_schedules)] == [
            'periodic tasks "All", "Some" check the same: rule "Sync 0", rule "Sync 1", '
            'rule "Sync 2", rule "Sync 3", rule "Sync 4" and 2 more'
        ]

    def test_that_name_a_rule_in_different_ways_are_a_warning(self) -> None:
        rule("sync", name="Sync")
        rule("report", name="Report")
        store("By name", kwargs='{"rules": ["Sync", "Report"]}')
        store("By task", kwargs='{"tasks": ["sync"]}')

        assert [one.msg for one in found(check_double_schedules)] == [
            'periodic tasks "By name", "By task" check the same: rule "Sync"'
        ]

    def test_that_list_the_same_task_are_a_warning_about_its_mails(self) -> None:
        store_entries("A", {"sync": {}, "report": {}})
        store_entries("B", {"sync": {"lookback_hours": 2}})

        assert found(check_double_schedules) == [
            Warning(
                'the JSON arguments of periodic tasks "A", "B" list the same: "sync"',
                hint=ENTRY_TWICE_HINT,
                id="monitoring.W109",
            )
        ]

    def test_that_list_the_same_task_and_context_are_a_warning(self) -> None:
        names = {"A": "gap.models.IngestorSession", "B": "gap.IngestorSession"}
        for name, model in names.items():
            keys = {"context_model": model, "context_type": "Hourly"}
            store_entries(name, {"sync": keys})
        store_entries("C", {"sync": keys | {"context_type": "Daily"}})
        store_entries("D", {"sync": {}})

        assert [one.msg for one in found(check_double_schedules)] == [
            'the JSON arguments of periodic tasks "A", "B" list the same: '
            '"sync" (gap.ingestorsession: Hourly)'
        ]

    def test_that_share_no_rule_pass(self) -> None:
        rule("sync", name="Sync")
        rule("report", name="Report")
        store("A", kwargs='{"rules": ["Sync"]}')
        store("B", kwargs='{"tasks": ["report"]}')
        store_entries("C", {"sync": {}})

        assert found(check_double_schedules) == []

    @pytest.mark.parametrize(
        "columns", [{"enabled": False}, {"one_off": True}, {"task": "other"}, {"args": "null"}]
    )
    def test_of_which_one_does_not_run_the_monitor_pass(self, columns: dict[str, Any]) -> None:
        store("A")
        store("B", **columns)

        assert found(check_double_schedules) == []


class TestArguments:
    def test_with_mistakes_are_named_by_the_first_with_the_fix(self) -> None:
        store("Old", args='[{"sync": {"expected_statuses": ["Complete"], "lookback": 2}, "b": 1}]')

        (message,) = found(check_arguments)

        assert message.id == "monitoring.W113"
        assert message.msg == (
            'periodic task "Old": arguments[0]["sync"]: unknown key "lookback" '
            '(did you mean "lookback_hours"?) (and 2 more)'
        )

    def test_that_are_right_are_not_spoken_of(self) -> None:
        store_entries("Old", {"sync": {}})
        store("All")

        assert found(check_arguments) == []

    def test_of_a_disabled_periodic_task_are_left_alone(self) -> None:
        store("Old", args='[{"sync": 1}]', enabled=False)

        assert found(check_arguments) == []


class TestTasks:
    def test_that_every_worker_refuses_are_named_with_the_nearest_name(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(current_app.tasks, "orders.refresh_stock", object())
        store("Stock", task="orders.refresh_stok")
        execution("orders.refresh_stok", "Stopped", started_at=None)

        (message,) = found(check_refused_tasks)

        assert message.id == "monitoring.W114"
        assert message.msg == (
            'periodic task "Stock" sends "orders.refresh_stok", which a worker refused and '
            'none has ever run (did you mean "orders.refresh_stock"?)'
        )

    def test_that_wait_have_run_or_are_in_the_code_are_not_spoken_of(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(current_app.tasks, "added_since", object())
        for task in ("added_since", "ran_elsewhere", "off"):
            execution(task, "Stopped", started_at=None)
        execution("ran_elsewhere")
        execution("waits", "Pending", started_at=None)
        for task in ("added_since", "ran_elsewhere", "waits"):
            store(task, task=task)
        store("off", task="off", enabled=False)

        assert found(check_refused_tasks) == []


class TestAllOfThem:
    def test_are_silent_in_an_empty_installation(self) -> None:
        assert ours(databases=["default"]) == []

    def test_are_silent_when_everything_is_in_order(self) -> None:
        superuser()
        rule("sync", **context())
        store("All")

        assert ours(databases=["default"]) == []

    def test_leave_the_database_alone_unless_it_is_asked_for(
        self, django_assert_num_queries: Any
    ) -> None:
        rule("sync", **context("nothing"))

        with django_assert_num_queries(0):
            for check in ALL:
                assert check() == []
                assert check(databases=None) == []
                assert check(databases=["elsewhere"]) == []
            assert ours() == []

    def test_are_among_the_checks_of_the_database(self) -> None:
        rule("sync", **context("nothing"))
        store("A", kwargs='{"rules": ["x"]}')
        store_entries("B", {"sync": {}})
        store_entries("C", {"sync": {}})

        ids = {one.id for one in ours(databases=["default"])}

        assert ids == {f"monitoring.W{number}" for number in (105, 106, 107, 109)}

    @pytest.mark.parametrize("check", ALL)
    def test_are_silent_without_tables(self, check: Check) -> None:
        def no_table(*_: Any) -> None:
            raise ProgrammingError("no such table")

        rule("sync", **context("nothing"))
        with connection.execute_wrapper(no_table):
            assert found(check) == []

    @pytest.mark.parametrize("check", ALL)
    def test_leave_settings_that_cannot_be_read_to_their_own_check(self, check: Check) -> None:
        rule("sync", notify_to=["ops@example.com"], **context())
        store("All")

        with override_settings(MONITORING={"CONTEXT_KEYS": 1}):
            assert found(check) == []

    def test_read_past_a_row_that_no_form_would_have_stored(self) -> None:
        rule("sync", name="Broken", **context("nothing"))
        MonitorRule.objects.update(expected_statuses="x", dependent_tasks=7)

        ids = {one.id for one in ours(databases=["default"])}

        assert ids == {"monitoring.W106", "monitoring.W107"}

    def test_say_little_in_few_queries_however_many_rules_there_are(self) -> None:
        ours(databases=["default"])  # Django asks once what the database can do
        counts = []
        for beginning, many in (("A", 10), ("B", 2_990)):
            MonitorRule.objects.bulk_create(
                [
                    MonitorRule(
                        name=f"{beginning}-{number}", task_name="sync", **context(f"x{number}")
                    )
                    for number in range(many)
                ],
                batch_size=1000,
            )
            for number in range(many // 100 or 1):
                kwargs = json.dumps({"rules": [f"{beginning}-{number}"]})
                store(f"{beginning}-{number}-1", kwargs=kwargs)
                store(f"{beginning}-{number}-2", kwargs=kwargs)
            with CaptureQueriesContext(connection) as captured:
                told = ours(databases=["default"])
            counts.append(len(captured))

        assert counts == [18, 18]
        assert len(told) == 6 + 1 + 1 + 6
        assert max(len(one.msg) for one in told) < 600
