"""What is odd about a rule is said after it is saved, and before a file is imported."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from monitoring.models import MonitorRule
from tests.admin.data import HOSTILE, url
from tests.factories import execution
from tests.shell.test_discovery import scheduled

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]

FORM = {
    "name": "Mine",
    "task_name": "sync",
    "enabled": "on",
    "expected_statuses": '["Completed"]',
    "lookback_hours": "1",
    "while_running": "wait",
    "alert_after": "1",
    "notify_to": "[]",
    "dependent_tasks": "[]",
}


def said(response: Any) -> list[str]:
    return [str(message) for message in response.context["messages"]]


def save(client: Client, **fields: str) -> list[str]:
    return said(client.post(url(MonitorRule, "add"), FORM | fields, follow=True))


def test_a_rule_is_saved_and_warned_of(root: Client) -> None:
    execution("sync", started=timezone.now())
    scheduled("Daily", "sync")

    texts = save(root, dependent_tasks='["sync"]')

    assert MonitorRule.objects.get().name == "Mine"
    assert texts[:-1] == [
        '"Mine": it looks back 1 h, but its schedule leaves up to 25 h between two runs. '
        "Let it look back further than that, or it alarms although all is well.",
        '"Mine": its dependent tasks lead back to it: sync → sync. '
        "Take one of these dependent tasks out: none can be the cause of itself.",
    ]


def test_one_that_is_fine_or_disabled_is_not_warned_of(root: Client) -> None:
    execution("sync", started=timezone.now())

    assert len(save(root)) == 1
    assert len(save(root, name="Off", enabled="", dependent_tasks='["nowhere"]')) == 1


def test_an_unknown_task_is_said_once(root: Client) -> None:
    assert sum("task" in text and "seen" in text for text in save(root)) == 1


def test_who_may_not_view_schedules_learns_nothing_of_them(ed: Client) -> None:
    scheduled("Secret", "sync")

    assert not any("schedule" in text for text in save(ed))


def test_a_warning_is_never_html(root: Client) -> None:
    response = root.post(
        url(MonitorRule, "add"), FORM | {"name": HOSTILE, "task_name": HOSTILE}, follow=True
    )

    assert HOSTILE not in response.content.decode()


def test_a_file_is_warned_of_before_it_is_confirmed(root: Client) -> None:
    rules = [{"name": "New", "task_name": "sync", "dependent_tasks": [HOSTILE]}]
    execution("sync")
    file = SimpleUploadedFile("rules.json", json.dumps(rules).encode())

    response = root.post(url(MonitorRule, "import"), {"import_file": file, "format": "0"})

    page = response.content.decode()
    assert "Worth a look" in page
    assert "Correct the name, or take it out." in page
    assert HOSTILE not in page
    assert not MonitorRule.objects.exists()
