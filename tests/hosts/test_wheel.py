"""The built wheel alone turns a fresh Django project into one that monitors its tasks."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from zipfile import ZipFile

import pytest

pytestmark = pytest.mark.door

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = """
EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
EMAIL_FILE_PATH = BASE_DIR / "mail"
"""
SHELL_EXAMPLE = """
from monitoring.tasks import monitor_task_status
config = {
    "test_task": {
        "expected_statuses": ["Completed"],
        "lookback_hours": 24
    }
}
result = monitor_task_status(config)
print(result)
"""
"""Source: documented behaviour 10.10.2, the debug test."""


class Host:
    """A project that `startproject` made, in an environment that has the wheel."""

    def __init__(self, folder: Path, python: Path) -> None:
        self.folder, self.python = folder, python
        self.mail_folder = folder / "mail"

    def run(self, *arguments: str, status: int = 0) -> str:
        """Run `python` with arguments in the project and return what it printed."""
        done = subprocess.run(
            [self.python, *arguments],
            cwd=self.folder,
            # Nothing of this shell: what the project needs stands in the project.
            env={"PATH": os.environ["PATH"], "PYTHONPYCACHEPREFIX": str(self.folder / ".pyc")},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == status, f"{arguments}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr, done.stderr
        return done.stdout

    def manage(self, *arguments: str, status: int = 0) -> str:
        return self.run("manage.py", *arguments, status=status)

    def shell(self, code: str) -> str:
        return self.manage("shell", "--no-imports", "-c", code)

    @property
    def mails(self) -> list[EmailMessage]:
        files = sorted(self.mail_folder.glob("*"))
        return [message_from_bytes(file.read_bytes(), policy=policy.default) for file in files]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy, so that the checkout stays as it is."""
    folder = tmp_path_factory.mktemp("wheel")
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
def host(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Host:
    """Follow the README: install, add the apps, migrate."""
    folder = tmp_path_factory.mktemp("host")
    python = environment_with(wheel, folder / "venv")
    host = Host(folder / "project", python)
    host.folder.mkdir()
    host.run("-m", "django", "startproject", "host", ".")
    with (host.folder / "host" / "settings.py").open("a") as settings:
        settings.write(readme_settings() + SETTINGS)
    host.manage("migrate", "--verbosity", "0")
    return host


def environment_with(wheel: Path, folder: Path) -> Path:
    """Return the interpreter of a new environment with the wheel in it.

    What the wheel depends on is not downloaded again but taken from where these tests run.
    """
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    ours = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check"]
    install = ["install", "--quiet", "--no-deps", "--no-index", wheel]
    subprocess.run([*ours, *install], check=True, capture_output=True, timeout=60)
    paths = sysconfig.get_paths(vars={"base": str(folder), "platbase": str(folder)})
    lent = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    Path(paths["purelib"], "lent.pth").write_text("\n".join(sorted(lent)))
    return python


def readme_settings() -> str:
    """Return what the README tells people to add to their settings."""
    readme = (ROOT / "README.md").read_text()
    found = re.search(r"```python\n# settings\.py\n(.*?)```", readme, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_wheel_holds_the_app_and_nothing_else(wheel: Path) -> None:
    files = {name for name in ZipFile(wheel).namelist() if ".dist-info/" not in name}

    wanted = {f"monitoring/{path}" for path in shipped(ROOT / "monitoring")}
    wanted |= {f"monitoring/templates/{path}" for path in shipped(ROOT / "templates")}
    wanted |= {f"monitoring/fixtures/{path}" for path in shipped(ROOT / "fixtures")}
    assert files == wanted
    assert {
        "monitoring/py.typed",
        "monitoring/migrations/0001_initial.py",
        "monitoring/static/monitoring/admin.css",
        "monitoring/templates/emails/task_status_alert.html",
    } <= files


def shipped(folder: Path) -> set[str]:
    """Return the files of a folder, without what running them leaves behind."""
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_says_its_licence_and_what_it_depends_on(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        text = archive.read(metadata).decode()
        assert any(name.endswith("/licenses/LICENSE") for name in archive.namelist())

    assert "License-Expression: MIT" in text
    required = set(re.findall(r"^Requires-Dist: ([\w-]+)", text, re.MULTILINE))
    assert required == {
        "celery",
        "django",
        "django-celery-beat",
        "django-import-export",
        "django-jsonform",
        "django-templated-mail",
    }


def test_a_fresh_project_has_the_app_from_the_wheel_and_passes_its_checks(host: Host) -> None:
    place = host.shell("import monitoring; print(monitoring.__file__)")
    assert Path(place.strip()).is_relative_to(host.python.parents[1])

    assert "no issues" in host.manage("check")
    assert "No changes detected" in host.manage("makemigrations", "--check", "--dry-run")


def test_a_check_of_an_empty_project_finds_nothing_to_check(host: Host) -> None:
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


def test_the_check_is_scheduled_by_one_command(host: Host) -> None:
    first, second = (host.manage("monitor", "install-schedules") for _ in range(2))

    assert "created (every 5 minutes, enabled)" in first
    assert "already there, left as it is (every 5 minutes, enabled)" in second


def test_the_documented_shell_example_mails_with_the_template_of_the_wheel(host: Host) -> None:
    host.shell(
        "from django.contrib.auth import get_user_model as users;"
        "users().objects.create_superuser('alice', 'alice@example.com', 'secret')"
    )

    printed = host.shell(SHELL_EXAMPLE)

    assert "'task_name': 'test_task', 'verdict': 'no_execution'" in printed
    assert "'checked': 1, 'ok': 0, 'failing': 1" in printed
    (mail,) = host.mails
    assert mail["To"] == "alice@example.com"
    assert mail["Subject"] == "[ALERT] test_task Has Not Executed"
    assert "Last 24 hour(s)" in mail.get_body(("plain",)).get_content()
    html = mail.get_body(("html",)).get_content()
    assert "<table" in html
    assert "Last 24 hour(s)" in html
    template = host.shell(
        "from django.template.loader import get_template;"
        "print(get_template('emails/task_status_alert.html').origin.name)"
    )
    assert Path(template.strip()).is_relative_to(host.python.parents[1])


def test_the_admin_of_a_fresh_project_shows_the_app(host: Host) -> None:
    pages = ["", "monitoring/", "monitoring/monitorrule/", "monitoring/monitorrule/add/"]
    answers = host.shell(
        "from django.contrib.auth import get_user_model as users\n"
        "from django.contrib.staticfiles.finders import find\n"
        "from django.test import Client\n"
        "user, _ = users().objects.get_or_create("
        "username='root', is_staff=True, is_superuser=True)\n"
        "browser = Client(SERVER_NAME='localhost')\n"
        "browser.force_login(user)\n"
        f"for page in {pages}:\n"
        "    answer = browser.get('/admin/' + page)\n"
        "    print(answer.status_code, 'Task monitoring' in answer.content.decode())\n"
        "print(find('monitoring/admin.css'))\n"
    )

    *lines, css = answers.splitlines()
    assert lines == ["200 True"] * len(pages)
    assert Path(css).is_relative_to(host.python.parents[1])
