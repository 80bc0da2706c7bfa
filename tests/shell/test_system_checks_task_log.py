"""What `manage.py check` says of the task log."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from celery import current_app
from django.core.checks import Error, Warning  # noqa: A004
from django.db import connection
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from monitoring.system_checks import (
    check_expiry,
    check_index,
    check_task_log,
    check_time_zones,
)
from tests.factories import rule
from tests.sources import HOST, JOBS, OWN, RESULTS, Source

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]
DEFAULT = ["default"]


@pytest.fixture
def celery(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let TaskResult be the log, with settings of Celery that suit it; return those."""
    use(RESULTS, settings)
    conf = current_app.conf
    monkeypatch.setitem(conf, "result_extended", True)
    monkeypatch.setitem(conf, "task_track_started", True)
    monkeypatch.setitem(conf, "result_expires", timedelta(days=30))
    return conf


def use(source: Source, settings: Any) -> None:
    settings.MONITORING = settings.MONITORING | source.settings


@pytest.mark.parametrize("source", [OWN, HOST, JOBS], ids=["own", "host", "jobs"])
def test_a_log_that_can_be_read_is_fine(settings: Any, source: Source) -> None:
    use(source, settings)

    assert check_task_log() == []
    assert check_index(DEFAULT) == []
    assert check_expiry(DEFAULT) == []


def test_a_log_that_cannot_be_read_is_an_error(settings: Any) -> None:
    settings.MONITORING = settings.MONITORING | {"TASK_LOG": "core.JobRun"}

    assert check_task_log() == [
        Error(
            'MONITORING: core.JobRun has no field "task_name": name the one that holds it in '
            'TASK_LOG_FIELDS["task_name"]',
            hint="Correct this entry of MONITORING. See docs/system-checks.md#monitoring-e003.",
            id="monitoring.E003",
        )
    ]
    assert check_index(DEFAULT) == check_expiry(DEFAULT) == []


def test_what_another_check_refuses_is_not_said_twice(settings: Any) -> None:
    settings.MONITORING = {"TASKLOG": "core.JobRun"}

    assert check_task_log() == []


def test_times_without_a_zone_are_an_error(settings: Any) -> None:
    assert check_time_zones() == []

    settings.USE_TZ = False

    assert check_time_zones() == [
        Error(
            "USE_TZ is False: times without a zone cannot be compared with a lookback window",
            hint="Set USE_TZ = True. See docs/system-checks.md#monitoring-e004.",
            id="monitoring.E004",
        )
    ]


def test_results_with_names_and_starts_are_fine(celery: Any) -> None:
    assert check_task_log() == []


def test_results_without_names_are_warned_of(celery: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(celery, "result_extended", False)

    assert check_task_log() == [
        Warning(
            "results hold no task names: every rule would find that its task has not executed",
            hint="Set CELERY_RESULT_EXTENDED = True. See docs/system-checks.md#monitoring-w101.",
            id="monitoring.W101",
        )
    ]


def test_results_without_starts_are_warned_of(celery: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(celery, "task_track_started", False)

    assert check_task_log() == [
        Warning(
            "results hold no starts: a task is seen only when it has ended, and one that hangs is "
            "not seen at all",
            hint="Set CELERY_TASK_TRACK_STARTED = True. See docs/system-checks.md#monitoring-w102.",
            id="monitoring.W102",
        )
    ]


def test_a_log_without_an_index_is_warned_of_with_the_statement_that_adds_one(
    celery: Any,
) -> None:
    (found,) = check_index(DEFAULT)

    assert found.id == "monitoring.W103"
    assert found.msg == (
        "django_celery_results.TaskResult has no index on task name and start: a check reads every "
        "execution of every task it looks at"
    )
    assert found.hint is not None
    statement = found.hint.partition(": ")[2].partition(";")[0]
    with connection.cursor() as cursor:
        cursor.execute(statement)

    try:
        assert check_index(DEFAULT) == []
    finally:
        if connection.vendor == "mysql":  # no part of the transaction of the test
            with connection.cursor() as cursor:
                cursor.execute(statement.replace("CREATE", "DROP").partition(" (")[0])


def test_results_that_expire_too_soon_are_warned_of(
    celery: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule("weekly", lookback_hours=170)
    rule("daily", lookback_hours=25)
    rule("hourly")
    rule("off", lookback_hours=500, enabled=False)
    monkeypatch.setitem(celery, "result_expires", timedelta(days=1))

    assert check_expiry(DEFAULT) == [
        Warning(
            'results expire after 24 h, before rule "daily rule", rule "weekly rule" (2 in all) '
            "have looked back far enough: each of them would alarm falsely",
            hint="Set CELERY_RESULT_EXPIRES longer than the longest lookback. "
            "See docs/system-checks.md#monitoring-w110.",
            id="monitoring.W110",
        )
    ]


@pytest.mark.parametrize("kept", [None, 0, 200 * 3600, timedelta(days=8)])
def test_results_that_stay_long_enough_are_fine(
    celery: Any, monkeypatch: pytest.MonkeyPatch, kept: Any
) -> None:
    rule("weekly", lookback_hours=170)
    monkeypatch.setitem(celery, "result_expires", kept)

    assert check_expiry(DEFAULT) == []


def test_json_arguments_look_back_too(celery: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    every, _ = IntervalSchedule.objects.get_or_create(every=1, period="days")
    entry = {"expected_statuses": ["Completed"], "lookback_hours": 48}
    PeriodicTask.objects.create(
        name="Daily", task="monitor_task_status", interval=every, args=json.dumps([{"sync": entry}])
    )
    monkeypatch.setitem(celery, "result_expires", 3600)

    (found,) = check_expiry(DEFAULT)

    assert 'of periodic task "Daily" (1 in all)' in found.msg
