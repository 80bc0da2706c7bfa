"""What the form says that a rule would have done, to whom, and what it never says."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from monitoring import periodic_tasks
from monitoring.admin import rule_backtest
from monitoring.models import AlertEvent, BackgroundTask, MonitorRule, MonitorRun, Notification
from tests.admin.conftest import client_of, staff
from tests.admin.data import HOSTILE, event, url
from tests.admin.test_rule_form import form
from tests.factories import NOW, ago, execution, rule
from tests.gap.models import IngestorSession

pytestmark = pytest.mark.django_db

EDITOR = ("add_monitorrule", "change_monitorrule", "view_monitorrule")
READER = (*EDITOR, "view_backgroundtask")


def daily(task_name: str = "hourly_data_sync", days: int = 61, **failed: str) -> list[Any]:
    """Store a run for each day, the latest yesterday; `day_3="Stopped"` for one that failed."""
    return [
        execution(
            task_name,
            failed.get(f"day_{day}", "Completed"),
            started=ago(days=day),
            finished_at=ago(days=day) + timedelta(minutes=10),
        )
        for day in range(days, 0, -1)
    ]


def slow(runs: list[Any], minutes: dict[int, float]) -> None:
    """Let the run of so many days ago take so long."""
    for day, took in minutes.items():
        run = runs[-day]
        run.finished_at = run.started_at + timedelta(minutes=took)
        run.save()


def ask(client: Client, row: MonitorRule | None = None, **typed: Any) -> dict[str, Any]:
    address = url(MonitorRule, "backtest") + (f"?rule={row.pk}" if row else "")
    with time_machine.travel(NOW, tick=False):
        response = client.post(address, form(**{"lookback_hours": "25"} | typed))
    assert response.status_code == 200
    answer: dict[str, Any] = response.json()
    return answer


def text(answer: dict[str, Any]) -> str:
    """Return the panel as one reads it."""
    return " ".join(re.sub(r"<[^>]+>", " ", answer["panel"]).split())


def compared(answer: dict[str, Any]) -> dict[str, list[str]]:
    """Return the table of counts, by the name of its column."""
    names = re.findall(r'<th scope="col">(.*?)</th>', answer["panel"])
    rows = re.findall(r'<th scope="row">.*?</th>(.*?)</tr>', answer["panel"])
    cells = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in rows]
    return {
        name: list(column) for name, column in zip(names, zip(*cells, strict=True), strict=True)
    }


class TestTheWords:
    def test_tell_events_failures_late_runs_and_messages(self, root: Client) -> None:
        daily(day_3="Stopped", day_7="Stopped")

        said = text(ask(root))

        assert said.startswith("Would have opened 2 events in 60 days: 2 failures; 4 messages.")
        assert "2026-03-07 12:10:00 Stopped, 2 messages, 1 d" in said

    def test_admit_what_the_log_does_not_cover(self, root: Client) -> None:
        daily(days=41)

        assert "; the log covers 41 days of these." in text(ask(root))

    def test_never_speak_of_no_events_where_there_is_no_data(self, root: Client) -> None:
        said = text(ask(root))

        assert said.startswith("Cannot be told: the log holds nothing of the last 60 days.")
        assert "no event" not in said
        assert "0" not in said.replace("60", "")

    def test_admit_what_was_left_out_because_there_is_more(
        self, root: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(rule_backtest, "MOST_EXECUTIONS", 30)
        daily()

        said = text(ask(root))

        assert "the log covers 30 days of these" in said
        assert "those before 2026-02-08 12:00:00 were left out" in said

    def test_rest_on_fewer_executions_where_the_rule_measures(
        self, root: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(rule_backtest, "MOST_MEASURED", 30)
        daily()

        assert "were left out" in text(ask(root, min_success_rate="90"))
        assert "were left out" not in text(ask(root))

    def test_are_escaped(self, root: Client) -> None:
        daily(HOSTILE)

        assert "<script>" not in ask(root, task_name=HOSTILE)["panel"]


class TestTheChecks:
    def test_come_as_often_as_beat_has_them(self, root: Client) -> None:
        periodic_tasks.install(20)

        assert "As if checked every 20 min, as it is scheduled." in text(ask(root))

    def test_are_assumed_if_none_is_scheduled(self, root: Client) -> None:
        said = "As if checked every 5 min, because no check is scheduled."

        assert said in text(ask(root))

    def test_are_assumed_for_who_may_not_view_periodic_tasks(self) -> None:
        periodic_tasks.install(20)

        assert "As if checked every 5 min. " in text(ask(client_of(staff("rita", *READER))))


class TestTheStoredRule:
    def test_stands_beside_the_edited_one(self, root: Client) -> None:
        daily()
        row = rule("hourly_data_sync", name="Data is synchronised", lookback_hours=25)

        answer = ask(root, row, lookback_hours="20")

        assert compared(answer) == {
            "Edited": ["60", "0", "59", "1", "119"],  # today's run is still to come
            "Stored": ["0", "0", "0", "0", "0"],
            "Suggested": ["0", "0", "0", "0", "0"],
        }
        assert answer["panel"].count('class="monitoring-axis"') == 2

    def test_is_told_of_with_no_number_where_the_log_holds_nothing(self, root: Client) -> None:
        row = rule("hourly_data_sync", name="Data is synchronised", lookback_hours=25)

        panel = ask(root, row, lookback_hours="20")["panel"]

        assert panel.count('<td rowspan="5">cannot be told</td>') == 2
        assert "<td>" not in panel.replace("<td></td>", "")

    def test_is_told_of_with_no_number_where_the_log_is_younger_than_it_looks_back(
        self, root: Client
    ) -> None:
        execution("other", started=ago(minutes=7))
        row = rule("hourly_data_sync", name="Data is synchronised", lookback_hours=25)

        answer = ask(root, row, lookback_hours="0.05")
        both_unknown = ask(root, row, lookback_hours="24")

        assert answer["panel"].count('<td rowspan="5">cannot be told</td>') == 1
        assert text(both_unknown).startswith("Cannot be told: the log covers 7 min of the last")
        assert both_unknown["panel"].count('<td rowspan="5">cannot be told</td>') == 2
        assert "<td>" not in both_unknown["panel"].replace("<td></td>", "")

    def test_is_not_replayed_if_nothing_that_matters_was_changed(self, root: Client) -> None:
        daily()
        row = rule("hourly_data_sync", name="Data", lookback_hours=25)

        assert "Stored" not in ask(root, row, description="Call them.")["panel"]

    def test_may_watch_another_task(self, root: Client) -> None:
        daily(day_3="Stopped")
        daily("other")
        row = rule("other", name="Other", lookback_hours=25)

        answer = ask(root, row)

        assert (compared(answer)["Edited"][0], compared(answer)["Stored"][0]) == ("1", "0")

    def test_that_is_broken_can_be_put_right(self, root: Client) -> None:
        daily()
        row = rule("hourly_data_sync", name="Data is synchronised")
        MonitorRule.objects.update(expected_statuses=["Complete"])

        assert "Stored" not in ask(root, row)["panel"]

    def test_stays_as_it_is(self, root: Client) -> None:
        daily()
        row = rule("hourly_data_sync", name="Data is synchronised", lookback_hours=25)

        ask(root, row, lookback_hours="20", alert_after="3")

        row.refresh_from_db()
        assert (row.lookback_hours, row.alert_after) == (25, 1)
        for model in (AlertEvent, Notification, MonitorRun):
            assert not model._default_manager.exists()


class TestTheLinks:
    def test_lead_to_the_execution_and_to_the_event_of_that_time(self, root: Client) -> None:
        runs = daily(day_3="Stopped")
        row = rule("hourly_data_sync", name="Data is synchronised", lookback_hours=25)
        really = event(row.task_name, rule=row, opened_at=ago(days=2.9), resolved_at=ago(days=2.5))

        panel = ask(root, row)["panel"]

        assert f'href="{url(BackgroundTask, "change", runs[-3].pk)}">execution' in panel
        assert f'href="{url(BackgroundTask, "change", runs[-2].pk)}">the run that came' in panel
        assert f'href="{url(AlertEvent, "change", really.pk)}">alert event of that time' in panel

    def test_to_events_are_for_those_who_may_view_them(self) -> None:
        daily(day_3="Stopped")
        row = rule("hourly_data_sync", name="Data is synchronised", lookback_hours=25)
        event(row.task_name, rule=row, opened_at=ago(days=2.9), resolved_at=ago(days=2.5))

        assert "alert event of that time" not in ask(client_of(staff("e", *READER)), row)["panel"]


class TestWhoMayNot:
    def test_view_executions_is_told_nothing(self, ed: Client) -> None:
        daily(day_3="Stopped")

        assert ask(ed) == {"panel": "", "suggests": False}
        page = ed.get(url(MonitorRule, "add")).content.decode()
        assert "monitoring-backtest" not in page
        assert (
            "monitoring-backtest"
            in client_of(staff("e", *READER)).get(url(MonitorRule, "add")).content.decode()
        )

    @pytest.mark.parametrize("codenames", [("view_monitorrule", "view_backgroundtask"), ()])
    def test_edit_rules_is_refused(self, codenames: tuple[str, ...]) -> None:
        client = client_of(staff("viewer", *codenames))

        assert client.post(url(MonitorRule, "backtest"), form()).status_code == 403

    def test_view_a_context_model_learns_nothing_of_its_rows(self) -> None:
        hourly = IngestorSession.objects.create(ingestor_type="Hourly")
        for day in range(30, 0, -1):
            execution("hourly_data_sync", started=ago(days=day), context_id=str(hourly.pk))
        user = staff("editor", *READER)
        typed = {"context_model": "gap.IngestorSession", "context_type": "Hourly"}

        assert ask(client_of(user), **typed)["panel"] == ""
        user.user_permissions.add(Permission.objects.get(codename="view_ingestorsession"))
        assert "no events in 60 days" in text(ask(client_of(user), **typed))

    def test_of_a_rule_that_is_gone_is_refused(self, root: Client) -> None:
        assert root.post(url(MonitorRule, "backtest") + "?rule=99", form()).status_code == 403


def test_a_wrong_value_is_said_by_the_preview_alone(root: Client) -> None:
    daily()

    assert ask(root, lookback_hours="0")["panel"] == ""


def test_a_context_that_cannot_be_applied_is_said(root: Client) -> None:
    daily()
    row = rule("hourly_data_sync", name="Data is synchronised", lookback_hours=25)
    gone = {"context_model": "gap.Gone", "context_field": "x", "context_type": "y"}
    MonitorRule.objects.update(**gone)

    assert "is not an installed model" in text(ask(root, row, **gone))


class TestTheSuggestion:
    def test_fills_the_fields(self, root: Client) -> None:
        daily()

        answer = ask(root, lookback_hours="20")

        assert answer["suggests"]
        assert 'data-lookback_hours="24" data-alert_after="1">Use 24 h</button>' in answer["panel"]
        assert "24 h is the shortest window without a false alarm in this time." in text(answer)
        assert "It usually runs again after 1 d." in text(answer)

    def test_needs_no_button_where_the_rule_has_it(self, root: Client) -> None:
        daily()

        answer = ask(root, lookback_hours="24")

        assert not answer["suggests"]
        assert "<button" not in answer["panel"]
        assert "This is the shortest window without a false alarm" in text(answer)

    def test_names_the_checks_if_it_takes_more_than_one(self, root: Client) -> None:
        daily()

        answer = ask(root, lookback_hours="20", while_running="judge")

        assert 'data-alert_after="3">Use 24 h and 3 checks</button>' in answer["panel"]

    @pytest.mark.parametrize(
        ("delay", "hours", "said"),
        [
            ("", "25", "at most 20 min late"),
            ("0.25", "24", "3 times nothing ran for longer than 24.25 h: those stay alerts."),
            ("junk", "25", "at most 20 min late"),
        ],
    )
    def test_follows_the_delay_that_is_chosen(
        self, root: Client, delay: str, hours: str, said: str
    ) -> None:
        daily()
        for late in BackgroundTask.objects.filter(
            started_at__in=[ago(days=d) for d in (9, 19, 29)]
        ):
            late.started_at += timedelta(minutes=20)
            late.finished_at += timedelta(minutes=20)
            late.save()

        answer = ask(root, lookback_hours="20", backtest_delay=delay)

        assert f">Use {hours} h</button>" in answer["panel"]
        assert said in text(answer)

    def test_holds_runs_enough_for_a_success_rate(self, root: Client) -> None:
        daily()

        answer = ask(root, min_success_rate="90")

        assert ">Use 241 h</button>" in answer["panel"]
        said = "It holds 10 runs, so that failing as often as usual is no low success rate."
        assert said in text(answer)
        assert "low success rate" not in text(ask(root))

    def test_fills_the_limit_on_durations(self, root: Client) -> None:
        slow(daily(), {3: 19, 5: 40})

        answer = ask(root, max_duration_factor="1.5")

        assert 'data-max_duration_factor="2">Use 2 times</button>' in answer["panel"]
        assert (
            "2 times what is usual is the lowest limit on its duration without a false alarm. "
            "1 run took more than three times what is usual: that stays an alert."
        ) in text(answer)

    def test_needs_no_button_where_the_rule_has_that_limit(self, root: Client) -> None:
        slow(daily(), {3: 19})

        answer = ask(root, max_duration_factor="2", lookback_hours="24")

        assert "<button" not in answer["panel"]
        assert "2 times what is usual is the lowest limit" in text(answer)

    def test_says_nothing_of_a_limit_that_the_rule_has_not(self, root: Client) -> None:
        slow(daily(), {3: 19})

        assert "times what is usual" not in text(ask(root))

    def test_is_none_for_a_task_that_is_new_in_an_old_log(self, root: Client) -> None:
        execution("heartbeat", started=ago(days=60))
        daily(days=9)

        assert "No window is suggested: the log covers 9 days; it takes 14 days to tell." in text(
            ask(root)
        )

    def test_says_why_there_is_none(self, root: Client) -> None:
        daily(days=5)

        assert "No window is suggested: the log covers 5 days; it takes 14 days to tell." in text(
            ask(root)
        )


def test_it_costs_the_same_with_20_executions_and_with_2000(root: Client) -> None:
    row = rule("hourly_data_sync", name="Data is synchronised", lookback_hours=25)

    def cost() -> int:
        with CaptureQueriesContext(connection) as queries:
            ask(root, row, lookback_hours="20")
        # Checking the form asks the database for each constraint of a rule.
        return sum(" FROM " in query["sql"] for query in queries)

    daily(days=20)
    cost()
    few = cost()
    BackgroundTask.objects.bulk_create(
        BackgroundTask(
            task_id=f"many-{n}",
            task_name="hourly_data_sync",
            status="Stopped" if n % 3 else "Completed",
            started_at=ago(minutes=40 * n),
            finished_at=ago(minutes=40 * n - 5),
        )
        for n in range(2000)
    )
    event("hourly_data_sync", rule=row)

    assert cost() == few
    assert few <= 15


class TestTheTimeline:
    def look(self, client: Client, **query: Any) -> str:
        with time_machine.travel(NOW, tick=False):
            response = client.get(url(MonitorRule, "timeline"), query)
        assert response.status_code == 200
        return str(response.content.decode())

    def address(self, answer: dict[str, Any]) -> str:
        (found,) = re.findall(r'<a href="([^"]+)">On the timeline', answer["panel"])
        return str(found).replace("&amp;", "&")

    def test_draws_the_stored_rule_and_the_edited_one(self, root: Client) -> None:
        daily(days=11, day_3="Stopped")
        row = rule("hourly_data_sync", name="Data is synchronised", lookback_hours=25)

        address = self.address(ask(root, row, lookback_hours="20"))
        with time_machine.travel(NOW, tick=False):
            page = root.get(address).content.decode()

        for lane in ("Stored rule", "Edited rule"):
            assert f'y="22">{lane}</text>' in page
        lines = re.findall(r"<td>((?:Stored|Edited) rule)</td><td>.*?<a[^>]*>(.*?)</a>", page)
        assert ("Stored rule", "Stopped, 2 messages, 1 d") in lines
        late = "No execution found, a late run, 2 messages, 4 h 5 min"
        assert lines.count(("Edited rule", late)) == 8
        assert '<input type="hidden" name="lookback_hours" value="20">' in page

    def test_is_told_of_every_limit_that_was_typed(self, root: Client) -> None:
        daily(days=11)

        address = self.address(ask(root, max_duration_factor="3", min_success_rate="90"))

        assert "max_duration_factor=3" in address
        assert "min_success_rate=90" in address

    def test_draws_a_new_rule_alone(self, root: Client) -> None:
        daily(days=11)

        with time_machine.travel(NOW, tick=False):
            page = root.get(self.address(ask(root, lookback_hours="20"))).content.decode()

        assert "Edited rule</text>" in page
        assert "Stored rule" not in page

    @pytest.mark.parametrize(
        ("codenames", "hours"),
        [
            (("view_monitorrule", "view_backgroundtask"), "20"),
            (EDITOR, "20"),
            (READER, "0"),
        ],
        ids=["no editor", "no reader of executions", "no rule"],
    )
    def test_is_the_usual_one_for_others(self, codenames: tuple[str, ...], hours: str) -> None:
        daily(days=11)
        typed = {**form(), "lookback_hours": hours}

        page = self.look(client_of(staff("s", *codenames)), **typed)

        assert "Edited rule" not in page
