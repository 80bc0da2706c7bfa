"""Every JSON example of the documented behaviour, run against real rows down to the mail."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from typing import Any

import pytest
from django.core.mail import EmailMultiAlternatives

from monitoring.core.messages import number
from monitoring.models import AlertEvent, MonitorRun, Notification
from tests import spec_examples
from tests.factories import NOW, ago, execution, superuser
from tests.gap.models import IngestorSession
from tests.shell.conftest import Monitor, each_source

# Each of them over every kind of task log.
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("source")]

# How another log gets along with a database is seen by the contracts.
source = each_source(pytest.mark.matrix, pytest.mark.any_database)

Mailbox = list[EmailMultiAlternatives]
Config = dict[str, dict[str, Any]]

SUPERUSERS = ["ada@example.com", "bob@example.com"]
QUICK = ("10.3", "10.4.2 bi-hourly", "10.5.3", "10.6.2")
"""Between them every key and several entries at once; the quick run has these alone."""
EXAMPLES = [
    pytest.param(config, id=name, marks=() if name in QUICK else pytest.mark.matrix)
    for name, config in spec_examples.EXAMPLES.items()
]


@pytest.fixture(autouse=True)
def _superusers(db: None) -> None:
    for address in SUPERUSERS:
        superuser(address)


def run(task_name: str, entry: dict[str, Any], status: str, **columns: Any) -> None:
    """Store an execution that an entry watches, with the context row it asks for."""
    if "context_type" in entry:
        session = IngestorSession.objects.create(ingestor_type=entry["context_type"])
        columns["context_id"] = str(session.pk)
    execution(task_name, status, **columns)


def recipients_of(entry: dict[str, Any]) -> list[str]:
    return entry.get("notify_to") or SUPERUSERS


def expected_mails(config: Config, subject: str) -> set[tuple[str, str]]:
    """Return (recipient, subject) of the mails that are due if every entry fails."""
    return {
        (address, subject.format(task_name=task_name))
        for task_name, entry in config.items()
        for address in recipients_of(entry)
    }


def sent(mailbox: Mailbox) -> set[tuple[str, str]]:
    assert all(len(mail.to) == 1 for mail in mailbox)
    return {(mail.to[0], mail.subject) for mail in mailbox}


def parts(mail: EmailMultiAlternatives) -> list[str]:
    """Return what a reader sees of the text and of the HTML part, each on one line."""
    page = str(mail.alternatives[0][0])
    visible = html.unescape(re.sub(r"<[^>]+>", " ", page.split("</head>")[1]))
    return [" ".join(text.split()) for text in (str(mail.body), visible)]


def entry_of(mail: EmailMultiAlternatives, config: Config) -> tuple[str, dict[str, Any]]:
    task_name = str(mail.subject).split()[1]
    return task_name, config[task_name]


def items(task_name: str, entry: dict[str, Any]) -> list[str]:
    """Return what 10.8.1 lists for every mail, the execution left out."""
    return [
        task_name,
        ", ".join(entry["expected_statuses"]),
        f"Last {number(entry.get('lookback_hours', 1))} hour(s)",
        "2026-03-10 12:00:00 UTC",
        *entry.get("dependent_tasks", []),
    ]


@pytest.mark.parametrize("config", EXAMPLES)
class TestEveryExample:
    def test_says_nothing_while_all_is_well(
        self, monitor: Monitor, mailoutbox: Mailbox, config: Config
    ) -> None:
        for task_name, entry in config.items():
            run(task_name, entry, "Completed")

        summary = monitor(config)

        assert (summary["checked"], summary["ok"]) == (len(config), len(config))
        assert not mailoutbox
        assert not AlertEvent.objects.exists()

    def test_accepts_each_of_its_expected_statuses(
        self, monitor: Monitor, mailoutbox: Mailbox, config: Config
    ) -> None:
        for task_name, entry in config.items():
            run(task_name, entry, entry["expected_statuses"][-1])

        assert monitor(config)["ok"] == len(config)

    def test_alerts_when_the_status_does_not_match(
        self, monitor: Monitor, mailoutbox: Mailbox, config: Config
    ) -> None:
        for task_name, entry in config.items():
            run(task_name, entry, "Stopped")

        monitor(config)

        wanted = expected_mails(config, "[ALERT] {task_name} Status Check Failed")
        assert sent(mailoutbox) == wanted
        assert len(mailoutbox) == len(wanted)

    def test_names_every_documented_item_of_a_mismatch(
        self, monitor: Monitor, mailoutbox: Mailbox, config: Config
    ) -> None:
        times = {"started": ago(minutes=20), "finished_at": ago(minutes=10)}
        for task_name, entry in config.items():
            run(task_name, entry, "Stopped", **times)

        monitor(config)

        for mail in mailoutbox:
            for part in parts(mail):
                for item in items(*entry_of(mail, config)):
                    assert item in part
                for item in ("Stopped", "2026-03-10 11:40:00 UTC", "2026-03-10 11:50:00 UTC"):
                    assert item in part

    def test_alerts_when_nothing_ran(
        self, monitor: Monitor, mailoutbox: Mailbox, config: Config
    ) -> None:
        monitor(config)

        wanted = expected_mails(config, "[ALERT] {task_name} Has Not Executed")
        assert sent(mailoutbox) == wanted
        assert len(mailoutbox) == len(wanted)

    def test_names_every_documented_item_of_a_missing_execution(
        self, monitor: Monitor, mailoutbox: Mailbox, config: Config
    ) -> None:
        monitor(config)

        for mail in mailoutbox:
            for part in parts(mail):
                for item in items(*entry_of(mail, config)):
                    assert item in part
                assert "No execution found" in part
                assert "did not execute" in part

    def test_warns_of_dependent_tasks_where_there_are_any(
        self, monitor: Monitor, mailoutbox: Mailbox, config: Config
    ) -> None:
        monitor(config)

        for mail in mailoutbox:
            _, entry = entry_of(mail, config)
            for part in parts(mail):
                assert ("warning: these tasks depend" in part.casefold()) == bool(
                    entry.get("dependent_tasks")
                )

    def test_looks_back_to_the_very_edge_of_its_window(
        self, monitor: Monitor, config: Config
    ) -> None:
        for task_name, entry in config.items():
            run(task_name, entry, "Completed", started=ago(hours=entry["lookback_hours"]))

        assert monitor(config)["ok"] == len(config)

    def test_does_not_look_further(
        self, monitor: Monitor, mailoutbox: Mailbox, config: Config
    ) -> None:
        for task_name, entry in config.items():
            before = ago(hours=entry["lookback_hours"], seconds=1)
            run(task_name, entry, "Completed", started=before)

        assert monitor(config)["failing"] == len(config)
        assert sent(mailoutbox) == expected_mails(config, "[ALERT] {task_name} Has Not Executed")

    def test_needs_the_exact_name(self, monitor: Monitor, config: Config) -> None:
        for task_name, entry in config.items():
            run(task_name.upper(), entry, "Completed")

        assert monitor(config)["failing"] == len(config)

    def test_alerts_at_every_check_and_never_of_a_recovery(
        self, monitor: Monitor, mailoutbox: Mailbox, config: Config
    ) -> None:
        monitor(config)
        monitor(config)
        for task_name, entry in config.items():
            run(task_name, entry, "Completed")
        monitor(config)

        wanted = expected_mails(config, "[ALERT] {task_name} Has Not Executed")
        assert sent(mailoutbox) == wanted
        assert len(mailoutbox) == 2 * len(wanted)
        assert not AlertEvent.objects.open().exists()

    def test_leaves_its_history(self, monitor: Monitor, config: Config) -> None:
        monitor(config)

        events = AlertEvent.objects.order_by("pk")
        assert [event.task_name for event in events] == list(config)
        for event in events:
            entry = config[event.task_name]
            assert event.expected_statuses == entry["expected_statuses"]
            assert event.lookback_hours == entry["lookback_hours"]
            assert event.dependent_tasks == entry.get("dependent_tasks", [])
            assert event.context_type == entry.get("context_type", "")
        assert MonitorRun.objects.get().failing == len(config)
        assert set(Notification.objects.values_list("state", flat=True)) == {"sent"}


class TestThePipeline:
    """Example 2: one task fails, those after it are judged by themselves (10.6.2)."""

    def test_only_what_failed_is_mailed(self, monitor: Monitor, mailoutbox: Mailbox) -> None:
        execution("data_collection", "Stopped")
        execution("data_processing", "Running")
        execution("data_export", "Completed", started=ago(hours=2, minutes=30))

        summary = monitor(spec_examples.EXAMPLE_10_6_2)

        assert (summary["ok"], summary["failing"]) == (2, 1)
        assert sent(mailoutbox) == {
            ("ops@example.com", "[ALERT] data_collection Status Check Failed")
        }

    def test_one_that_runs_too_early_in_the_pipeline_is_a_mismatch(
        self, monitor: Monitor, mailoutbox: Mailbox
    ) -> None:
        execution("data_collection", "Running")
        execution("data_processing", "Completed")
        execution("data_export", "Completed")

        monitor(spec_examples.EXAMPLE_10_6_2)

        (mail,) = mailoutbox
        assert "Running" in parts(mail)[0]
        assert "no finish recorded" in parts(mail)[0]


class TestTheContextExample:
    """Example 4: only the watched type of session counts (10.6.4, 10.11)."""

    @pytest.mark.parametrize(
        "config", [spec_examples.EXAMPLE_10_6_4, spec_examples.EXAMPLE_10_11_2]
    )
    def test_another_type_neither_hides_nor_alarms(
        self, monitor: Monitor, mailoutbox: Mailbox, config: Config
    ) -> None:
        other = IngestorSession.objects.create(ingestor_type="Daily Salient")
        run("ingestor_session", config["ingestor_session"], "Completed", started=ago(minutes=90))
        execution("ingestor_session", "Stopped", context_id=str(other.pk))

        assert monitor(config)["ok"] == 1
        assert not mailoutbox

    def test_only_another_type_means_it_has_not_executed(
        self, monitor: Monitor, mailoutbox: Mailbox
    ) -> None:
        other = IngestorSession.objects.create(ingestor_type="Daily Salient")
        execution("ingestor_session", "Completed", context_id=str(other.pk))

        monitor(spec_examples.EXAMPLE_10_6_4)

        assert sent(mailoutbox) == {
            ("weather-team@example.com", "[ALERT] ingestor_session Has Not Executed")
        }
        assert all("Hourly Tomorrow.io" in part for part in parts(mailoutbox[0]))


class TestTheWorkflow:
    """Monitor Daily Report Generation, from the first run to the mended one (10.13)."""

    def test_a_day_with_a_failure(self, monitor: Monitor, clock: Any, mailoutbox: Mailbox) -> None:
        config = spec_examples.EXAMPLE_10_13_1
        team = ["reports-team@example.com", "management@example.com"]
        start = NOW - timedelta(minutes=35)
        execution("generate_daily_report", "Completed", started=start)
        assert monitor(config)["ok"] == 1

        clock.shift(timedelta(days=1))
        broken = start + timedelta(days=1)
        execution(
            "generate_daily_report",
            "Stopped",
            started=broken,
            finished_at=broken + timedelta(minutes=4),
            errors="OperationalError: no route to host",
        )
        monitor(config)

        assert [mail.to for mail in mailoutbox] == [[address] for address in team]
        for part in parts(mailoutbox[0]):
            assert "2026-03-11 11:25:00 UTC" in part
            assert "2026-03-11 11:29:00 UTC" in part
            assert "send_report_emails" in part
            assert "update_dashboard" in part
            assert "OperationalError: no route to host" in part

        clock.shift(timedelta(minutes=30))
        execution("generate_daily_report", "Completed", started=broken + timedelta(minutes=40))
        assert monitor(config)["ok"] == 1
        assert len(mailoutbox) == 2

    def test_a_day_without_a_run(self, monitor: Monitor, clock: Any, mailoutbox: Mailbox) -> None:
        execution("generate_daily_report", "Completed", started=ago(minutes=35))
        clock.shift(timedelta(days=1))

        monitor(spec_examples.EXAMPLE_10_13_1)

        assert {subject for _, subject in sent(mailoutbox)} == {
            "[ALERT] generate_daily_report Has Not Executed"
        }


def test_the_call_from_the_shell_returns_something_to_print(
    monitor: Monitor, capsys: pytest.CaptureFixture[str]
) -> None:
    result = monitor(spec_examples.EXAMPLE_10_10_2)

    print(result)

    assert "test_task" in capsys.readouterr().out
    assert result["failures"][0]["current_status"] == "No execution found"
