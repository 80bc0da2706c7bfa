"""The wheel, and an environment for each host.

Without anything set, environments lend the packages of the one that the tests run in. The sessions
of `noxfile.py` name the wheel and an interpreter whose packages were really installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest

from tests.doors.harness import wait_until
from tests.hosts.environment import Environment, given, lent
from tests.hosts.host import Host
from tests.mail_server import Moody

ROOT = Path(__file__).resolve().parents[2]
FAILING_TASK = """
import time
from celery import current_app
current_app.send_task("host.break_down")
# The messages are taken in the order of the milliseconds in which they were sent.
time.sleep(0.01)
current_app.send_task("monitor_task_status", [{"host.break_down": {
    "expected_statuses": ["Completed"], "notify_to": ["on-call@example.com"],
}}])
"""


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy, so that the checkout stays as it is."""
    folder = tmp_path_factory.mktemp("wheel")
    if "HOSTS_WHEEL" in os.environ:
        return Path(shutil.copy(os.environ["HOSTS_WHEEL"], folder))
    left_out = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "staticfiles")
    shutil.copytree(ROOT, folder / "checkout", ignore=left_out)
    shutil.copy(ROOT / ".gitignore", folder / "checkout")  # the builder goes by it
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder],
        cwd=folder / "checkout",
        check=True,
        capture_output=True,
        timeout=60,
    )
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with the packages of a host and without ours."""
    if "HOSTS_PYTHON" in os.environ:
        releases = Path(os.environ["HOSTS_CONSTRAINTS"]).read_text()
        return given(Path(os.environ["HOSTS_PYTHON"]), wheel, releases)
    return lent(tmp_path_factory.mktemp("environment"), wheel)


@pytest.fixture(scope="module")
def office() -> Iterator[Moody]:
    """A mail server on loopback."""
    moody = Moody()
    moody.start()
    yield moody
    moody.stop()


@pytest.fixture
def post_office(office: Moody) -> Moody:
    """The mail server, without what earlier tests have sent."""
    office.messages.clear()
    return office


@pytest.fixture(scope="module")
def failure(host: Host, office: Moody) -> EmailMessage:
    """Let a task of the host raise and be checked by a real worker; return the mail."""
    host.shell(FAILING_TASK)
    with host.worker():
        (mail,) = wait_until(
            lambda: [one for one in list(office.messages) if one["To"] == "on-call@example.com"],
            "a mail about the task that raised",
        )
    return mail
