"""What `manage.py check` says before anything goes wrong."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import Error, Warning, run_checks  # noqa: A004
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import ProgrammingError, connection
from django.test import override_settings
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from monitoring.system_checks import (
    check_context_settings,
    check_periodic_tasks,
    check_sender,
    check_settings,
)

ADVICE = 'write [] to check all rules, or [{"task_name": {"expected_statuses": ["Completed"]}}]'

SETTINGS_HINT = (
    "Correct it: docs/settings.md lists every key with its type. "
    "See docs/system-checks.md#monitoring-e001."
)
ARGUMENTS_HINT = (
    "Correct its Arguments in the admin, under Periodic tasks. "
    "See docs/system-checks.md#monitoring-e002."
)
ENTRY_HINT = (
    "Correct or remove this entry of the setting. See docs/system-checks.md#monitoring-w105."
)
SENDER_HINT = (
    'Set MONITORING["FROM_EMAIL"] or DEFAULT_FROM_EMAIL to an address of yours. '
    "See docs/system-checks.md#monitoring-w108."
)


def ours(**options: Any) -> list[Any]:
    return [one for one in run_checks(**options) if str(one.id).startswith("monitoring.")]


def store(
    name: str,
    args: str = "[]",
    kwargs: str = "{}",
    task: str = "monitor_task_status",
    **columns: Any,
) -> None:
    """Store a periodic task past the check on saving, as loaddata or SQL does."""
    schedule, _ = IntervalSchedule.objects.get_or_create(every=1, period=IntervalSchedule.HOURS)
    PeriodicTask.objects.bulk_create(
        [PeriodicTask(name=name, task=task, interval=schedule, args=args, kwargs=kwargs, **columns)]
    )


class TestTheSettings:
    def test_good_ones_pass(self) -> None:
        assert check_settings() == []

    def test_each_mistake_is_an_error(self) -> None:
        with override_settings(MONITORING={"BASEURL": "", "RECORD": 1}):
            assert check_settings() == [
                Error(
                    "MONITORING: unknown key 'BASEURL' (did you mean \"BASE_URL\"?)",
                    hint=SETTINGS_HINT,
                    id="monitoring.E001",
                ),
                Error(
                    "MONITORING: RECORD must be True or False, got 1",
                    hint=SETTINGS_HINT,
                    id="monitoring.E001",
                ),
            ]

    def test_something_that_is_no_dictionary_is_an_error(self) -> None:
        with override_settings(MONITORING=None):
            assert [one.msg for one in check_settings()] == [
                "MONITORING: MONITORING must be a dictionary, got NoneType"
            ]

    def test_they_are_among_the_checks_of_the_project(self) -> None:
        with override_settings(MONITORING={"X": 1}):
            assert [one.id for one in ours()] == ["monitoring.E001"]

    def test_the_command_fails_on_a_mistake(self) -> None:
        with override_settings(MONITORING={"X": 1}), pytest.raises(SystemCheckError):
            call_command("check")

    def test_a_good_project_has_nothing_to_say(self) -> None:
        assert ours() == []


class TestContextSettings:
    def test_each_entry_that_names_nothing_is_a_warning(self) -> None:
        with override_settings(
            MONITORING={
                "CONTEXT_FIELDS": {"gap.Export": "layuot"},
                "CONTEXT_KEYS": {"gap.Station": "grade", "nowhere.Qqq": "code"},
            }
        ):
            assert check_context_settings() == [
                Warning(
                    'MONITORING["CONTEXT_FIELDS"]: gap.Export has no field "layuot" '
                    '(did you mean "layout"?)',
                    hint=ENTRY_HINT,
                    id="monitoring.W105",
                ),
                Warning(
                    'MONITORING["CONTEXT_KEYS"]["gap.Station"] is "grade", which is not unique: '
                    "one context id could mean several rows",
                    hint=ENTRY_HINT,
                    id="monitoring.W105",
                ),
                Warning(
                    'MONITORING["CONTEXT_KEYS"]: "nowhere.Qqq" is not an installed model',
                    hint=ENTRY_HINT,
                    id="monitoring.W105",
                ),
            ]

    def test_good_ones_pass(self) -> None:
        with override_settings(
            MONITORING={
                "CONTEXT_FIELDS": {"gap.Shipment": "source__kind"},
                "CONTEXT_KEYS": {"gap.Station": "code"},
                "CONTEXT_MODELS": ["gap.models.Station"],
            }
        ):
            assert check_context_settings() == []

    def test_settings_that_cannot_be_read_are_told_of_elsewhere(self) -> None:
        with override_settings(MONITORING={"CONTEXT_KEYS": {"gap.Station": 1}}):
            assert check_context_settings() == []
            assert [one.id for one in ours()] == ["monitoring.E001"]

    def test_they_are_among_the_checks_of_the_project(self) -> None:
        with override_settings(MONITORING={"CONTEXT_KEYS": {"gap.Station": "grade"}}):
            assert [one.id for one in ours()] == ["monitoring.W105"]


class TestTheSender:
    def test_the_one_that_django_makes_up_is_a_warning(self) -> None:
        with override_settings(DEFAULT_FROM_EMAIL="webmaster@localhost"):
            assert check_sender() == [
                Warning(
                    "alerts would come from webmaster@localhost, Django's default, which mail "
                    "servers refuse",
                    hint=SENDER_HINT,
                    id="monitoring.W108",
                )
            ]
            assert [one.id for one in ours()] == ["monitoring.W108"]

    @pytest.mark.parametrize(
        "settings",
        [
            {"DEFAULT_FROM_EMAIL": "ops@example.com"},
            {
                "DEFAULT_FROM_EMAIL": "webmaster@localhost",
                "MONITORING": {"FROM_EMAIL": "alerts@example.com"},
            },
        ],
    )
    def test_one_of_your_own_passes(self, settings: dict[str, Any]) -> None:
        with override_settings(**settings):
            assert check_sender() == []

    def test_settings_that_cannot_be_read_do_not_stop_it(self) -> None:
        with override_settings(DEFAULT_FROM_EMAIL="webmaster@localhost", MONITORING=None):
            assert [one.id for one in check_sender()] == ["monitoring.W108"]


@pytest.mark.django_db
class TestPeriodicTasks:
    @pytest.mark.parametrize(
        ("args", "shown"),
        [("null", "null"), ("7", "7"), ('"sync"', '"sync"'), ("{}", "{}"), ("true", "true")],
    )
    def test_arguments_that_are_no_array_are_an_error(self, args: str, shown: str) -> None:
        store("Nightly", args=args)

        assert check_periodic_tasks(databases=["default"]) == [
            Error(
                f'periodic task "Nightly": args must be a JSON array, got {shown}: {ADVICE}',
                hint=ARGUMENTS_HINT,
                id="monitoring.E002",
            )
        ]

    @pytest.mark.parametrize(("kwargs", "shown"), [("null", "null"), ("[]", "[]"), ("1", "1")])
    def test_keyword_arguments_that_are_no_object_are_an_error(
        self, kwargs: str, shown: str
    ) -> None:
        store("Nightly", kwargs=kwargs)

        assert check_periodic_tasks(databases=["default"]) == [
            Error(
                f'periodic task "Nightly": kwargs must be a JSON object, got {shown}: '
                "write {} for none",
                hint=ARGUMENTS_HINT,
                id="monitoring.E002",
            )
        ]

    def test_each_of_them_is_named(self) -> None:
        store("B", args="null", kwargs="null")
        store("A", args="null")

        names = [one.msg.split(":")[0] for one in check_periodic_tasks(databases=["default"])]

        assert names == ['periodic task "A"', 'periodic task "B"', 'periodic task "B"']

    def test_after_five_of_them_the_rest_are_counted(self) -> None:
        for number in range(12):
            store(f"Nightly {number:02}", args="null")

        found = check_periodic_tasks(databases=["default"])

        assert len(found) == 6
        assert found[-1] == Error(
            "7 more messages like these are not shown", hint=ARGUMENTS_HINT, id="monitoring.E002"
        )

    def test_good_arguments_pass(self) -> None:
        store("all rules")
        store("documented", args='[{"sync": {"expected_statuses": ["Completed"]}}]')
        store("some", kwargs='{"rules": ["Nightly"]}')

        assert check_periodic_tasks(databases=["default"]) == []

    def test_other_tasks_are_none_of_our_business(self) -> None:
        store("other", args="null", task="other")

        assert check_periodic_tasks(databases=["default"]) == []

    def test_the_database_is_left_alone_unless_it_is_asked_for(
        self, django_assert_num_queries: Any
    ) -> None:
        store("Nightly", args="null")

        with django_assert_num_queries(0):
            assert check_periodic_tasks(databases=None) == []
            assert check_periodic_tasks() == []

    def test_they_are_among_the_checks_of_the_database(self) -> None:
        store("Nightly", args="null")

        assert ours() == []
        assert [one.id for one in ours(databases=["default"])] == ["monitoring.E002"]

    def test_a_database_without_tables_is_no_error(self) -> None:
        def no_table(*_: Any) -> None:
            raise ProgrammingError("no such table")

        with connection.execute_wrapper(no_table):
            assert check_periodic_tasks(databases=["default"]) == []
