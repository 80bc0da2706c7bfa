"""Task logs that somebody else keeps: their words, their spelling, and settings that are wrong."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from django.db import models
from django_celery_results.models import TaskResult

from monitoring import doors
from monitoring.core.statuses import Status
from monitoring.tasklogs import celery_results
from monitoring.tasklogs.celery_results import read_context_id, read_error
from monitoring.tasklogs.host_model import TaskLogError
from monitoring.tasklogs.source import task_log
from tests.factories import ago, execution, log, rule
from tests.gap.models import IngestorSession
from tests.hostlogs.models import BackgroundTask as HostTask
from tests.shell.conftest import Monitor
from tests.sources import HOST, RESULTS, Source

pytestmark = [pytest.mark.django_db, pytest.mark.matrix, pytest.mark.usefixtures("clock")]

OPS = {"notify_to": ["ops@example.com"]}


def use(source: Source, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.MONITORING = settings.MONITORING | source.settings
    monkeypatch.setattr(log, "source", source)


class TestAModelOfTheHost:
    @pytest.fixture(autouse=True)
    def _source(self, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        use(HOST, settings, monkeypatch)

    @pytest.mark.parametrize("spelling", ["completed", "COMPLETED", "Completed"])
    def test_may_spell_a_status_as_it_likes(self, monitor: Monitor, spelling: str) -> None:
        rule("sync")
        execution("sync", spelling)

        assert monitor()["ok"] == 1

    def test_is_searched_in_every_spelling(self, monitor: Monitor) -> None:
        rule("sync", max_runtime_minutes=5, **OPS)
        execution("sync", "running", started=ago(hours=3))

        (found,) = monitor()["failures"]

        assert found["verdict"] == "overrunning"

    def test_with_a_status_nobody_knows_says_how_to_map_it(self, monitor: Monitor) -> None:
        rule("sync")
        rule("report")
        execution("sync", "Exploded")
        execution("report")

        found = doors.check((), {})

        assert found.counts["ok"] == 1
        (unknown,) = found.unknown
        assert unknown["reason"] == (
            'core.BackgroundTask holds the status "Exploded", which is none of the seven: say what '
            'it stands for in MONITORING["TASK_LOG_STATUSES"]'
        )

    def test_with_such_a_status_in_a_context_is_unknown_too(self) -> None:
        session = IngestorSession.objects.create(ingestor_type="Hourly")
        rule("sync", context_model="gap.IngestorSession", context_type="Hourly")
        execution("sync", "Exploded", context_id=str(session.pk))

        assert doors.check((), {}).counts["unknown"] == 1

    def test_may_map_a_status_of_its_own(self, monitor: Monitor, settings: Any) -> None:
        settings.MONITORING = settings.MONITORING | {"TASK_LOG_STATUSES": {"Exploded": "stopped"}}
        rule("sync", expected_statuses=["Stopped"])
        execution("sync", "Exploded")

        assert monitor()["ok"] == 1

    def test_may_hold_nothing_where_a_text_could_be(self, monitor: Monitor) -> None:
        rule("sync", notify_to=["ops@example.com"])
        execution("sync", "Stopped", errors=None, context_id=None, task_id="")

        assert monitor()["failing"] == 1


class TestSettings:
    @pytest.mark.parametrize(
        ("given", "complaint"),
        [
            (
                {"TASK_LOG": "core.BackgroundTasks"},
                'TASK_LOG "core.BackgroundTasks" is no installed model (did you mean '
                '"core.BackgroundTask"?)',
            ),
            (
                {"TASK_LOG": "core"},
                'TASK_LOG "core" is no installed model',
            ),
            (
                {"TASK_LOG": "core.Archived", "TASK_LOG_FIELDS": {"status": "state"}},
                'core.Archived has no field "started_at": name the one that holds it in '
                'TASK_LOG_FIELDS["started_at"]',
            ),
            (
                {"TASK_LOG": "core.JobRun", "TASK_LOG_FIELDS": {"task_name": "jop"}},
                'TASK_LOG_FIELDS["task_name"]: core.JobRun has no field "jop" (did you mean '
                '"job"?)',
            ),
            (
                {"TASK_LOG": "core.JobRun", "TASK_LOG_FIELDS": {"task_nam": "job"}},
                'TASK_LOG_FIELDS["task_nam"] is not something a log has (did you mean '
                '"task_name"?)',
            ),
            (
                {
                    "TASK_LOG": "core.Archived",
                    "TASK_LOG_FIELDS": {"started_at": "began", "status": "state"},
                },
                "core.Archived.state holds no texts: say in TASK_LOG_STATUSES what its values "
                "stand for",
            ),
            (
                {
                    "TASK_LOG": "core.Archived",
                    "TASK_LOG_FIELDS": {"started_at": "began", "status": "state"},
                    "TASK_LOG_STATUSES": {"one": "Running"},
                },
                'TASK_LOG_STATUSES["one"] is no value of core.Archived.state',
            ),
            (
                {"TASK_LOG": "core.BackgroundTask", "TASK_LOG_STATUSES": {"done": "Complete"}},
                'TASK_LOG_STATUSES["done"]: "Complete" is not a status: did you mean "Completed"?',
            ),
            (
                {"TASK_LOG": "gap.NightSession", "TASK_LOG_FIELDS": {"task_name": "ingestor_type"}},
                'TASK_LOG_FIELDS["task_name"]: "ingestor_type" is no column of the table of '
                "gap.NightSession",
            ),
        ],
    )
    def test_that_name_no_usable_log_say_what_to_change(
        self, settings: Any, given: dict[str, Any], complaint: str
    ) -> None:
        settings.MONITORING = settings.MONITORING | given

        with pytest.raises(TaskLogError) as raised:
            task_log()

        assert str(raised.value) == complaint

    def test_that_name_no_usable_log_make_every_rule_unknown(self, settings: Any) -> None:
        settings.MONITORING = settings.MONITORING | {"TASK_LOG": "core.Nothing"}
        rule("sync")

        found = doors.check((), {})

        assert found.counts["unknown"] == 1
        assert 'TASK_LOG "core.Nothing" is no installed model' in found.unknown[0]["reason"]

    def test_submitted_on_counts_as_submitted_at(self, settings: Any) -> None:
        settings.MONITORING = settings.MONITORING | HOST.settings

        assert task_log().model is HostTask
        assert task_log().fields["submitted_at"] == "submitted_on"

    def test_our_own_model_may_be_named(self, settings: Any) -> None:
        settings.MONITORING = settings.MONITORING | {"TASK_LOG": "monitoring.BackgroundTask"}

        assert task_log().is_own


class TestCeleryResults:
    @pytest.fixture(autouse=True)
    def _source(self, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        use(RESULTS, settings, monkeypatch)

    @pytest.mark.parametrize(
        ("state", "status"),
        [
            ("PENDING", "Pending"),
            ("RECEIVED", "Queued"),
            ("STARTED", "Running"),
            ("SUCCESS", "Completed"),
            ("IGNORED", "Completed"),
            ("FAILURE", "Stopped"),
            ("REJECTED", "Stopped"),
            ("REVOKED", "Cancelled"),
            ("RETRY", "Invalidated"),
            ("PROGRESS", "Running"),
        ],
    )
    def test_states_stand_for_statuses(self, state: str, status: str) -> None:
        assert task_log().status_of(state) == Status(status)

    def test_a_state_of_the_projects_own_runs(self, monitor: Monitor) -> None:
        rule("sync", max_runtime_minutes=1, expected_statuses=["Running"], **OPS)
        row = execution("sync", "Running", started=ago(minutes=30))
        TaskResult.objects.filter(pk=row.pk).update(status="PROGRESS")

        assert monitor()["failures"][0]["verdict"] == "overrunning"

    def test_what_waits_has_not_started_although_its_row_has_a_time(self, monitor: Monitor) -> None:
        rule("sync", expected_statuses=["Completed"])
        execution("sync", started=ago(minutes=30))
        execution("sync", "Pending", started_at=None, submitted_at=ago(minutes=5))

        assert monitor()["ok"] == 1

    def test_without_a_start_the_time_of_the_row_counts(self, monitor: Monitor) -> None:
        rule("sync")
        row = execution("sync", started=ago(minutes=30))
        TaskResult.objects.filter(pk=row.pk).update(date_started=None)

        assert monitor()["ok"] == 1

    def test_without_a_column_for_it_the_time_of_the_row_counts(self) -> None:
        class Old(models.Model):
            date_created = models.DateTimeField()

            class Meta:
                app_label = "gap"
                managed = False

            def __str__(self) -> str:
                return ""

        assert celery_results.describe(Old).started == ("date_created",)

    @pytest.mark.parametrize(
        ("args", "kwargs", "found"),
        [
            ((7,), {}, "7"),
            ((7, "x"), {}, "7"),
            ((), {}, ""),
            (("secret",), {}, ""),
            ((), {"session": 12}, "12"),
            ((uuid.UUID(int=5),), {}, str(uuid.UUID(int=5))),
        ],
    )
    def test_a_context_is_read_from_the_arguments(
        self, settings: Any, args: Any, kwargs: Any, found: str
    ) -> None:
        if kwargs:
            settings.MONITORING = settings.MONITORING | {"CONTEXT_ARGUMENTS": {"sync": "session"}}

        stored = json.dumps(repr(args)), json.dumps(repr(kwargs))

        assert read_context_id("sync", *stored) == found

    @pytest.mark.parametrize(
        "stored",
        [None, "", "[7]", "{", '"(7, \'aaaa..."', "\"__import__('os')\"", '"' + "(" * 5000 + '"'],
    )
    def test_arguments_that_cannot_be_read_match_nothing(self, stored: str | None) -> None:
        found = read_context_id("sync", stored, stored)

        assert found == ("7" if stored == "[7]" else "")

    def test_the_result_of_a_success_is_never_shown(self) -> None:
        assert read_error(Status.COMPLETED, '{"exc_type": "secret"}') == ""

    @pytest.mark.parametrize(
        ("result", "error"),
        [
            ('{"exc_type": "ValueError", "exc_message": ["no", 5]}', "ValueError: no, 5"),
            ('{"exc_type": "ValueError", "exc_message": "no"}', "ValueError: no"),
            ('{"exc_type": "ValueError", "exc_message": []}', "ValueError"),
            (
                '{"exc_type": "ValueError", "exc_message": ["a long one th',
                "ValueError: a long one th",
            ),
            ("null", ""),
            ("gASVJAAAAAAAAACMCGJ1aWx0aW5z", ""),
        ],
    )
    def test_an_error_is_told_in_words(self, result: str, error: str) -> None:
        assert read_error(Status.STOPPED, result) == error
