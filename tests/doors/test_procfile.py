"""The three processes of config/Procfile with production settings, see docs/deploying.md."""

from __future__ import annotations

import json
import os
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from tests.doors.harness import ROOT, Process, System, wait_until
from tests.doors.servers import EMBEDDED, REDIS_POSTGRES
from tests.mail_server import Moody, free_port

pytestmark = pytest.mark.door

ENTRY = {"weekly_backup": {"expected_statuses": ["Completed"], "notify_to": ["ops@example.com"]}}


@pytest.fixture
def post_office() -> Iterator[Moody]:
    moody = Moody(free_port())
    moody.start()
    yield moody
    moody.stop()


def production(system: System, web_port: int, mail_port: int) -> dict[str, str]:
    """Return the environment that docs/deploying.md asks for, without HTTPS."""
    return system.environment | {
        "DJANGO_SETTINGS_MODULE": "tests.doors.project.production",
        "DJANGO_SECRET_KEY": "k7#mPq2$vX9!zR4&nB6*wT1^yL8(cF3)hJ5_dS0-gA+eU=iO[oE]",
        "DJANGO_ALLOWED_HOSTS": "localhost",
        "DJANGO_HTTPS": "false",
        "DJANGO_STATIC_ROOT": str(system.folder / "static"),
        "EMAIL_URL": f"smtp://127.0.0.1:{mail_port}",
        "PORT": str(web_port),
        "HOME": str(system.folder),  # gunicorn puts a socket there
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }


def start(system: System, name: str, line: str, environment: dict[str, str]) -> Process:
    log = system.folder / "logs" / f"{name}.log"
    process = Process(name, ["sh", "-c", line], environment, log)
    system.processes.append(process)
    return process


def answers(port: int, path: str) -> bytes:
    try:
        with urllib.request.urlopen(f"http://localhost:{port}{path}", timeout=5) as page:
            return bytes(page.read())
    except OSError:
        return b""


@pytest.mark.parametrize("system", [EMBEDDED, REDIS_POSTGRES], indirect=True)
def test_web_worker_and_beat_do_the_main_job_and_stop_when_told(
    system: System, post_office: Moody
) -> None:
    port = free_port()
    environment = production(system, port, post_office.port)
    collected = start(system, "static", "python manage.py collectstatic --noinput", environment)
    assert collected.popen.wait(timeout=40) == 0, collected.output
    lines = dict(
        line.split(": ", 1) for line in (ROOT / "config" / "Procfile").read_text().splitlines()
    )
    assert list(lines) == ["web", "worker", "beat"]

    processes = [start(system, name, line, environment) for name, line in lines.items()]
    wait_until(lambda: b"Log in" in answers(port, "/admin/login/"), "the admin answers")
    assert answers(port, "/static/monitoring/admin.css")
    schedule = IntervalSchedule.objects.create(every=1, period="seconds")
    PeriodicTask.objects.create(
        name="Documented", task="monitor_task_status", interval=schedule, args=json.dumps([ENTRY])
    )
    wait_until(lambda: post_office.messages, "the mail arrives")
    for process in processes:
        process.popen.terminate()

    assert [process.popen.wait(timeout=20) for process in processes] == [0, 0, 0]
    mail = post_office.messages[0]
    assert mail["To"] == "ops@example.com"
    assert mail["Subject"] == "[ALERT] weekly_backup Has Not Executed"
