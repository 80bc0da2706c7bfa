"""What `manage.py check` says before anything goes wrong."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import Error, run_checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import ProgrammingError, connection
from django.test import override_settings
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from monitoring.system_checks import check_periodic_tasks, check_settings

ADVICE = 'write [] to check all rules, or [{"task_name": {"expected_statuses": ["Completed"]}}]'


def ours(**options: Any) -> list[Any]:
    return [one for one in run_checks(**options) if str(one.id).startswith("monitoring.")]


def store(
    name: str, args: str = "[]", kwargs: str = "{}", task: str = "monitor_task_status"
) -> None:
    """Store a periodic task past the check on saving, as loaddata or SQL does."""
    schedule, _ = IntervalSchedule.objects.get_or_create(every=1, period=IntervalSchedule.HOURS)
    PeriodicTask.objects.bulk_create(
        [PeriodicTask(name=name, task=task, interval=schedule, args=args, kwargs=kwargs)]
    )


class TestTheSettings:
    def test_good_ones_pass(self) -> None:
        assert check_settings() == []

    def test_each_mistake_is_an_error(self) -> None:
        with override_settings(MONITORING={"BASEURL": "", "RECORD": 1}):
            assert check_settings() == [
                Error(
                    "MONITORING: unknown key 'BASEURL' (did you mean \"BASE_URL\"?)",
                    hint="See the settings page of the documentation for every key and its type.",
                    id="monitoring.E001",
                ),
                Error(
                    "MONITORING: RECORD must be True or False, got 1",
                    hint="See the settings page of the documentation for every key and its type.",
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
                hint="Correct its Arguments in the admin, under Periodic tasks.",
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
                hint="Correct its Arguments in the admin, under Periodic tasks.",
                id="monitoring.E002",
            )
        ]

    def test_each_of_them_is_named(self) -> None:
        store("B", args="null", kwargs="null")
        store("A", args="null")

        names = [one.msg.split(":")[0] for one in check_periodic_tasks(databases=["default"])]

        assert names == ['periodic task "A"', 'periodic task "B"', 'periodic task "B"']

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
