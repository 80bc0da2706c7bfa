"""What the pages read of the task log."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django_celery_results.models import TaskResult

from monitoring.core.statuses import Status
from monitoring.models import BackgroundTask
from monitoring.tasklogs import names
from monitoring.tasklogs.history import TASKS_AT_ONCE, recent
from monitoring.tasklogs.names import seen_names
from tests.factories import ago, execution
from tests.sources import SOURCES

pytestmark = pytest.mark.django_db


class TestTheLastExecutions:
    def test_are_the_newest_of_each_task_the_newest_first(self) -> None:
        for minutes in (30, 10, 20):
            execution("a", started=ago(minutes=minutes))
        execution("b", "Stopped", started=ago(minutes=5), finished_at=ago(minutes=4))

        found = recent(["a", "b"], 2)

        assert [one.started_at for one in found["a"]] == [ago(minutes=10), ago(minutes=20)]
        (one,) = found["b"]
        assert (one.status, one.finished_at) == (Status.STOPPED, ago(minutes=4))

    def test_leave_out_what_has_not_started(self) -> None:
        execution("a", "Pending", started_at=None)

        assert recent(["a"], 5) == {"a": []}

    def test_of_a_task_that_never_ran_are_none(self) -> None:
        assert recent(["never"], 5) == {"never": []}

    def test_of_no_task_cost_no_query(self) -> None:
        with CaptureQueriesContext(connection) as queries:
            assert recent([], 5) == {}
        assert len(queries) == 0

    def test_of_a_whole_page_cost_one_query(self) -> None:
        some = [f"task {number}" for number in range(TASKS_AT_ONCE)]
        for name in some:
            execution(name)
        with CaptureQueriesContext(connection) as queries:
            found = recent(some, 10)
        assert len(queries) == 1
        assert all(len(runs) == 1 for runs in found.values())

    def test_of_names_that_differ_only_in_case_are_kept_apart(self) -> None:
        execution("Sync")

        assert recent(["sync"], 5) == {"sync": []}

    def test_of_a_name_with_a_percent_sign_or_a_quote_are_found(self) -> None:
        execution("100 % 'done'")

        assert len(recent(["100 % 'done'"], 5)["100 % 'done'"]) == 1


class TestNames:
    def test_are_each_told_once_and_in_order(self) -> None:
        for name in ("b", "a", "b", "c"):
            execution(name)

        assert seen_names() == ["a", "b", "c"]

    def test_of_an_empty_log_are_none(self) -> None:
        assert seen_names() == []

    def test_are_remembered_so_that_only_new_executions_are_looked_through(
        self, django_assert_num_queries: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in "bcd":
            execution(name)
        assert seen_names() == list("bcd")
        monkeypatch.setattr(names, "_read", lambda log: pytest.fail("all names were read again"))

        with django_assert_num_queries(1):
            assert seen_names() == list("bcd")
        for name in "dacb":
            execution(name)
        with django_assert_num_queries(2):
            assert seen_names() == list("abcd")

    def test_that_a_log_does_not_tell_are_none(self, settings: Any) -> None:
        settings.MONITORING = settings.MONITORING | SOURCES["results"].settings
        for number, name in enumerate(("sync", None, "report")):
            TaskResult.objects.create(task_id=f"{number}", task_name=name)
            seen_names()

        assert seen_names() == ["report", "sync"]

    def test_that_were_being_written_when_the_newest_was_seen_are_not_missed(self) -> None:
        late = execution("late")
        pk = late.pk
        late.delete()
        execution("newest")
        assert seen_names() == ["newest"]

        BackgroundTask.objects.create(pk=pk, task_id="late", task_name="late")
        execution("another")

        assert seen_names() == ["another", "late", "newest"]

    def test_that_nobody_runs_any_more_go_after_a_while(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        gone = execution("gone")
        execution("stays")
        assert seen_names() == ["gone", "stays"]
        gone.delete()
        assert seen_names() == ["gone", "stays"]

        monkeypatch.setattr(names, "REMEMBERED", 0)

        assert seen_names() == ["stays"]

    def test_are_read_again_when_the_log_was_emptied_or_has_grown_by_much(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        execution("before")
        execution("newest")
        assert seen_names() == ["before", "newest"]
        BackgroundTask.objects.filter(task_name="newest").delete()
        assert seen_names() == ["before"]

        BackgroundTask.objects.all().delete()
        monkeypatch.setattr(names, "MOST_NEW", 1)
        execution("after")
        execution("last")

        assert seen_names() == ["after", "last"]
