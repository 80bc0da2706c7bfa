"""A project as the documented behaviour has it, moved to us by the page that says how."""

from __future__ import annotations

import json
import shutil
from email.message import EmailMessage
from pathlib import Path

import pytest

from tests import spec_examples
from tests.doors.harness import wait_until
from tests.hosts.contract import HostContract, create_alice
from tests.hosts.documented_snippets import QUERY, TEMPLATE_TEST
from tests.hosts.environment import Environment
from tests.hosts.handbook import section
from tests.hosts.host import SOME_FAILING, Host
from tests.mail_server import Moody

pytestmark = [pytest.mark.door, pytest.mark.xdist_group("documented")]

PAGE = "docs/moving.md"
STEPS = (
    "1. Install it and name your task log",
    "2. Let your own task give way",
    "3. Create the tables, and an index on yours",
    "4. See what it would say",
    "5. Restart",
)
PERIODIC_TASK = """
import json
from django_celery_beat.models import IntervalSchedule, PeriodicTask
hourly = IntervalSchedule.objects.create(every=1, period="hours")
PeriodicTask.objects.create(
    name="Monitor Ingestors", task="monitor_task_status", interval=hourly, args={args!r}
)
"""
RUN_IT = """
import time
from django.contrib.auth import get_user_model
from django.test import Client
from django_celery_beat.models import PeriodicTask
from gap.models import IngestorSession
from gap.tasks import ingestor_session
ingestor_session.delay(IngestorSession.objects.create(ingestor_type="Hourly Tomorrow.io").pk)
# The messages are taken in the order of the milliseconds in which they were sent.
time.sleep(0.01)
browser = Client(SERVER_NAME="localhost")
browser.force_login(get_user_model().objects.get(username="alice"))
row = PeriodicTask.objects.get(name="Monitor Ingestors")
answer = browser.post("/admin/django_celery_beat/periodictask/", {
    "action": "run_tasks", "_selected_action": [row.pk],
})
print(answer.status_code, row.args)
"""
STATUS_OF_WORK = """
from core.models import BackgroundTask
print(BackgroundTask.objects.get(task_name="host.work").status)
"""
TEAM = "weather-team@example.com"


@pytest.fixture(scope="module")
def host(environment: Environment, office: Moody, tmp_path_factory: pytest.TempPathFactory) -> Host:
    """A project that monitored its tasks by itself, after the last step of the page."""
    folder = tmp_path_factory.mktemp("documented") / "project"
    left_out = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(__file__).with_name("documented"), folder, ignore=left_out)
    host = Host(folder, environment, "project", office.port)
    host.manage("migrate", "--verbosity", "0")
    create_alice(host)
    host.shell(PERIODIC_TASK.format(args=json.dumps([spec_examples.EXAMPLE_10_6_4])))
    for step in STEPS:
        host.follow(section(PAGE, step), status=SOME_FAILING)
    return host


class TestTheDocumentedProject(HostContract):
    monitor_module = "gap.tasks.monitoring"

    def test_was_told_at_each_step_what_the_page_promises(self, host: Host) -> None:
        migrated, checked, dry_run, owner, scheduled = [
            said
            for command, said in host.said.items()
            if not command.startswith(("pip", "python manage.py makemigrations"))
        ]

        assert "Applying core.0002" in migrated
        assert "Applying monitoring.0001_initial" in migrated
        assert "no issues" in checked
        assert "FAILING  ingestor_session: " in dry_run
        assert f"{TEAM}: [ALERT] ingestor_session Has Not Executed (would send)" in dry_run
        assert owner.strip() == "monitoring.tasks"
        assert scheduled.count(" created (") == 2

    def test_runs_its_periodic_task_unchanged(self, host: Host, post_office: Moody) -> None:
        status, args = host.shell(RUN_IT).strip().split(maxsplit=1)
        assert status == "302"
        assert json.loads(args) == [spec_examples.EXAMPLE_10_6_4]

        with host.worker():
            (mail,) = wait_until(
                lambda: [one for one in list(post_office.messages) if one["To"] == TEAM],
                "a mail to those whom the periodic task names",
            )

        assert mail["Subject"] == "[ALERT] ingestor_session Status Check Failed"
        assert "no answer for Hourly Tomorrow.io" in mail.get_body(("plain",)).get_content()

    def test_keeps_its_own_template(self, host: Host, failure: EmailMessage) -> None:
        html = failure.get_body(("html",)).get_content()

        assert "<h1>host.break_down: Stopped instead of Completed</h1>" in html
        assert "The house of weather" in html

    def test_answers_the_documented_query_of_what_ran(
        self, host: Host, failure: EmailMessage
    ) -> None:
        (line,) = host.shell(QUERY.replace("your_task_name", "host.break_down")).splitlines()

        assert line.endswith("+00:00: Stopped")

    def test_tries_its_template_as_documented(self, host: Host, post_office: Moody) -> None:
        host.shell(TEMPLATE_TEST + "_send_notification(notify_to=['me@example.com'])")

        (mail,) = post_office.messages
        assert mail["To"] == "me@example.com"
        assert mail["Subject"] == "[ALERT] template_test Has Not Executed"
        assert "The house of weather" in mail.get_body(("html",)).get_content()

    def acts_as_before(self, host: Host) -> None:
        super().acts_as_before(host)
        _check, tell_owner = command_lines(STEPS[3])

        assert host.shell(STATUS_OF_WORK).strip() == "Completed"
        assert host.run(*tell_owner[1:]).strip() == "gap.tasks.monitoring"


def command_lines(step: str) -> list[list[str]]:
    """Return the commands of one step of the page, without anything else."""
    return [line for one in section(PAGE, step) if one.language == "sh" for line in one.commands]
