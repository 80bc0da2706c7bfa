"""The documentation says what the code does."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.core.management import call_command

from monitoring.conf import Settings
from monitoring.core.causes import CAUSES
from monitoring.core.health import Facts as Health
from monitoring.core.incidents import TRANSITIONS, Action
from monitoring.core.metrics import PREFIX, Facts, families
from monitoring.models import MonitorRule, Notification
from monitoring.system_checks.messages import DOCS_PAGE, link
from tests.benchmarks import report
from tests.factories import execution, rule

ROOT = Path(__file__).resolve().parents[1]
DOCS = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def test_the_table_of_events_is_the_one_the_code_decides_by() -> None:
    text = (ROOT / "docs" / "rules.md").read_text()
    table = text.split("<!-- transitions -->")[1].split("<!-- end -->")[0]
    documented = [cells(line) for line in table.strip().splitlines()[2:]]

    decided = [
        [row.name, "none" if row.action is Action.NONE else row.action.value, row.owed or ""]
        for row in TRANSITIONS
    ]

    assert documented == decided


def test_every_cause_is_documented_in_the_order_in_which_it_is_asked() -> None:
    text = (ROOT / "docs" / "causes.md").read_text()
    table = text.split("<!-- causes -->")[1].split("<!-- end -->")[0]

    documented = [cells(line)[0].strip("`") for line in table.strip().splitlines()[2:]]

    assert documented == list(CAUSES)


def test_every_setting_is_documented_with_its_default() -> None:
    text = (ROOT / "docs" / "settings.md").read_text()
    documented = dict(re.findall(r"^\| `([A-Z_]+)` \| `(.*?)` \|", text, re.MULTILINE))

    defaults = Settings()
    expected = {}
    for item in fields(Settings):
        value = getattr(defaults, item.name)
        expected[item.name] = str(value) if isinstance(value, bool | int) else json.dumps(value)

    assert documented == expected


def test_every_warning_about_a_rule_is_documented() -> None:
    text = (ROOT / "docs" / "rules.md").read_text().split("## What is odd about a rule")[1]
    source = (ROOT / "monitoring" / "core" / "linting.py").read_text()

    assert re.findall(r"^\| `([a-z-]+)` \|", text, re.MULTILINE) == sorted(
        set(re.findall(r'id="([a-z-]+)"', source)), key=text.index
    )


def test_every_system_check_is_documented_where_its_hint_says() -> None:
    text = (ROOT / DOCS_PAGE).read_text()
    sources = (ROOT / "monitoring" / "system_checks").glob("*.py")
    ids = {
        found
        for source in sources
        for found in re.findall(r'"(monitoring\.[EW]\d+)"', source.read_text())
    }

    assert {link(one) for one in ids} == {
        f"{DOCS_PAGE}#{anchor}"
        for anchor in re.findall(r'^<a id="(.+?)"></a>$', text, re.MULTILINE)
    }
    assert set(re.findall(r"^## (monitoring\.\w+): ", text, re.MULTILINE)) == ids
    assert set(re.findall(r"^\| \[`(monitoring\.\w+)`\]", text, re.MULTILINE)) == ids


def test_every_metric_is_documented_with_all_values_of_its_label() -> None:
    text = (ROOT / "docs" / "watching-the-monitor.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (?:`(\w+)`)?:?(.*?)\|", text, re.MULTILINE)
    documented = {name: (label, set(re.findall(r"`(\w+)`", rest))) for name, label, rest in rows}

    now = datetime(2026, 3, 10, 12, tzinfo=UTC)
    facts = Facts(
        health=Health(now=now, rules=0, last_recorded=now), executions={}, oldest_execution=now
    )
    told = {
        family.name.removeprefix(PREFIX): (
            "".join({label for sample in family.samples for label in sample.labels}),
            {value for sample in family.samples for value in sample.labels.values()},
        )
        for family in families(facts)
    }

    # What JSON arguments cannot be is said in words.
    told["argument_entries"] = ("state", {"disabled"})
    assert {name: documented.get(name) for name in told} == told


def test_every_field_of_a_rule_is_documented() -> None:
    text = (ROOT / "docs" / "rules.md").read_text()
    documented = set(re.findall(r"`(\w+)`", text.split("### How long")[0]))

    editable = {
        field.name
        for field in MonitorRule._meta.fields
        if field.editable and field.name not in {"id", "updated_at"}
    }

    assert editable <= documented


def test_the_tables_of_measurements_are_those_that_were_kept() -> None:
    text = report.PAGE.read_text()

    assert report.with_tables(text) == text


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.name)
def test_every_piece_of_python_does_something(page: Path) -> None:
    pieces = re.findall(r"^```python\n(?!>>>)(.+?)^```", page.read_text(), re.MULTILINE | re.DOTALL)

    useless = (ast.Tuple, ast.List, ast.Dict, ast.Name)
    statements = [statement for piece in pieces for statement in ast.parse(piece).body]
    values = [one.value for one in statements if isinstance(one, ast.Expr)]
    assert [ast.unparse(value) for value in values if isinstance(value, useless)] == []


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.name)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", page.read_text())

    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.django_db(transaction=True)
def test_the_mail_and_the_check_of_the_readme_are_what_one_gets(
    settings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.MONITORING = settings.MONITORING | {"BASE_URL": "https://admin.example.com"}
    rule(
        "generate_daily_report",
        name="Daily report",
        lookback_hours=25,
        notify_to=["reports-team@example.com"],
        dependent_tasks=["send_report_emails", "update_dashboard"],
        description="Sales figures missing? See https://wiki.example.com/reports",
    )
    execution(
        "generate_daily_report",
        "Stopped",
        started=datetime(2026, 3, 10, 8, 0, tzinfo=UTC),
        finished_at=datetime(2026, 3, 10, 8, 12, 41, tzinfo=UTC),
        worker="celery@worker-1",
        task_id="5f0d7a3e-3f6f-4c53-9a3b-0c7f6b1f2b11",
        errors="psycopg.OperationalError: could not connect to server",
    )

    with (
        time_machine.travel(datetime(2026, 3, 10, 8, 15, tzinfo=UTC), tick=False),
        pytest.raises(SystemExit),
    ):
        call_command("monitor", "check", "--rule", "Daily report")

    text = (ROOT / "README.md").read_text()
    (mail,) = re.findall(r"```text\n(Subject: .+?)```", text, re.DOTALL)
    (console,) = re.findall(r'check --rule "Daily report"\n(.+?)```', text, re.DOTALL)
    sent = Notification.objects.get()
    pk = sent.alert_event_id
    body = sent.text_body.replace(f"/alertevent/{pk}/", "/alertevent/1/")
    assert f"Subject: {sent.subject}\n\n{body}".startswith(mail)
    assert capsys.readouterr().out == console
