"""A project that keeps the results of its tasks, and reads its executions from there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.hosts.contract import HostContract, create_alice
from tests.hosts.environment import Environment
from tests.hosts.handbook import block, section
from tests.hosts.host import Host
from tests.mail_server import Moody

pytestmark = [pytest.mark.door, pytest.mark.xdist_group("results")]

PAGE = "docs/other-task-logs.md"
HAS_START = """
from django_celery_results.models import TaskResult
print(hasattr(TaskResult, "date_started"))
"""
EXECUTE = """
from django.db import connection
connection.cursor().execute({statement!r})
"""


SEND_EXPIRED = """
from celery import current_app
current_app.send_task("host.work", expires=-60)
"""
LATEST = """
from monitoring.tasklogs.history import recent
print(*[one.status.value for one in recent(["host.work"], 1)["host.work"]])
"""


@pytest.fixture(scope="module")
def host(environment: Environment, office: Moody, tmp_path_factory: pytest.TempPathFactory) -> Host:
    """Follow the README, then the section for results and the one for their index."""
    folder = tmp_path_factory.mktemp("results") / "project"
    left_out = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(__file__).with_name("results"), folder, ignore=left_out)
    host = Host(folder, environment, "project", office.port)
    host.follow(section("README.md", "Into your project")[:2])
    host.follow(section(PAGE, "django-celery-results"))
    host.follow(section("README.md", "Into your project")[2:])
    host.manage("check", "--database", "default")
    host.said["before the index"] = host.warned
    title = "TaskResult of 2.6, PostgreSQL and SQLite"
    if host.shell(HAS_START).strip() == "False":
        title = "TaskResult of 2.6, MariaDB and MySQL; of 2.5, everywhere"
    host.shell(EXECUTE.format(statement=block(PAGE, "The index", title).text))
    create_alice(host)
    return host


class TestAProjectWithResults(HostContract):
    def test_is_warned_of_the_index_until_it_is_there(self, host: Host) -> None:
        assert "monitoring.W103" in host.said["before the index"]

    def test_has_a_task_that_expired_as_cancelled(self, host: Host) -> None:
        host.shell(SEND_EXPIRED)
        with host.worker():
            host.wait_for_line("Discarding revoked task")

        assert host.shell(LATEST).strip() == "Cancelled"
