"""Nothing but what `startproject` makes, and the README."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.hosts.contract import HostContract, create_alice
from tests.hosts.environment import Environment
from tests.hosts.handbook import section
from tests.hosts.host import Host
from tests.mail_server import Moody

pytestmark = [pytest.mark.door, pytest.mark.xdist_group("startproject")]

SETTINGS = """
import os
EMAIL_HOST = "127.0.0.1"
EMAIL_PORT = int(os.environ.get("EMAIL_PORT", "25"))
CELERY_BROKER_URL = "filesystem://"
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "data_folder_in": str(BASE_DIR / "broker"),
    "data_folder_out": str(BASE_DIR / "broker"),
    "control_folder": str(BASE_DIR / "broker"),
    "polling_interval": 0.1,
}
"""
CELERY = """
import os
from celery import Celery
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "host.settings")
app = Celery("host")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@app.task(name="host.work")
def work():
    return "done"


@app.task(name="host.break_down")
def break_down():
    raise RuntimeError("no figures for <North>")
"""
"""As the guide "First steps with Django" of Celery's documentation has it, and two tasks."""


@pytest.fixture(scope="module")
def host(environment: Environment, office: Moody, tmp_path_factory: pytest.TempPathFactory) -> Host:
    """Follow the README: install, add the apps, migrate, install the schedule."""
    host = Host(tmp_path_factory.mktemp("startproject"), environment, "host", office.port)
    host.run("-m", "django", "startproject", "host", ".")
    (host.folder / "host" / "celery.py").write_text(CELERY)
    host.append("host/__init__.py", "from host.celery import app as celery_app")
    host.append("host/settings.py", SETTINGS)
    host.follow(section("README.md", "Into your project"))
    create_alice(host)
    return host


class TestAFreshProject(HostContract):
    keeps_own_log = True
    has_sessions = False

    def test_has_scheduled_the_check_by_one_command(self, host: Host) -> None:
        first = host.said["python manage.py monitor install-schedules"]
        second = host.manage("monitor", "install-schedules")

        assert "created (every 5 minutes, enabled)" in first
        assert "already there, left as it is (every 5 minutes, enabled)" in second

    def test_has_nothing_to_check_yet(self, host: Host) -> None:
        summary = json.loads(host.manage("monitor", "check", "--json"))

        assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00", summary.pop("checked_at"))
        assert isinstance(summary.pop("run"), int)
        assert summary == {
            "rule_set": "all rules",
            "state": "complete",
            "skipped_because": "",
            "not_checked_from": None,
            "checked": 0,
            "ok": 0,
            "failing": 0,
            "unknown": 0,
            "in_progress": 0,
            "failures": [],
            "unknown_rules": [],
            "messages": [],
            "problems": [],
        }

    @pytest.mark.parametrize(
        ("code", "file"),
        [
            (
                "from django.template.loader import get_template;"
                "print(get_template('emails/task_status_alert.html').origin.name)",
                "task_status_alert.html",
            ),
            (
                "from django.contrib.staticfiles.finders import find;"
                "print(find('monitoring/admin.css'))",
                "admin.css",
            ),
        ],
    )
    def test_takes_the_files_of_the_app_from_the_wheel(
        self, host: Host, code: str, file: str
    ) -> None:
        found = Path(host.shell(code).strip())

        assert found.name == file
        assert found.is_relative_to(host.environment.folder)
