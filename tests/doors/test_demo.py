"""`make demo` shows the main job: real worker, beat and web server, alerts within 90 seconds."""

from __future__ import annotations

import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from email import message_from_bytes, policy
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.parse import urlencode

import pytest

pytestmark = pytest.mark.door

ROOT = Path(__file__).resolve().parents[2]
SECONDS_TO_ALERTS = 90

EXPECTED_SUBJECTS = {
    "[ALERT] generate_daily_report Status Check Failed",
    "[ALERT] import_measurements Status Check Failed",
    "[ALERT] weekly_backup Has Not Executed",
}


class Demo:
    """The launcher that `make demo` runs, on a port and a folder of its own."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self.output = folder / "terminal.txt"
        environment = {
            **os.environ,
            "DATA_DIR": str(folder / "data"),
            "DEMO_PORT": str(port),
            "PYTHONUNBUFFERED": "1",
        }
        for name in ("DATABASE_URL", "CELERY_BROKER_URL", "DJANGO_SETTINGS_MODULE"):
            environment.pop(name, None)
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "config.demo.run"],
                cwd=ROOT,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def mails(self) -> dict[str, Path]:
        """Mail files by subject."""
        return {subject: file for subject, _, file in self._read()}

    @property
    def recipients(self) -> set[str]:
        return {recipient for _, recipient, _ in self._read()}

    def _read(self) -> Iterator[tuple[str, str, Path]]:
        for file in sorted((self.folder / "data" / "mail").glob("*.eml")):
            mail = message_from_bytes(file.read_bytes(), policy=policy.default)
            yield mail["Subject"], mail["To"], file

    def page(self, path: str, password: str) -> str:
        """Log in as the administrator with the printed password and return a page."""
        jar = CookieJar()
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
        login = f"http://localhost:{self.port}/admin/login/"
        browser.open(login, timeout=10).close()
        token = next(cookie.value for cookie in jar if cookie.name == "csrftoken")
        form = {"username": "admin", "password": password, "csrfmiddlewaretoken": token or ""}
        form["next"] = path
        with browser.open(login, urlencode(form).encode(), timeout=10) as answer:
            return str(answer.read().decode())

    def wait_for(self, what: Callable[[], bool], seconds: float, reason: str) -> None:
        deadline = time.monotonic() + seconds
        while not what():
            assert self.process.poll() is None, self.output.read_text()
            assert time.monotonic() < deadline, f"{reason}\n{self.output.read_text()}"
            time.sleep(0.3)

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/admin/login/", timeout=2):
                return True
        except OSError:
            return False

    def stop(self) -> int:
        """Press Ctrl-C and return the exit status."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=40)


@pytest.fixture
def start_demo(tmp_path: Path) -> Iterator[Callable[[], Demo]]:
    started: list[Demo] = []

    def start() -> Demo:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        started.append(Demo(tmp_path, port))
        return started[-1]

    yield start
    for demo in started:
        if demo.process.poll() is None:
            demo.stop()


def running_processes(folder: Path) -> list[str]:
    """Return the command lines of processes whose environment names `folder`."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(folder).encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


def test_it_alerts_within_ninety_seconds_stops_cleanly_and_continues(
    start_demo: Callable[[], Demo], tmp_path: Path
) -> None:
    demo = start_demo()
    demo.wait_for(demo.answers, 40, "the admin does not answer")
    demo.wait_for(
        lambda: set(demo.mails) >= EXPECTED_SUBJECTS,
        SECONDS_TO_ALERTS,
        f"not all of {EXPECTED_SUBJECTS} were mailed, only {set(demo.mails)}",
    )
    demo.wait_for(
        lambda: "reports-team@example.com" in demo.recipients,
        SECONDS_TO_ALERTS,
        "the documented JSON arguments mailed nothing",
    )
    first_output = demo.output.read_text()

    password = re.search(r"Password  (\S{12})", first_output)
    assert password
    events = demo.page("/admin/monitoring/alertevent/", password[1])
    for name in ("generate_daily_report", "import_measurements", "weekly_backup"):
        assert name in events
    proposed = demo.page("/admin/monitoring/monitorrule/discover/", password[1])
    assert "Refresh the dashboard" in proposed
    assert "its schedule leaves up to 24 h between two runs" in proposed  # of the made-up past
    assert f"http://localhost:{demo.port}/admin/" in first_output
    alert = message_from_bytes(
        demo.mails["[ALERT] generate_daily_report Status Check Failed"].read_bytes(),
        policy=policy.default,
    )
    assert "No sales figures for 'North'" in alert.get_body(("plain",)).get_content()
    assert "No sales figures for" in alert.get_body(("html",)).get_content()

    assert demo.stop() == 0
    assert running_processes(tmp_path) == []

    mails_before = len(list((tmp_path / "data" / "mail").glob("*.eml")))
    again = start_demo()
    again.wait_for(again.answers, 40, "the admin does not answer again")
    assert "the one printed the first time" in again.output.read_text()
    assert len(list((tmp_path / "data" / "mail").glob("*.eml"))) >= mails_before
    with sqlite3.connect(tmp_path / "data" / "db.sqlite3") as database:
        statuses = dict(
            database.execute(
                "SELECT task_name || ' ' || status, count(*) FROM monitoring_backgroundtask "
                "GROUP BY 1"
            )
        )
        retried = database.execute(
            "SELECT max(retries) FROM monitoring_backgroundtask "
            "WHERE task_name = 'flaky_upload' AND status = 'Completed'"
        ).fetchone()
    assert {"hourly_data_sync Completed", "generate_daily_report Stopped"} <= set(statuses)
    assert retried == (2,)
    assert again.stop() == 0
