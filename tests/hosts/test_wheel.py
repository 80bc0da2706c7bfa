"""The wheel, installed into a fresh project, is all that a host needs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.door

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("monitoring", "templates", "fixtures", "pyproject.toml", "README.md", "LICENSE")
SHELL_EXAMPLE = """
from monitoring.tasks import monitor_task_status
config = {"test_task": {"expected_statuses": ["Completed"], "lookback_hours": 24}}
from django.contrib.auth.models import User
User.objects.create_superuser("root", "root@example.com", "x")
from django.conf import settings
settings.EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
result = monitor_task_status(config)
print("RESULT", result["failing"], result["messages"])
from django.test import Client
client = Client(headers={"host": "localhost"}); client.force_login(User.objects.get())
print("ADMIN", client.get("/admin/monitoring/").status_code)
"""


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command and return what it printed; fail with all of it."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("DJANGO")}
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy, so that the checkout stays clean."""
    copy = tmp_path_factory.mktemp("source")
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy / name)
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", cwd=copy)
    (built,) = (copy / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def host(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Make `startproject` with the wheel installed; return its folder and its Python."""
    folder = tmp_path_factory.mktemp("host")
    run(sys.executable, "-m", "venv", "environment", cwd=folder)
    python = folder / "environment" / "bin" / "python"
    (site,) = (folder / "environment" / "lib").glob("python*/site-packages")
    # Its own environment, with the packages of this one behind it: no download is needed.
    (site / "behind.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    run(python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel, cwd=folder)
    run(python, "-m", "django", "startproject", "host", cwd=folder)
    project = folder / "host"
    with (project / "host" / "settings.py").open("a") as settings:
        settings.write(
            '\nINSTALLED_APPS += ["django_celery_beat", "django_jsonform", "import_export", '
            '"monitoring"]\nALLOWED_HOSTS = ["localhost"]\n'
        )
    return project, python


def test_the_wheel_carries_everything_the_app_needs_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()

    for wanted in (
        "monitoring/py.typed",
        "monitoring/migrations/0001_initial.py",
        "monitoring/templates/emails/task_status_alert.html",
        "monitoring/fixtures/schedules.json",
        "monitoring/static/monitoring/admin.css",
        "monitoring/locale/de/LC_MESSAGES/django.mo",
        "monitoring/management/commands/monitor.py",
    ):
        assert wanted in names
    assert {name.split("/")[0].split("-")[0] for name in names} == {
        "monitoring",
        "django_task_monitoring",
    }


def test_a_fresh_project_migrates_checks_and_alerts(host: tuple[Path, Path]) -> None:
    project, python = host

    def manage(*arguments: str) -> str:
        return run(python, "manage.py", *arguments, cwd=project)

    manage("migrate", "--verbosity=0")
    assert "no issues" in manage("check")
    manage("makemigrations", "--check", "--dry-run")
    assert "environment" in manage(
        "shell", "-v0", "-c", "import monitoring; print(monitoring.__file__)"
    )
    assert json.loads(manage("monitor", "check", "--json"))["checked"] == 0
    assert "every 5 minutes" in manage("monitor", "install-schedules")
    output = manage("shell", "-v0", "-c", SHELL_EXAMPLE)

    assert "Subject: [ALERT] test_task Has Not Executed" in output
    assert "Content-Type: text/html" in output
    assert "RESULT 1 [{'recipient': 'root@example.com'" in output
    assert "ADMIN 200" in output
