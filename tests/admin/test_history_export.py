"""History as files."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from monitoring.admin import history_export
from monitoring.admin.history_export import harmless
from monitoring.models import AlertEvent, BackgroundTask
from tests.admin.data import event, url
from tests.factories import NOW, execution

pytestmark = pytest.mark.django_db

CSV, JSON = "0", "1"


def exported(client: Client, model: type[Any], form: str, query: str = "") -> str:
    response = client.post(url(model, "export") + query, {"format": form, "resource": "0"})
    assert response.status_code == 200
    return str(response.content.decode())


def test_executions_are_exported_as_csv(root: Client) -> None:
    execution("sync", "Stopped", errors="ValueError: no", context_id="7")

    (row,) = csv.DictReader(io.StringIO(exported(root, BackgroundTask, CSV)))

    assert (row["task_name"], row["status"], row["context_id"]) == ("sync", "Stopped", "7")
    assert row["errors"] == "ValueError: no"


def test_alert_events_are_exported_as_json_with_native_values(root: Client) -> None:
    above = event("upstream", resolved_at=NOW)
    event("sync", note="On it.", upstream=above, failing_checks=3)

    row = json.loads(exported(root, AlertEvent, JSON, "?task_name=sync"))[0]

    assert (row["task_name"], row["verdict"], row["note"]) == ("sync", "status_mismatch", "On it.")
    assert row["expected_statuses"] == ["Completed"]
    assert (row["failing_checks"], row["lookback_hours"], row["upstream"]) == (3, 1.0, above.pk)
    assert (row["opened_at"], row["resolved_at"]) == ("2026-03-10T10:00:00+00:00", None)


def test_csv_holds_times_in_the_zone_of_the_page_and_lists_as_json(root: Client) -> None:
    event("sync", expected_statuses=["Completed", "Running"])

    (row,) = csv.DictReader(io.StringIO(exported(root, AlertEvent, CSV)))

    assert (row["opened_at"], row["resolved_at"]) == ("2026-03-10 10:00:00", "")
    assert row["expected_statuses"] == '["Completed", "Running"]'


def test_only_what_the_filters_of_the_list_leave_is_exported(root: Client) -> None:
    execution("sync")
    execution("other")

    rows = list(csv.DictReader(io.StringIO(exported(root, BackgroundTask, CSV, "?task_name=sync"))))

    assert [row["task_name"] for row in rows] == ["sync"]


def test_parameters_which_may_hold_secrets_are_not_exported(root: Client) -> None:
    execution("sync", parameters="password='hunter2'")

    assert "hunter2" not in exported(root, BackgroundTask, CSV)


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_cell_of_a_csv_is_a_formula(root: Client, start: str) -> None:
    execution(f"{start}cmd|' /C calc'!A0", errors=f'{start}HYPERLINK("https://evil")')

    (row,) = csv.DictReader(io.StringIO(exported(root, BackgroundTask, CSV), newline=""))

    assert row["task_name"][0] == row["errors"][0] == "'"


@given(st.text())
def test_a_harmless_cell_holds_all_of_the_text(text: str) -> None:
    assert harmless(text).removeprefix("'") == text.removeprefix("'")
    assert not harmless(text).startswith(("=", "+", "-", "@", "\t", "\r"))


def test_more_rows_than_fit_are_refused_with_advice(
    root: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_export, "MOST_ROWS", 1)
    execution("a")
    execution("b")

    response = root.post(
        url(BackgroundTask, "export"), {"format": CSV, "resource": "0"}, follow=True
    )

    assert "narrow the list" in str(next(iter(response.context["messages"])))


@pytest.mark.parametrize("model", [AlertEvent, BackgroundTask])
def test_who_may_not_view_the_rows_may_not_export_them(
    ed: Client, nora: Client, model: type[Any]
) -> None:
    for client in (ed, nora, Client()):
        response = client.post(url(model, "export"), {"format": CSV, "resource": "0"})
        assert response.status_code in (302, 403)


def test_the_form_begins_with_a_format(root: Client) -> None:
    page = root.get(url(BackgroundTask, "export")).content.decode()

    assert '<option value="0">csv</option>' in page
    assert "---" not in page.split('name="format"')[1].split("</select>")[0]
