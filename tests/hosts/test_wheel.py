"""What the built wheel holds, and says of itself."""

from __future__ import annotations

import re
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.hosts.conftest import ROOT

pytestmark = pytest.mark.door


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
    asked = re.findall(r"^Requires-Dist: ([\w-]+)(?:.*extra == '(\w+)')?", text, re.MULTILINE)
    required = {name for name, extra in asked if not extra}
    assert {pair for pair in asked if pair[1]} == {
        ("apprise", "channels"),
        ("cryptography", "channels"),
        ("prometheus-client", "prometheus"),
    }
    assert required == {
        "celery",
        "django",
        "django-celery-beat",
        "django-import-export",
        "django-jsonform",
        "django-templated-mail",
    }
