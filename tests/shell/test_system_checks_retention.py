"""What `manage.py check` says of how long executions are kept."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import Warning  # noqa: A004
from django.db import ProgrammingError, connection

from monitoring.models import MonitorRule
from monitoring.system_checks import check_retention
from tests.factories import rule
from tests.shell.test_system_checks import ours, store


@pytest.mark.django_db
class TestTheRetention:
    @pytest.fixture(autouse=True)
    def _a_week(self, settings: Any) -> None:
        settings.MONITORING = settings.MONITORING | {"RETENTION_DAYS": {"executions": 7}}

    def test_that_is_shorter_than_a_lookback_is_a_warning(self) -> None:
        rule("sync", name="Weekly", lookback_hours=170)
        rule("sync", name="Daily", lookback_hours=25)

        assert check_retention(databases=["default"]) == [
            Warning(
                'MONITORING["RETENTION_DAYS"]["executions"] is 7, but rule "Weekly" looks back '
                "170 hours: executions are kept for as long as that needs.",
                hint="Set it to 9 or more, or let the rule look back less far. "
                "See docs/system-checks.md#monitoring-w104.",
                id="monitoring.W104",
            )
        ]

    def test_that_is_shorter_than_that_of_documented_arguments_is_one_too(self) -> None:
        store(
            "Critical", '[{"sync": {"expected_statuses": ["Completed"], "lookback_hours": 168.5}}]'
        )

        (warning,) = check_retention(databases=["default"])

        assert (
            'the entry of "sync" in periodic task "Critical" looks back 168.5 hours' in warning.msg
        )

    def test_that_is_long_enough_passes(self) -> None:
        rule("sync", lookback_hours=168)
        rule("sync", name="off", lookback_hours=500, enabled=False)

        assert check_retention(databases=["default"]) == []

    @pytest.mark.parametrize("forever", [0, None])
    def test_without_an_end_passes(self, settings: Any, forever: int | None) -> None:
        settings.MONITORING = {"RETENTION_DAYS": {"executions": forever}}
        rule("sync", lookback_hours=8000)

        assert check_retention(databases=["default"]) == []

    def test_without_rules_passes(self) -> None:
        assert check_retention(databases=["default"]) == []

    def test_is_among_the_checks_of_the_database_and_nowhere_else(
        self, django_assert_num_queries: Any
    ) -> None:
        rule("sync", lookback_hours=170)

        with django_assert_num_queries(0):
            assert check_retention() == []
            assert "monitoring.W104" not in [one.id for one in ours()]
        assert "monitoring.W104" in [one.id for one in ours(databases=["default"])]

    def test_costs_three_queries(self, django_assert_num_queries: Any) -> None:
        MonitorRule.objects.bulk_create(
            MonitorRule(name=f"rule {number}", task_name="sync", lookback_hours=number + 1)
            for number in range(200)
        )

        with django_assert_num_queries(3):
            assert len(check_retention(databases=["default"])) == 1

    def test_a_database_without_tables_is_no_error(self) -> None:
        def no_table(*_: Any) -> None:
            raise ProgrammingError("no such table")

        with connection.execute_wrapper(no_table):
            assert check_retention(databases=["default"]) == []
