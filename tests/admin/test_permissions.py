"""Who may open what, and that history is nobody's to change."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from monitoring.models import AlertEvent, BackgroundTask, MonitorRule, Notification
from tests.admin.conftest import client_of, staff
from tests.admin.data import HISTORY, MODELS, event, hostile_rows, message, state_of, url
from tests.factories import NOW, execution, rule

pytestmark = [pytest.mark.django_db, pytest.mark.any_database, pytest.mark.matrix]


def addresses(row: Any) -> list[str]:
    model = type(row)
    found = [url(model, "changelist"), url(model, "add")]
    found += [url(model, page, row.pk) for page in ("change", "delete", "history")]
    if model is Notification:
        found.append(url(model, "html", row.pk))
    return found


def snapshot() -> list[Any]:
    return [list(model.objects.order_by("pk").values()) for model in MODELS]


def test_strangers_are_sent_to_the_login_page(client: Client) -> None:
    for row in hostile_rows():
        for address in addresses(row):
            for response in (client.get(address), client.post(address)):
                assert response.status_code == 302, address
                assert response["Location"].startswith("/admin/login/"), address


def test_staff_without_a_permission_get_403_everywhere(nora: Client) -> None:
    before = None
    for row in hostile_rows():
        before = before or snapshot()
        for address in addresses(row):
            assert nora.get(address).status_code == 403, address
            assert nora.post(address).status_code in (403, 405), address
    assert snapshot() == before
    assert "monitoring" not in nora.get("/admin/").content.decode()


def test_viewers_look_at_everything_and_change_nothing(vera: Client) -> None:
    rows = hostile_rows()
    before = snapshot()

    for row in rows:
        model = type(row)
        assert vera.get(url(model, "changelist")).status_code == 200
        assert vera.get(url(model, "change", row.pk)).status_code == 200
        assert vera.get(url(model, "history", row.pk)).status_code == 200
        assert vera.get(url(model, "add")).status_code == 403
        assert vera.get(url(model, "delete", row.pk)).status_code == 403
        for page in ("change", "delete"):
            assert vera.post(url(model, page, row.pk), {"post": "yes"}).status_code == 403
        assert vera.post(url(model, "add"), {"post": "yes"}).status_code == 403
        for action in ("delete_selected", "enable", "disable"):
            form = {"action": action, "_selected_action": [row.pk], "index": 0, "post": "yes"}
            vera.post(url(model, "changelist"), form)
    assert snapshot() == before


@pytest.mark.parametrize("model", HISTORY)
def test_not_even_a_superuser_writes_history(root: Client, model: type[Any]) -> None:
    row = next(row for row in hostile_rows() if type(row) is model)
    before = snapshot()

    for page in ("change", "delete"):
        assert root.post(url(model, page, row.pk), {"post": "yes"}).status_code == 403
    assert root.get(url(model, "delete", row.pk)).status_code == 403
    assert root.get(url(model, "add")).status_code == 403
    assert root.post(url(model, "add"), {}).status_code == 403
    form = {"action": "delete_selected", "_selected_action": [row.pk], "index": 0, "post": "yes"}
    root.post(url(model, "changelist"), form)
    assert snapshot() == before


def test_the_messages_of_an_event_cannot_be_written_through_it(root: Client) -> None:
    found = event("sync")
    sent = message(found)

    response = root.post(
        url(AlertEvent, "change", found.pk),
        {
            "notifications-TOTAL_FORMS": 1,
            "notifications-INITIAL_FORMS": 1,
            "notifications-0-id": sent.pk,
            "notifications-0-DELETE": "on",
        },
    )

    assert response.status_code == 403
    assert Notification.objects.filter(pk=sent.pk).exists()


def test_permission_to_change_or_delete_is_not_permission_to_view_history(db: None) -> None:
    client = client_of(staff("dan", "change_alertevent", "delete_alertevent"))

    assert client.get(url(AlertEvent, "changelist")).status_code == 403


def test_a_rule_with_history_can_be_deleted_and_its_history_stays(ed: Client) -> None:
    watched = rule("sync", name="Mine")
    found = event("sync", rule=watched, rule_name="Mine", resolved_at=NOW)

    response = ed.post(url(MonitorRule, "delete", watched.pk), {"post": "yes"})

    assert response.status_code == 302
    assert not MonitorRule.objects.exists()
    found.refresh_from_db()
    assert (found.rule, found.rule_name) == (None, "Mine")


def test_who_may_not_view_events_messages_or_executions_sees_none_of_them_elsewhere(
    ed: Client,
) -> None:
    watched = rule("sync")
    state = state_of(watched, "ok")
    found = event("sync", rule=watched, open_key=state.key)
    message(found)

    for address in (url(MonitorRule, "changelist"), url(MonitorRule, "change", watched.pk)):
        assert url(AlertEvent, "change", found.pk) not in ed.get(address).content.decode()
    # Nor by asking which rules have one.
    assert ed.get(url(MonitorRule, "changelist") + "?alert=open").status_code == 200
    page = ed.get(url(MonitorRule, "changelist") + "?alert=none").content.decode()
    assert "sync rule" in page

    of_events = client_of(staff("eva", "view_alertevent"))
    page = of_events.get(url(AlertEvent, "change", found.pk)).content.decode()
    assert "ops@example.com" not in page
    assert "1 message" not in page

    ran = execution("sync")
    event("sync", task_id=ran.task_id)
    of_executions = client_of(staff("exa", "view_backgroundtask"))
    page = of_executions.get(url(BackgroundTask, "change", ran.pk)).content.decode()
    assert "sync rule" not in page
    assert "Status mismatch" not in page


def test_a_cause_which_may_quote_an_error_is_for_those_who_may_view_executions() -> None:
    found = event("sync", cause="It raised KeyError: balance")
    for permissions, may_view in (
        (["view_alertevent"], False),
        (["view_alertevent", "view_backgroundtask"], True),
    ):
        client = client_of(staff(f"eva-{may_view}", *permissions))
        page = client.get(url(AlertEvent, "change", found.pk)).content.decode()
        form = {"format": "0", "resource": "0"}
        exported = client.post(url(AlertEvent, "export"), form).content.decode()

        assert ("balance" in page, "balance" in exported) == (may_view, may_view)


def test_a_filter_by_a_rule_does_not_tell_its_name_to_those_who_may_not_view_it() -> None:
    watched = rule("sync", name="Secret project")
    event("sync", rule=watched)
    client = client_of(staff("eva", "view_alertevent"))

    page = client.get(url(AlertEvent, "changelist") + f"?rule={watched.pk}").content.decode()

    assert "Secret project" not in page


@pytest.mark.parametrize("model", HISTORY)
def test_pages_of_history_offer_nothing_that_would_be_refused(
    root: Client, model: type[Any]
) -> None:
    row = next(row for row in hostile_rows() if type(row) is model)

    for address in (url(model, "changelist"), url(model, "change", row.pk)):
        page = root.get(address).content.decode()
        assert f'href="{url(model, "add")}"' not in page
        assert f'href="{url(model, "delete", row.pk)}"' not in page
        assert 'name="_save"' not in page
        assert 'name="action"' not in page
