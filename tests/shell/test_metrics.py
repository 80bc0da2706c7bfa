"""What Prometheus is told, and who is told it."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django_celery_beat.models import IntervalSchedule, PeriodicTask
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as read_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as read_text

from monitoring import exposition, metrics
from monitoring.core.keys import argument_key
from monitoring.models import RuleState
from monitoring.system_checks import check_metrics
from tests.admin.data import event, message, run, state_of, worker
from tests.factories import NOW, ago, execution, rule
from tests.sources import Source

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

ADDRESS = "/monitoring/metrics"
TOKEN = "open sesame"
MOST_QUERIES = 20


@pytest.fixture(autouse=True)
def _token(settings: Any) -> None:
    settings.MONITORING = settings.MONITORING | {"METRICS_TOKEN": TOKEN}


def ask(token: str = TOKEN, method: str = "get", **headers: str) -> Any:
    known = {"Authorization": f"Bearer {token}"}
    return getattr(Client(), method)(ADDRESS, headers=known | headers)


def scraped() -> dict[str, dict[tuple[str, ...], float]]:
    """Return what Prometheus would read, by name without its prefix and by labels."""
    return {
        family.name.removeprefix("task_monitoring_"): {
            tuple(sample.labels.values()): sample.value for sample in family.samples
        }
        for family in read_text(ask().content.decode())
    }


class TestTheNumbers:
    def test_of_rules(self) -> None:
        for number, verdict in enumerate(("ok", "ok", "status_mismatch", "unknown")):
            state_of(rule(f"task-{number}"), verdict)
        state_of(rule("off", enabled=False), "no_execution")
        rule("asleep", snoozed_until=ago(hours=-1))

        found = scraped()

        assert found["rules"] == {
            ("ok",): 2,
            ("failing",): 1,
            ("unknown",): 1,
            ("in_progress",): 0,
            ("never_checked",): 1,
            ("disabled",): 1,
        }
        assert found["rules_snoozed"] == {(): 1}

    def test_of_json_arguments(self) -> None:
        schedule = IntervalSchedule.objects.create(every=5, period="minutes")
        expected = {"expected_statuses": ["Completed"]}
        PeriodicTask.objects.create(
            name="Documented",
            task="monitor_task_status",
            interval=schedule,
            args=json.dumps([{"sync": expected, "report": expected}]),
        )
        for task_name in ("sync", "no longer listed"):
            RuleState.objects.create(
                key=argument_key("Documented", task_name, None), task_name=task_name, verdict="ok"
            )

        found = {state: n for (state,), n in scraped()["argument_entries"].items() if n}

        assert found == {"ok": 1, "never_checked": 1}

    def test_of_events(self) -> None:
        event("sync", verdict="no_execution")
        event("report", verdict="no_execution", acknowledged_at=NOW)
        event("over", resolved_at=NOW)

        found = scraped()

        assert found["open_alert_events"][("no_execution",)] == 2
        assert sum(found["open_alert_events"].values()) == 2
        assert found["open_alert_events_acknowledged"] == {(): 1}

    def test_of_checks(self) -> None:
        run(started_at=ago(hours=2), finished_at=ago(hours=1))
        run(started_at=ago(minutes=3), finished_at=ago(minutes=2))
        run(state="failed")
        run(state="running", finished_at=None)
        run(rule_set="rules with name sync rule", started_at=ago(hours=3), finished_at=NOW)

        found = scraped()

        at = ago(minutes=3).timestamp()
        assert found["last_complete_check_timestamp_seconds"] == {(): at}
        assert found["last_complete_check_duration_seconds"] == {(): 60}
        assert found["recent_checks"] == {("running",): 1, ("complete",): 1, ("failed",): 1}

    def test_of_messages(self) -> None:
        message(None, state="pending", created_at=ago(minutes=10))
        message(None, state="sending", created_at=ago(minutes=5))
        digest = message(None, state="pending", created_at=ago(minutes=20))
        message(None, state="pending", created_at=ago(minutes=30), digest=digest)
        message(None, state="failed", next_attempt_at=ago(minutes=59))
        message(None, state="failed", next_attempt_at=ago(minutes=61))

        found = scraped()

        assert found["outbox_messages"] == {(): 3}
        assert found["outbox_oldest_message_age_seconds"] == {(): 1200}
        assert found["recent_messages"] == {("sent",): 0, ("failed",): 1, ("suppressed",): 0}

    def test_of_executions(self, source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(metrics, "MOST_EXECUTIONS", 4)
        for status in ("Completed", "Stopped", "Stopped", "Running", "Completed"):
            execution("sync", status, last_update=ago(minutes=5))
        execution("old", started=ago(hours=3), last_update=ago(hours=3))

        found = scraped()

        if source.settings.get("TASK_LOG") == "core.JobRun":  # its keys do not count up
            assert "recent_executions" not in found
            return
        counted = {status: n for (status,), n in found["recent_executions"].items() if n}
        assert counted == {"completed": 1, "stopped": 1, "running": 1}
        assert found["oldest_execution_timestamp_seconds"] == {(): ago(minutes=5).timestamp()}

    def test_of_workers(self) -> None:
        worker("celery@lives")
        worker("celery@silent", seen_at=ago(minutes=30))
        worker("celery@ended", seen_at=ago(minutes=30), stopped_at=ago(minutes=30))

        assert scraped()["workers"] == {("alive",): 1, ("silent",): 1}

    def test_name_no_task_no_rule_and_nobody(self) -> None:
        watched = rule("secret_task", name="secret rule")
        state_of(watched, "status_mismatch")
        message(event("secret_task", rule=watched), recipient="secret@example.com", state="failed")
        execution("secret_task", "Stopped", worker="secret-host", queue="secret-queue")
        worker("secret-node")

        assert "secret" not in ask().content.decode()

    def test_cost_the_same_queries_whatever_there_is(self) -> None:
        def cost() -> int:
            with CaptureQueriesContext(connection) as queries:
                ask()
            return len(queries)

        ask()
        before = cost()
        for number in range(30):
            state_of(rule(f"task-{number}"), "ok")
            execution(f"task-{number}")
            message(event(f"task-{number}"), state="pending")
            run()
            worker(f"celery@{number}")

        # One more while no check was ever completed.
        assert cost() <= before <= MOST_QUERIES


class TestTheForm:
    def test_is_what_prometheus_reads(self) -> None:
        answer = ask()

        assert answer.status_code == 200
        assert answer["Content-Type"].startswith("text/plain; version=")
        assert "no-store" in answer["Cache-Control"]
        families = list(read_text(answer.content.decode()))
        assert len(families) >= 15
        for family in families:
            assert family.type == "gauge"
            assert family.documentation.endswith(".")
            assert family.name.startswith("task_monitoring_")
            # These ends promise a counter or a histogram.
            assert not family.name.endswith(("_total", "_count", "_sum", "_bucket", "_info"))

    def test_is_openmetrics_if_that_is_asked_for(self) -> None:
        answer = ask(Accept="application/openmetrics-text; version=1.0.0")

        assert answer["Content-Type"].startswith("application/openmetrics-text")
        assert len(list(read_openmetrics(answer.content.decode()))) >= 15

    def test_tells_nothing_of_the_process_that_answers(self) -> None:
        assert "python_info" not in ask().content.decode()


class TestTheAddress:
    @pytest.mark.parametrize("token", ["", "open sesam", "open sesame ", "öffne"])
    def test_answers_nobody_who_does_not_know_the_token(self, token: str) -> None:
        assert ask(token.encode().decode("latin-1")).status_code == 404

    def test_answers_nobody_without_a_header(self) -> None:
        assert Client().get(ADDRESS).status_code == 404

    def test_does_not_take_the_token_of_the_health_page(self, settings: Any) -> None:
        settings.MONITORING = settings.MONITORING | {"HEALTH_TOKEN": "other"}

        assert ask("other").status_code == 404

    def test_is_closed_until_a_token_is_set(self, settings: Any) -> None:
        settings.MONITORING = settings.MONITORING | {"METRICS_TOKEN": ""}

        assert ask("").status_code == 404
        assert ask().status_code == 404

    def test_answers_only_to_reading(self) -> None:
        assert ask(method="head").status_code == 200
        assert ask(method="post").status_code == 405

    def test_is_found_with_a_slash_at_its_end_and_without(self) -> None:
        header = {"Authorization": f"Bearer {TOKEN}"}

        answers = [
            Client().get(f"/monitoring/metrics{slash}", headers=header) for slash in ("/", "")
        ]

        assert [answer.status_code for answer in answers] == [200, 200]
        assert reverse("monitoring:metrics") == ADDRESS

    def test_says_that_the_database_is_away(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(_: object) -> None:
            raise OperationalError("secret host does not answer")

        monkeypatch.setattr(metrics, "read", fail)

        answer = ask()

        assert answer.status_code == 503
        assert answer.content == b"the database does not answer\n"


class TestWithoutItsLibrary:
    @pytest.fixture(autouse=True)
    def _missing(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(sys.modules, "prometheus_client", None)
            importlib.reload(exposition)
            yield
        importlib.reload(exposition)

    def test_one_line_says_what_is_missing(self) -> None:
        answer = ask()

        assert answer.status_code == 501
        assert answer.content.decode() == (
            "prometheus-client is not installed: pip install 'django-task-monitoring[prometheus]'\n"
        )

    def test_that_is_nobody_elses_business(self) -> None:
        assert ask("guess").status_code == 404

    def test_a_system_check_says_so_if_a_token_is_set(self, settings: Any) -> None:
        (found,) = check_metrics()

        assert found.id == "monitoring.W111"
        assert "pip install 'django-task-monitoring[prometheus]'" in str(found.hint)

        settings.MONITORING = settings.MONITORING | {"METRICS_TOKEN": ""}

        assert check_metrics() == []


def test_with_its_library_no_system_check_complains() -> None:
    assert check_metrics() == []
