"""The page of a message shows the mail, locked up."""

from __future__ import annotations

import pytest
from django.test import Client

from monitoring.models import Notification
from tests.admin.data import event, message, url

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]

EVIL = "<h1>Alert</h1><script>fetch('/admin/')</script><form action=/x><input></form>"


def test_the_text_is_on_the_page_and_the_html_in_a_frame_of_its_own(root: Client) -> None:
    row = message(event("sync"), text_body="Hello <you>\n  there", html_body=EVIL)

    page = root.get(url(Notification, "change", row.pk)).content.decode()

    assert '<pre class="monitoring-pre" tabindex="0">Hello &lt;you&gt;\n  there</pre>' in page
    assert "fetch(" not in page
    frame = url(Notification, "html", row.pk)
    assert f'src="{frame}" title="The HTML part of the mail"></iframe>' in page
    assert '<iframe class="monitoring-mail" sandbox ' in page


def test_the_frame_forbids_everything_but_looking(root: Client) -> None:
    row = message(None, html_body=EVIL)

    response = root.get(url(Notification, "html", row.pk))

    assert response.content.decode() == EVIL
    assert response["Content-Type"] == "text/html; charset=utf-8"
    assert response["Content-Security-Policy"] == (
        "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    )
    assert response["X-Frame-Options"] == "SAMEORIGIN"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Referrer-Policy"] == "no-referrer"
    assert "no-store" in response["Cache-Control"]


def test_the_frame_is_for_those_who_may_view_messages(
    client: Client, nora: Client, ed: Client, vera: Client
) -> None:
    address = url(Notification, "html", message(None, html_body=EVIL).pk)

    assert client.get(address)["Location"] == f"/admin/login/?next={address}"
    assert nora.get(address).status_code == 403
    assert ed.get(address).status_code == 403
    assert vera.get(address).status_code == 200


@pytest.mark.parametrize("key", [0, 10**30, "x", "1/../2"])
def test_a_frame_of_no_message_is_not_found(root: Client, nora: Client, key: object) -> None:
    address = f"/admin/monitoring/notification/{key}/html/"

    assert root.get(address).status_code == 404
    assert nora.get(address).status_code == 403


def test_the_frame_answers_only_to_reading(root: Client) -> None:
    address = url(Notification, "html", message(None, html_body=EVIL).pk)

    assert root.post(address).status_code == 405
    assert root.head(address).status_code == 200


def test_a_message_that_waits_says_that_it_is_not_rendered_yet(root: Client) -> None:
    row = message(None, state="pending", sent_at=None)

    page = root.get(url(Notification, "change", row.pk)).content.decode()

    assert "Not rendered yet: that happens at the first attempt to deliver it." in page
    assert "<iframe" not in page
    assert root.get(url(Notification, "html", row.pk)).status_code == 404


def test_a_message_that_was_suppressed_says_so_and_why(root: Client) -> None:
    row = message(None, state="suppressed", suppressed_by="snooze", sent_at=None)

    page = root.get(url(Notification, "change", row.pk)).content.decode()

    assert "This message was suppressed, so it was never rendered." in page
    assert "the rule is snoozed" in page


def test_a_message_without_html_shows_its_text_alone(root: Client) -> None:
    row = message(None, text_body="Only this")

    page = root.get(url(Notification, "change", row.pk)).content.decode()

    assert "Only this" in page
    assert "<iframe" not in page
