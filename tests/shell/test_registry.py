"""Which tasks the code has is told in a web process as well, which imports none by itself."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import current_app

from monitoring import registry

ROOT = Path(__file__).parents[2]
FIRST_STEPS = {
    "proj/__init__.py": "from .celery import app as celery_app\n",
    "proj/celery.py": (
        "from celery import Celery\n"
        "app = Celery('proj')\n"
        "app.config_from_object('django.conf:settings', namespace='CELERY')\n"
        "app.autodiscover_tasks()\n"
    ),
    "proj/settings.py": (
        "SECRET_KEY = 'x'\n"
        "INSTALLED_APPS = ['django.contrib.auth', 'django.contrib.contenttypes',"
        " 'django_celery_beat', 'django_jsonform', 'monitoring', 'reports']\n"
        "DATABASES = {'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': ':memory:'}}\n"
    ),
    "reports/__init__.py": "",
    "reports/tasks.py": (
        "from celery import shared_task\n@shared_task\ndef generate_daily_report():\n    pass\n"
    ),
}


@pytest.fixture(autouse=True)
def nothing_imported() -> Iterator[None]:
    registry._import_tasks.cache_clear()
    yield
    registry._import_tasks.cache_clear()


@pytest.mark.process
def test_tasks_that_nobody_has_imported_yet_are_found(tmp_path: Path) -> None:
    for name, text in FIRST_STEPS.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    ask = (
        "import django; django.setup(); from celery import current_app; "
        "from monitoring.registry import task_names; "
        "name = 'reports.tasks.generate_daily_report'; "
        "print(name in current_app.tasks, name in task_names())"
    )

    done = subprocess.run(
        [sys.executable, "-c", ask],
        cwd=tmp_path,
        env={"PYTHONPATH": f"{tmp_path}:{ROOT}", "DJANGO_SETTINGS_MODULE": "proj.settings"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.split() == ["False", "True"]


def test_a_module_that_cannot_be_imported_costs_its_tasks_and_is_logged_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise ImportError("no such thing")

    monkeypatch.setattr(current_app.loader, "import_default_modules", fail)

    with caplog.at_level(logging.ERROR, "monitoring.registry"):
        assert "monitor_task_status" in registry.task_names()
        assert "monitor_task_status" in registry.task_names()

    assert caplog.text.count("not all tasks of the code could be imported") == 1
    assert "no such thing" in caplog.text
