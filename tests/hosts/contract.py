"""What every host can rely on, whatever its task log: the tests that all of them inherit."""

from __future__ import annotations

import json
import re
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from tests import spec_examples
from tests.hosts.documented_snippets import DEBUG_TEST
from tests.hosts.handbook import section
from tests.hosts.host import Host
from tests.mail_server import Moody

INSIDE = Path(__file__).with_name("inside")
ALICE = "alice@example.com"
RECORDED = ("backgroundtask", "workerheartbeat")
COUNT = """
import json
from monitoring.models import BackgroundTask
from monitoring.tasklogs.source import task_log
rows = task_log().model.objects.filter(task_name="host.break_down")
print(json.dumps([rows.count(), BackgroundTask.objects.count()]))
"""


def create_alice(host: Host) -> None:
    host.shell(
        "from django.contrib.auth import get_user_model as users;"
        f"users().objects.create_superuser('alice', '{ALICE}', 'secret')"
    )


class HostContract:
    """Subclasses say what differs; their module has the fixture `host`."""

    keeps_own_log = False
    has_sessions = True
    """Whether the context model of the documented examples is there."""
    monitor_module = "monitoring.tasks"
    """Where people import the task from."""

    def test_has_the_app_from_the_wheel_and_passes_every_check(self, host: Host) -> None:
        place = host.shell("import monitoring; print(monitoring.__file__)")

        assert Path(place.strip()).is_relative_to(host.environment.folder)
        assert "no issues" in host.manage("check", "--database", "default")
        assert "No changes detected" in host.manage("makemigrations", "--check", "--dry-run")

    def test_judges_every_documented_example_over_its_own_log(
        self, host: Host, post_office: Moody
    ) -> None:
        (host.folder / "examples.json").write_text(json.dumps(spec_examples.EXAMPLES))

        lines = host.shell((INSIDE / "examples.py").read_text()).splitlines()

        answers = {(one["example"], one["situation"]): one for one in map(json.loads, lines)}
        assert len(answers) == 3 * len(spec_examples.EXAMPLES)
        due: list[tuple[str, str]] = []
        for (name, situation), answer in answers.items():
            config = spec_examples.EXAMPLES[name]
            if not self.has_sessions and self.needs_sessions(config):
                assert "gap.models.IngestorSession" in answer["error"]
                continue
            assert answer == {
                "example": name,
                "situation": situation,
                "tasks": len(config),
                "checked": len(config),
                "ok": len(config) if situation == "Completed" else 0,
                "failing": 0 if situation == "Completed" else len(config),
                "unknown": 0,
            }
            due += self.mails(config, situation)
        sent = [(str(one["To"]), str(one["Subject"])) for one in post_office.messages]
        assert sorted(sent) == sorted(due)

    @staticmethod
    def needs_sessions(config: dict[str, dict[str, Any]]) -> bool:
        return any("context_model" in entry for entry in config.values())

    @staticmethod
    def mails(config: dict[str, dict[str, Any]], situation: str) -> list[tuple[str, str]]:
        """Return (recipient, subject) of each mail that one example owes."""
        subject = {
            "": "[ALERT] {} Has Not Executed",
            "Stopped": "[ALERT] {} Status Check Failed",
        }.get(situation)
        return [
            (address, subject.format(task_name))
            for task_name, entry in config.items()
            if subject
            for address in entry.get("notify_to", [ALICE])
        ]

    def test_answers_the_documented_debug_test_from_a_shell(
        self, host: Host, post_office: Moody
    ) -> None:
        printed = host.shell(DEBUG_TEST.replace("gap.tasks.monitoring", self.monitor_module))

        assert "'task_name': 'test_task', 'verdict': 'no_execution'" in printed
        assert "'checked': 1, 'ok': 0, 'failing': 1" in printed
        (mail,) = post_office.messages
        assert mail["To"] == ALICE
        assert mail["Subject"] == "[ALERT] test_task Has Not Executed"
        assert "Last 24 hour(s)" in mail.get_body(("plain",)).get_content()

    def test_mails_when_a_task_raises_in_a_real_worker(
        self, host: Host, failure: EmailMessage
    ) -> None:
        assert failure["Subject"] == "[ALERT] host.break_down Status Check Failed"
        text = failure.get_body(("plain",)).get_content()
        assert text.startswith("host.break_down is Stopped")
        assert "no figures for <North>" in text
        html = failure.get_body(("html",)).get_content()
        assert "host.break_down" in html
        assert "<North>" not in html

    def test_records_no_execution_twice(self, host: Host, failure: EmailMessage) -> None:
        in_log, in_ours = json.loads(host.shell(COUNT))

        assert in_log == 1
        assert in_ours == (1 if self.keeps_own_log else 0)

    def test_opens_the_pages_that_it_has_to_a_superuser(
        self, host: Host, failure: EmailMessage
    ) -> None:
        pages = json.loads(host.shell((INSIDE / "pages.py").read_text()))

        of_the_recorder = {pages.pop(f"/admin/monitoring/{name}/") for name in RECORDED}
        assert of_the_recorder == {200 if self.keeps_own_log else 403}
        assert "/admin/monitoring/monitorrule/add/" in pages
        assert any(re.fullmatch(r"/admin/monitoring/alertevent/\d+/change/", one) for one in pages)
        assert set(pages.values()) == {200}

    def test_works_without_the_app_again(self, host: Host, tmp_path: Path) -> None:
        host = host.copied(tmp_path / "project")
        drop, uninstall = [
            one
            for one in section("docs/moving.md", "How to remove it again")
            if one.language == "sh"
        ]
        try:
            host.follow([drop])
            host.restore()
            host.follow([uninstall])

            assert "no issues" in host.said["python manage.py check"]
            assert "No migrations to apply" in host.manage("migrate")
            assert "No changes detected" in host.manage("makemigrations", "--check", "--dry-run")
            host.shell("import importlib.util as u; assert u.find_spec('monitoring') is None")
            self.acts_as_before(host)
        finally:
            host.environment.pip("install", "django-task-monitoring")

    def acts_as_before(self, host: Host) -> None:
        host.shell(
            "from django.contrib.auth import get_user_model as users;"
            "users().objects.all().delete();"
            "from celery import current_app; current_app.send_task('host.work')"
        )
        with host.worker():
            host.wait_for_line("s: 'done'")
