"""Import and export of rules in the admin: seen first, then applied whole, and written down."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from monitoring.exchange.resources import export_rules
from monitoring.exchange.rows import MAX_BYTES
from monitoring.models import MonitorRule
from tests.admin.conftest import client_of, staff
from tests.admin.data import HOSTILE, url
from tests.factories import rule

pytestmark = pytest.mark.django_db

NIGHTLY = {"name": "Nightly", "task_name": "report"}


@pytest.fixture(autouse=True)
def uploads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep uploaded files in a folder of their own."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def upload(client: Client, content: object) -> Any:
    """Send a file to the import page; what is not bytes is written as JSON."""
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    file = SimpleUploadedFile("rules.json", data, "application/json")
    return client.post(url(MonitorRule, "import"), {"import_file": file, "format": "0"})


def confirm(client: Client, preview: Any, **changes: str) -> Any:
    form = preview.context["confirm_form"]
    return client.post(url(MonitorRule, "process_import"), {**form.initial, **changes}, follow=True)


def load(client: Client, content: object) -> Any:
    """Upload a file that must be accepted, and confirm it."""
    preview = upload(client, content)
    assert "confirm_form" in preview.context, preview.content.decode()
    return confirm(client, preview)


def problems(response: Any) -> list[str]:
    assert response.status_code == 200
    assert "confirm_form" not in response.context
    return list(response.context["result"].problems())


def said(response: Any) -> list[str]:
    return [str(message) for message in response.context["messages"]]


class TestWhoMay:
    def test_import_needs_permission_to_add_and_to_change(self) -> None:
        for codenames, status in [
            (["add_monitorrule", "view_monitorrule"], 403),
            (["change_monitorrule"], 403),
            (["add_monitorrule", "change_monitorrule"], 200),
        ]:
            client = client_of(staff("-".join(codenames), *codenames))
            assert client.get(url(MonitorRule, "import")).status_code == status, codenames
            assert upload(client, [NIGHTLY]).status_code == status, codenames

    def test_confirming_needs_the_same_permission(self, vera: Client) -> None:
        assert vera.post(url(MonitorRule, "process_import"), {}).status_code == 403

    def test_export_needs_permission_to_view(self, vera: Client, nora: Client) -> None:
        for client, status in [(vera, 200), (nora, 403)]:
            assert client.get(url(MonitorRule, "export")).status_code == status
            assert client.post(url(MonitorRule, "export"), {"format": "0"}).status_code == status

    def test_the_page_names_what_the_file_will_hold(self, vera: Client) -> None:
        page = vera.get(url(MonitorRule, "export")).content.decode()

        assert "notify_on_recovery" in page
        assert "snoozed_until" not in page

    def test_strangers_are_sent_to_the_login_page(self, client: Client) -> None:
        for page in ("import", "export"):
            assert client.get(url(MonitorRule, page)).status_code == 302
        assert client.post(url(MonitorRule, "process_import")).status_code == 302

    def test_the_list_offers_what_the_user_may_do(self, ed: Client, vera: Client) -> None:
        for client, may_import in [(ed, True), (vera, False)]:
            page = client.get(url(MonitorRule, "changelist")).content.decode()
            assert (url(MonitorRule, "import") in page) is may_import
            assert url(MonitorRule, "export") in page

    def test_an_import_is_confirmed_by_a_form_with_a_token(self) -> None:
        strict = Client(enforce_csrf_checks=True)
        strict.force_login(staff("eve", "add_monitorrule", "change_monitorrule"))

        assert strict.post(url(MonitorRule, "process_import"), {}).status_code == 403
        assert strict.get(url(MonitorRule, "process_import")).status_code == 405


class TestThePreview:
    def test_shows_every_change_and_makes_none(self, ed: Client) -> None:
        rule("report", name="Nightly", notify_to=["a@b.c"])

        page = upload(
            ed, [NIGHTLY | {"notify_to": ["d@e.f"]}, {"name": "New", "task_name": "sync"}]
        ).content.decode()

        old, new = "[&quot;a@b.c&quot;]", "[&quot;d@e.f&quot;]"
        assert f"<li>notify_to: <del>{old}</del> <ins>{new}</ins></li>" in page
        assert "<li>task_name: <ins>&quot;sync&quot;</ins></li>" in page
        assert "<li>lookback_hours: <del>" not in page
        assert MonitorRule.objects.get().notify_to == ["a@b.c"]
        assert not LogEntry.objects.exists()

    def test_says_which_rules_stay_as_they_are(self, ed: Client) -> None:
        rule("report", name="Nightly")

        assert "Unchanged" in upload(ed, [NIGHTLY]).content.decode()

    def test_shows_hostile_values_as_the_text_they_are(self, ed: Client) -> None:
        page = upload(ed, [NIGHTLY | {"name": HOSTILE, "description": HOSTILE}]).content.decode()

        assert "<script>alert" not in page
        assert "&lt;script&gt;alert" in page

    def test_cannot_be_skipped_by_a_setting_of_the_host(self, ed: Client, settings: Any) -> None:
        settings.IMPORT_EXPORT_SKIP_ADMIN_CONFIRM = True

        assert "confirm_form" in upload(ed, [NIGHTLY]).context
        assert not MonitorRule.objects.exists()


class TestConfirming:
    def test_applies_the_file(self, ed: Client) -> None:
        rule("report", name="Nightly")

        response = load(ed, [NIGHTLY | {"lookback_hours": 25}, {"name": "B", "task_name": "b"}])

        assert said(response) == [
            "Import finished: 1 new, 1 updated, 0 deleted and 0 skipped rules."
        ]
        assert MonitorRule.objects.get(name="Nightly").lookback_hours == 25
        assert MonitorRule.objects.filter(name="B").exists()

    def test_logs_which_rules_were_added_or_changed_and_which_fields(self, ed: Client) -> None:
        rule("report", name="Nightly")
        rule("same", name="Same")

        load(
            ed,
            [
                NIGHTLY | {"lookback_hours": 25, "notify_to": ["a@b.c"]},
                {"name": "B", "task_name": "b"},
                {"name": "Same", "task_name": "same"},
            ],
        )

        entries = {entry.object_repr: entry for entry in LogEntry.objects.all()}
        assert {name: entry.get_change_message() for name, entry in entries.items()} == {
            "Nightly": "Changed Look back, in hours and Notify.",
            "B": "Added.",
        }
        assert {entry.user.get_username() for entry in entries.values()} == {"ed"}
        assert entries["B"].object_id == str(MonitorRule.objects.get(name="B").pk)

    def test_accepts_documented_arguments(self, ed: Client) -> None:
        load(ed, [{"sync": {"expected_statuses": ["Completed"], "notify_to": ["a@b.c"]}}])

        found = MonitorRule.objects.get()
        assert (found.name, found.remind_hours, found.notify_to) == ("sync", 0, ["a@b.c"])

    def test_brings_back_what_was_exported(self, ed: Client) -> None:
        rule("sync", name="Täglich", notify_to=["a@b.c"])
        exported = export_rules()
        MonitorRule.objects.all().delete()

        load(ed, exported.encode())

        assert export_rules() == exported

    def test_changes_nothing_when_a_row_has_become_wrong_since(self, ed: Client) -> None:
        context = {"context_model": "gap.IngestorSession", "context_type": "Daily"}
        rule("b", name="B", **context)
        preview = upload(ed, [NIGHTLY, {"name": "B", "context_model": "gap.IngestorSession"}])
        MonitorRule.objects.filter(name="B").update(
            context_model="", context_type="", context_field=""
        )

        response = confirm(ed, preview)

        assert said(response) == [
            'row 2 ("B"), context_model: '
            "context_model is given without context_type: set both or neither"
        ]
        assert not MonitorRule.objects.filter(name="Nightly").exists()
        assert not LogEntry.objects.exists()

    def test_a_second_time_asks_for_the_file_again(self, ed: Client) -> None:
        preview = upload(ed, [NIGHTLY])
        confirm(ed, preview)

        assert said(confirm(ed, preview)) == ["The uploaded file is gone. Upload it again."]

    def test_takes_no_other_file_of_the_server(self, ed: Client, uploads: Path) -> None:
        other = uploads / "other.json"
        other.write_text(json.dumps([NIGHTLY]))

        response = confirm(ed, upload(ed, [NIGHTLY]), import_file_name=str(other))

        assert "Upload the file again." in response.content.decode()
        assert other.exists()
        assert not MonitorRule.objects.exists()

    def test_takes_no_upload_of_somebody_else(self, ed: Client, root: Client) -> None:
        confirm(root, upload(ed, [NIGHTLY]))

        assert not MonitorRule.objects.exists()

    def test_leaves_no_upload_behind(self, ed: Client, uploads: Path) -> None:
        load(ed, [NIGHTLY])
        upload(ed, [{"name": ""}])
        upload(ed, b"no json")

        assert list(uploads.iterdir()) == []


class TestARefusedFile:
    def test_changes_nothing_and_says_row_field_and_value(self, ed: Client) -> None:
        response = upload(ed, [NIGHTLY, {"name": "B", "task_name": "b", "alert_after": "2"}])

        expected = 'row 2 ("B"), alert_after: must be a whole number, got "2"'
        assert problems(response) == [expected]
        assert expected.replace('"', "&quot;") in response.content.decode()
        assert not MonitorRule.objects.exists()

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"no json", "the file is not JSON: Expecting value: line 1 column 1 (char 0)"),
            (b"[[1, 2]]", "row 1: expected a dictionary, got [1, 2]"),
            (
                b'{"sync": {}}',
                'arguments[0]["sync"]: expected_statuses is required: '
                'write "expected_statuses": ["Completed"]',
            ),
            (b" " * (MAX_BYTES + 1), "The file is larger than 5 MB: split it."),
        ],
        ids=["no JSON", "no rules", "bad arguments", "too large"],
    )
    def test_that_holds_no_rules_says_why(self, ed: Client, content: bytes, message: str) -> None:
        response = upload(ed, content)

        assert response.context["form"].errors["import_file"] == [message]

    def test_may_name_a_context_model_that_the_user_may_not_view(self, ed: Client) -> None:
        refused, unknown = (
            problems(upload(ed, [NIGHTLY | {"context_model": name, "context_type": "Daily"}]))
            for name in ("gap.IngestorSession", "gap.NoSuchModel")
        )

        assert refused == [
            'row 1 ("Nightly"), context_model: "gap.IngestorSession" is not an installed model'
        ]
        assert unknown == [
            'row 1 ("Nightly"), context_model: "gap.NoSuchModel" is not an installed model'
        ]

    def test_does_not_complain_of_a_context_that_it_does_not_change(self, ed: Client) -> None:
        context = {"context_model": "gap.IngestorSession", "context_type": "Daily"}
        rule("report", name="Nightly", **context)

        load(ed, [NIGHTLY | context | {"alert_after": 2}])

        assert MonitorRule.objects.get().alert_after == 2


class TestExport:
    def test_downloads_the_rules_as_a_file(self, vera: Client) -> None:
        rule("sync", name="Täglich")

        response = vera.post(url(MonitorRule, "export"), {"format": "0"})

        assert response.content.decode() == export_rules()
        assert response["Content-Type"] == "application/json; charset=utf-8"
        assert re.fullmatch(
            r'attachment; filename="MonitorRule-[\d-]+\.json"', response["Content-Disposition"]
        )

    def test_holds_what_the_list_is_narrowed_to(self, vera: Client) -> None:
        rule("sync", name="A")
        rule("sync", name="B", enabled=False)

        address = url(MonitorRule, "export") + "?enabled__exact=0"
        response = vera.post(address, {"format": "0"})

        assert [item["name"] for item in json.loads(response.content)] == ["B"]


INLINE = re.compile(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+\s*=|javascript:")


def test_no_page_needs_inline_scripts_or_styles(ed: Client) -> None:
    rule("report", name="Nightly")
    pages = {
        "import": ed.get(url(MonitorRule, "import")),
        "preview": upload(
            ed, [NIGHTLY | {"notify_to": ["a@b.c"]}, {"name": "B", "task_name": "b"}]
        ),
        "problems": upload(ed, [{"name": "B", "enabled": 1}]),
        "export": ed.get(url(MonitorRule, "export")),
        "list": ed.get(url(MonitorRule, "changelist")),
    }

    found = {name: INLINE.findall(page.content.decode()) for name, page in pages.items()}

    assert found == {name: [] for name in pages}


def test_a_host_without_the_app_has_the_list_and_no_exchange(ed: Client, settings: Any) -> None:
    settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if app != "import_export"]
    page = type(admin.site.get_model_admin(MonitorRule))(MonitorRule, admin.site)

    assert "import_export" not in page.change_list_template
    assert ed.get(url(MonitorRule, "import")).status_code == 403
    assert ed.get(url(MonitorRule, "export")).status_code == 403


def test_picked_rules_are_exported_as_a_file_that_can_be_imported(root: Client) -> None:
    picked = rule("sync", name="Picked")
    rule("sync", name="Left")

    response = root.post(
        url(MonitorRule, "changelist"),
        {"action": "export_selected", "_selected_action": [picked.pk]},
    )

    assert [row["name"] for row in json.loads(response.content)] == ["Picked"]
    assert "rules.json" in response.headers["Content-Disposition"]
