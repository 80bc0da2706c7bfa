"""Who watches the watcher: the page, the command, and the call to a switch outside."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from django.core.management import call_command
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from monitoring import doors, health
from monitoring.conf import read_settings
from monitoring.models import MonitorRun, Notification
from monitoring.tasks import deliver_notifications, monitor_task_status
from tests.factories import NOW, ago, execution, rule

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

ADDRESS = "/monitoring/health/"
TOKEN = "open sesame"


def ask(token: str = TOKEN, method: str = "get") -> Any:
    return getattr(Client(), method)(ADDRESS, headers={"Authorization": f"Bearer {token}"})


def checked(minutes: float = 1, rule_set: str = "all rules") -> MonitorRun:
    return MonitorRun.objects.create(
        rule_set=rule_set, state="complete", started_at=ago(minutes=minutes)
    )


def scheduled(name: str, args: str = "[]", **columns: Any) -> PeriodicTask:
    """Store a periodic task that asks for a check every hour, and has done so lately."""
    hourly, _ = IntervalSchedule.objects.get_or_create(every=1, period="hours")
    values = {"task": "monitor_task_status", "interval": hourly, "last_run_at": ago(minutes=3)}
    return PeriodicTask.objects.create(name=name, args=args, **(values | columns))


def owed(minutes: float) -> Notification:
    return Notification.objects.create(
        kind="alert", recipient="ops@example.com", subject="x", created_at=ago(minutes=minutes)
    )


class TestThePage:
    @pytest.fixture(autouse=True)
    def _token(self, settings: Any) -> None:
        settings.MONITORING = settings.MONITORING | {"HEALTH_TOKEN": TOKEN}

    def test_is_found_with_a_slash_at_its_end_and_without(self) -> None:
        checked()
        header = {"Authorization": f"Bearer {TOKEN}"}

        answers = [
            Client().get(f"/monitoring/health{slash}", headers=header) for slash in ("/", "")
        ]

        assert [answer.status_code for answer in answers] == [200, 200]
        assert reverse("monitoring:health") == ADDRESS

    def test_says_that_all_is_well(self) -> None:
        rule("sync")
        checked()
        execution("sync", last_update=ago(minutes=2))

        answer = ask()

        assert answer.status_code == 200
        assert answer["Content-Type"] == "application/json"
        assert "no-store" in answer["Cache-Control"]
        assert answer.json() == {
            "status": "ok",
            "checked_at": NOW.isoformat(),
            "problems": [],
            "rules": 1,
            "last_complete_check": ago(minutes=1).isoformat(),
            "last_beat": None,
            "last_recorded": ago(minutes=2).isoformat(),
            "owed": 0,
            "oldest_owed": None,
        }

    def test_says_what_is_wrong(self) -> None:
        rule("sync")
        checked(minutes=90)
        owed(minutes=45)

        answer = ask()

        assert answer.status_code == 503
        assert answer.json()["status"] == "failing"
        assert {one["name"] for one in answer.json()["problems"]} == {
            "checks",
            "schedule",
            "outbox",
        }

    def test_says_that_the_database_is_away(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(_: object) -> None:
            raise OperationalError("secret host does not answer")

        monkeypatch.setattr(health, "look", fail)

        answer = ask()

        assert answer.status_code == 503
        assert "secret" not in answer.content.decode()

    def test_measures_by_the_schedule_of_the_checks(self) -> None:
        daily = IntervalSchedule.objects.create(every=1, period="days")
        PeriodicTask.objects.create(
            name="Checks", task="monitor_task_status", interval=daily, last_run_at=ago(hours=30)
        )
        rule("sync")
        checked(minutes=30 * 60)

        assert ask().status_code == 200

    def test_a_check_of_one_rule_does_not_make_a_dead_monitor_well(self, old_log: None) -> None:
        rule("sync")
        execution("sync")
        checked(minutes=90)

        doors.check([], {"rules": ["sync rule"]})

        answer = ask()
        assert answer.status_code == 503
        assert answer.json()["last_complete_check"] == ago(minutes=90).isoformat()
        text = answer.json()["problems"][0]["text"]
        assert text == "the last complete check of all rules began 1 h 30 min ago"

    def test_a_check_of_json_arguments_does_not_stand_for_all_rules(self) -> None:
        rule("sync")
        checked(minutes=90)
        scheduled("Hourly", '[{"export": {"expected_statuses": ["Completed"]}}]')
        checked(rule_set="JSON arguments of Hourly")

        assert [one["name"] for one in ask().json()["problems"]] == ["checks", "schedule"]

    def test_json_arguments_alone_are_watched_by_their_own_checks(self) -> None:
        scheduled("Hourly", '[{"export": {"expected_statuses": ["Completed"]}}]')
        checked(rule_set="JSON arguments of Hourly", minutes=70)
        assert ask().json()["last_complete_check"] == ago(minutes=70).isoformat()
        assert ask().status_code == 200

        MonitorRun.objects.update(started_at=ago(hours=3))

        text = ask().json()["problems"][0]["text"]
        assert text == "the last complete check of JSON arguments of Hourly began 3 h 0 min ago"

    def test_rules_that_are_asked_for_by_name_are_watched_by_those_checks(self) -> None:
        rule("sync")
        scheduled("Some", kwargs='{"rules": ["sync rule"]}')
        checked(rule_set="rules with name sync rule")
        assert ask().status_code == 200

        MonitorRun.objects.update(started_at=ago(hours=3))

        assert ask().status_code == 503

    def test_what_was_scheduled_just_now_may_take_its_time(self) -> None:
        scheduled("Hourly", '[{"export": {"expected_statuses": ["Completed"]}}]', last_run_at=None)

        assert ask().status_code == 200

    def test_what_was_checked_by_a_clock_that_was_ahead_counts_for_nothing(self) -> None:
        rule("sync")
        checked(minutes=-60 * 24)

        assert ask().status_code == 503

    @pytest.mark.parametrize("token", ["", "open sesam", "open sesame ", "öffne"])
    def test_answers_nobody_who_does_not_know_the_token(self, token: str) -> None:
        assert ask(token.encode().decode("latin-1")).status_code == 404

    def test_answers_nobody_without_a_header(self) -> None:
        assert Client().get(ADDRESS).status_code == 404

    def test_answers_only_to_reading(self) -> None:
        assert ask(method="head").status_code == 200
        assert ask(method="post").status_code == 405

    def test_is_closed_until_a_token_is_set(self, settings: Any) -> None:
        settings.MONITORING = settings.MONITORING | {"HEALTH_TOKEN": ""}

        assert ask("").status_code == 404
        assert ask().status_code == 404

    def test_costs_the_same_queries_whatever_there_is(self) -> None:
        def cost() -> int:
            with CaptureQueriesContext(connection) as queries:
                ask()
            return len(queries)

        ask()
        before = cost()
        for number in range(30):
            rule(f"task-{number}")
            scheduled(f"Check {number}", '[{"export": {"expected_statuses": ["Completed"]}}]')
            checked(rule_set=f"JSON arguments of Check {number}")
            checked()
            owed(minutes=5)

        assert cost() <= before


class TestTheCommand:
    def run(self, *options: str) -> int:
        with pytest.raises(SystemExit) as ended:
            call_command("monitor", "health", *options)
        return int(ended.value.code or 0)

    def test_ends_with_0_if_all_is_well(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert self.run() == 0
        assert capsys.readouterr().out == "ok; 0 messages owed\n"

    def test_ends_with_1_and_says_what_is_wrong(self, capsys: pytest.CaptureFixture[str]) -> None:
        owed(minutes=45)

        assert self.run() == 1
        assert "1 message is still owed, the oldest for 45 min" in capsys.readouterr().out

    def test_is_json_if_asked(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert self.run("--json") == 0
        assert json.loads(capsys.readouterr().out)["status"] == "ok"


class TestTheHeartbeat:
    @pytest.fixture
    def calls(self, settings: Any) -> Iterator[list[str]]:
        """A switch outside that counts who calls it."""
        seen: list[str] = []

        class Switch(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                seen.append(self.path)
                if "rubbish" in self.path:
                    self.wfile.write(b"no HTTP at all\r\n\r\n")
                    return
                self.send_response(404 if "gone" in self.path else 200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        server = HTTPServer(("127.0.0.1", 0), Switch)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}/ping"
        settings.MONITORING = settings.MONITORING | {"HEARTBEAT_URL": address}
        yield seen
        server.shutdown()
        server.server_close()
        thread.join()

    def test_is_sent_after_a_complete_check(self, calls: list[str]) -> None:
        checked()

        assert doors.send_heartbeat()

        assert calls == ["/ping"]

    def test_is_not_sent_while_anything_is_owed(self, calls: list[str]) -> None:
        checked()
        owed(minutes=1)

        assert not doors.send_heartbeat()

        assert calls == []

    def test_is_not_sent_while_checks_are_missing(self, calls: list[str]) -> None:
        rule("sync")
        checked(minutes=90)

        assert not doors.send_heartbeat()

        assert calls == []

    def test_is_not_needed(self, settings: Any) -> None:
        assert not doors.send_heartbeat()

    @pytest.mark.parametrize("path", ["/gone", "://nowhere"])
    def test_that_is_not_taken_costs_nothing_and_names_no_address(
        self, calls: list[str], settings: Any, caplog: pytest.LogCaptureFixture, path: str
    ) -> None:
        address = settings.MONITORING["HEARTBEAT_URL"].replace("/ping", path)
        settings.MONITORING = settings.MONITORING | {"HEARTBEAT_URL": address}

        assert not doors.send_heartbeat()

        assert "the heartbeat was not taken" in caplog.text
        assert address not in caplog.text

    def test_that_is_answered_with_rubbish_costs_nothing(
        self, calls: list[str], settings: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        address = settings.MONITORING["HEARTBEAT_URL"].replace("/ping", "/rubbish")
        settings.MONITORING = settings.MONITORING | {"HEARTBEAT_URL": address}

        assert not doors.send_heartbeat()

        assert calls == ["/rubbish"]
        assert "the heartbeat was not taken: BadStatusLine" in caplog.text

    def test_costs_a_worker_nothing_while_the_database_is_away(
        self, calls: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(_: object) -> None:
            raise OperationalError("gone")

        monkeypatch.setattr(health, "look", fail)

        assert not doors.send_heartbeat()

        assert calls == []

    def test_is_sent_by_a_worker_when_the_check_or_the_delivery_is_done(
        self, calls: list[str], monkeypatch: pytest.MonkeyPatch, old_log: None
    ) -> None:
        rule("sync")
        execution("sync", started=NOW - timedelta(minutes=1))
        monkeypatch.setattr(deliver_notifications, "apply_async", lambda **_: None)

        for task in (monitor_task_status, deliver_notifications):
            task.push_request(id="1", called_directly=False)
            try:
                task.run()
            finally:
                task.pop_request()

        assert len(calls) == 2

    def test_is_sent_by_the_command(self, calls: list[str]) -> None:
        with pytest.raises(SystemExit):
            call_command("monitor", "check")

        assert calls == ["/ping"]

    def test_address_must_be_one(self) -> None:
        _, complaints = read_settings({"HEARTBEAT_URL": "file:///etc/passwd"})

        assert complaints == [
            "HEARTBEAT_URL must start with https:// or http://, got something else"
        ]
