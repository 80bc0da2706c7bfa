"""The project's settings: safe on a server, ready without one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.door

ROOT = Path(__file__).resolve().parents[1]
KEY = "k7#mPq2$vX9!zR4&nB6*wT1^yL8(cF3)hJ5_dS0-gA+eU=iO[oE]"


def manage(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run manage.py with nothing but these variables."""
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def production(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return manage(*arguments, DJANGO_SETTINGS_MODULE="config.settings.production", **environment)


def test_production_refuses_to_start_without_a_secret_key(tmp_path: Path) -> None:
    done = production("check", DATA_DIR=str(tmp_path), DJANGO_ALLOWED_HOSTS="example.com")

    assert done.returncode != 0
    assert "Set DJANGO_SECRET_KEY to at least 50 random characters" in done.stderr


@pytest.mark.parametrize("key", ["short", "a" * 60, "django-insecure-" + KEY])
def test_production_refuses_a_weak_secret_key(key: str, tmp_path: Path) -> None:
    done = production(
        "check", DATA_DIR=str(tmp_path), DJANGO_SECRET_KEY=key, DJANGO_ALLOWED_HOSTS="example.com"
    )

    assert done.returncode != 0
    assert "Set DJANGO_SECRET_KEY" in done.stderr


def test_production_refuses_to_start_without_allowed_hosts(tmp_path: Path) -> None:
    done = production("check", DATA_DIR=str(tmp_path), DJANGO_SECRET_KEY=KEY)

    assert done.returncode != 0
    assert "Set DJANGO_ALLOWED_HOSTS" in done.stderr


def test_production_passes_the_deployment_check_without_a_warning(tmp_path: Path) -> None:
    done = production(
        "check",
        "--deploy",
        "--fail-level=WARNING",
        DATA_DIR=str(tmp_path),
        DJANGO_SECRET_KEY=KEY,
        DJANGO_ALLOWED_HOSTS="example.com",
    )

    assert (done.returncode, done.stdout) == (
        0,
        "System check identified no issues (0 silenced).\n",
    ), done.stderr


SHOW = (
    "from django.conf import settings as s; d = s.DATABASES['default'];"
    "print(d['ENGINE'], d.get('OPTIONS', {}).get('transaction_mode'), s.CELERY_BROKER_URL,"
    " s.EMAIL_HOST, s.EMAIL_TIMEOUT)"
)


def test_without_any_variable_everything_is_embedded(tmp_path: Path) -> None:
    done = manage("shell", "-v0", "-c", SHOW, DATA_DIR=str(tmp_path))

    assert done.stdout.split()[:3] == [
        "django.db.backends.sqlite3",
        "IMMEDIATE",
        "filesystem://localhost",
    ]
    assert (tmp_path / "broker").is_dir()


def test_database_broker_and_mail_server_come_from_the_environment(tmp_path: Path) -> None:
    done = production(
        "shell",
        "-v0",
        "-c",
        SHOW,
        DATA_DIR=str(tmp_path),
        DJANGO_SECRET_KEY=KEY,
        DJANGO_ALLOWED_HOSTS="example.com",
        DATABASE_URL="postgres://someone@db.example.com/monitoring",
        CELERY_BROKER_URL="redis://broker.example.com/0",
        EMAIL_URL="smtp+tls://mail.example.com:587",
    )

    assert done.stdout.split() == [
        "django.db.backends.postgresql",
        "None",
        "redis://broker.example.com/0",
        "mail.example.com",
        "10",
    ], done.stderr


def test_tokens_and_keys_come_from_the_environment(tmp_path: Path) -> None:
    done = production(
        "shell",
        "-v0",
        "-c",
        "from monitoring.conf import get_settings; s = get_settings();"
        "print(s.HEALTH_TOKEN, s.METRICS_TOKEN, s.HEARTBEAT_URL, s.CHANNEL_KEYS,"
        " s.CHANNEL_PRIVATE_HOSTS)",
        DATA_DIR=str(tmp_path),
        DJANGO_SECRET_KEY=KEY,
        DJANGO_ALLOWED_HOSTS="example.com",
        MONITORING_HEALTH_TOKEN="h" * 32,
        MONITORING_METRICS_TOKEN="m" * 32,
        MONITORING_HEARTBEAT_URL="https://switch.example.com/1",
        MONITORING_CHANNEL_KEYS=f"{'n' * 32},{'o' * 32}",
        MONITORING_CHANNEL_PRIVATE_HOSTS="chat.example.com,10.1.0.0/16",
    )

    assert done.stdout.strip() == (
        f"{'h' * 32} {'m' * 32} https://switch.example.com/1 ['{'n' * 32}', '{'o' * 32}']"
        " ['chat.example.com', '10.1.0.0/16']"
    ), done.stderr


def test_sqlite_is_ready_for_several_processes(tmp_path: Path) -> None:
    show = (
        "from django.db import connection; c = connection.cursor();"
        "print(*(c.execute(f'PRAGMA {name}').fetchone()[0]"
        " for name in ('journal_mode', 'synchronous', 'busy_timeout')))"
    )
    done = manage("shell", "-v0", "-c", show, DATA_DIR=str(tmp_path))

    assert done.stdout.split() == ["wal", "1", "20000"], done.stderr


@pytest.mark.parametrize(
    ("settings", "debug", "shown"),
    [
        ("development", "", "True"),
        ("development", "false", "False"),
        ("production", "true", "False"),
    ],
)
def test_debug_pages_are_for_development_alone(
    settings: str, debug: str, shown: str, tmp_path: Path
) -> None:
    done = manage(
        "shell",
        "-v0",
        "-c",
        "from django.conf import settings; print(settings.DEBUG)",
        DATA_DIR=str(tmp_path),
        DJANGO_SETTINGS_MODULE=f"config.settings.{settings}",
        DJANGO_SECRET_KEY=KEY,
        DJANGO_ALLOWED_HOSTS="example.com",
        **({"DJANGO_DEBUG": debug} if debug else {}),
    )

    assert done.stdout.split() == [shown], done.stderr
