"""The pages of channels: an address goes in and never comes out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse

from monitoring.channels.apprise import Caller
from monitoring.models import Channel, MonitorRule, Notification
from tests.admin.data import channel, url
from tests.factories import rule
from tests.hook_server import LOOPBACK, Hooks, hook_server
from tests.shell.test_delivery import owed

pytestmark = pytest.mark.django_db

SECRET = "s3cr3t"
URL = f"json://hooks.example.com/{SECRET}"
ADD = url(Channel, "add")


@pytest.fixture
def hooks(settings: Any) -> Iterator[Hooks]:
    settings.MONITORING = settings.MONITORING | LOOPBACK
    with hook_server() as hooks:
        yield hooks


@pytest.fixture
def understood(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every address is understood, without a process that reads it."""
    read: list[str] = []
    monkeypatch.setattr(Caller, "read", lambda self, given: read.append(given))
    return read


def change(row: Channel) -> str:
    return url(Channel, "change", row.pk)


def told(response: Any) -> list[str]:
    return [str(message) for message in get_messages(response.wsgi_request)]


def errors(response: Any) -> dict[str, list[str]]:
    return dict(response.context["adminform"].form.errors)


class TestAnAddress:
    def test_is_stored_encrypted_and_with_its_kind(
        self, root: Client, understood: list[str]
    ) -> None:
        root.post(ADD, {"name": "ops", "url": f" {URL} ", "enabled": "on"})

        made = Channel.objects.get()
        assert (made.name, made.enabled, made.scheme) == ("ops", True, "json")
        assert made.read_url() == URL
        assert understood == [URL]

    def test_is_shown_on_no_page(self, root: Client) -> None:
        row = channel("ops", URL)

        pages = [url(Channel, "changelist"), change(row), url(Channel, "history", row.pk)]
        for address in pages:
            text = root.get(address).content.decode()
            assert SECRET not in text
            assert "hooks.example.com" not in text
        assert "json://…" in root.get(pages[0]).content.decode()
        assert "json://…" in root.get(pages[1]).content.decode()

    def test_that_is_refused_is_not_repeated(self, root: Client) -> None:
        response = root.post(ADD, {"name": "o@ps", "url": f"nonsense://{SECRET}", "enabled": "on"})

        assert errors(response) == {
            "name": ['The channel name must be one line without @ or spaces around it: "o@ps"'],
            "url": ["No service understands this address; see https://appriseit.com/services/"],
        }
        assert SECRET not in response.content.decode()
        assert not Channel.objects.exists()

    @pytest.mark.parametrize(
        ("given", "error"),
        [
            ("", "This field is required."),
            ("hooks.example.com", 'Must be an address such as "slack://…" or "json://…"'),
            ("slack://", 'Must be an address such as "slack://…" or "json://…"'),
            (
                "syslog://x",
                "An address that begins with syslog:// acts on this machine instead of calling a "
                "service",
            ),
        ],
    )
    def test_that_is_none_is_refused_at_its_field(
        self, root: Client, given: str, error: str
    ) -> None:
        response = root.post(ADD, {"name": "ops", "url": given, "enabled": "on"})

        assert errors(response) == {"url": [error]}

    def test_stays_when_none_is_given(self, root: Client) -> None:
        row = channel("ops", URL)

        root.post(change(row), {"url": ""})

        row.refresh_from_db()
        assert row.read_url() == URL
        assert row.enabled is False

    def test_is_replaced_by_another(self, root: Client, understood: list[str]) -> None:
        row = channel("ops", URL)

        root.post(change(row), {"url": "jsons://other.example.com/x", "enabled": "on"})

        row.refresh_from_db()
        assert row.read_url() == "jsons://other.example.com/x"
        assert row.scheme == "jsons"
        assert SECRET not in LogEntry.objects.get().change_message
        assert "other.example.com" not in LogEntry.objects.get().change_message

    def test_can_be_entered_by_no_one_who_may_only_look(self, vera: Client) -> None:
        row = channel("ops", URL)

        text = vera.get(change(row)).content.decode()

        assert 'name="url"' not in text
        assert "json://…" in text
        assert "Send test" not in text

    def test_is_hidden_in_reports_of_errors(self, root: Client, understood: list[str]) -> None:
        response = root.post(ADD, {"name": "ops", "url": URL})

        assert response.wsgi_request.sensitive_post_parameters == ("url",)


class TestAName:
    def test_is_not_changed(self, root: Client) -> None:
        row = channel("ops", URL)

        root.post(change(row), {"name": "other", "url": "", "enabled": "on"})

        row.refresh_from_db()
        assert row.name == "ops"

    def test_is_unique(self, root: Client, understood: list[str]) -> None:
        channel("ops")

        response = root.post(ADD, {"name": "ops", "url": URL})

        assert list(errors(response)) == ["name"]


class TestSendTest:
    def test_says_that_it_was_accepted(self, root: Client, hooks: Hooks) -> None:
        row = channel("ops", hooks.json_url)

        response = root.post(url(Channel, "send_test", row.pk))

        assert told(response) == ["The test message was accepted by json://…"]
        assert hooks.titles == ["Test of task monitoring"]
        assert LogEntry.objects.get().change_message == "A test message was accepted."

    def test_says_why_it_was_not(self, root: Client, hooks: Hooks) -> None:
        row = channel("ops", hooks.json_url)
        hooks.answers = [403]

        response = root.post(url(Channel, "send_test", row.pk))

        (text,) = told(response)
        assert text.startswith("The test message was not accepted: 403 Forbidden")
        assert SECRET not in text

    def test_says_what_keeps_it_from_calling_inside(self, root: Client) -> None:
        row = channel("ops", "json://127.0.0.1:9/x")

        (text,) = told(root.post(url(Channel, "send_test", row.pk)))

        assert "127.0.0.1 is not called, because it is a private address" in text

    def test_is_a_post_of_those_who_may_change_it(self, root: Client, vera: Client) -> None:
        row = channel("ops", URL)

        assert root.get(url(Channel, "send_test", row.pk)).status_code == 405
        assert vera.post(url(Channel, "send_test", row.pk)).status_code == 403

    def test_writes_nothing_into_the_outbox(self, root: Client, hooks: Hooks) -> None:
        row = channel("ops", hooks.json_url)

        root.post(url(Channel, "send_test", row.pk))

        assert not Notification.objects.exists()


class TestAChannelInUse:
    def test_is_not_deleted_while_a_rule_names_it(self, root: Client) -> None:
        row = channel("ops")
        rule("sync", name="Nightly", channels=["ops"])

        page = root.post(url(Channel, "delete", row.pk), {"post": "yes"}).content.decode()

        assert "ops: named by the rule &quot;Nightly&quot;" in page
        assert Channel.objects.exists()

    def test_is_not_deleted_while_a_message_waits_for_it(self, root: Client) -> None:
        row = channel("ops")
        owed("ops", channel="ops")

        page = root.post(url(Channel, "delete", row.pk), {"post": "yes"}).content.decode()

        assert "ops: 1 message waits for it" in page
        assert Channel.objects.exists()

    def test_is_not_deleted_among_others(self, root: Client) -> None:
        rows = [channel("ops"), channel("free")]
        rule("sync", channels=["ops"])
        form = {
            "action": "delete_selected",
            "_selected_action": [row.pk for row in rows],
            "post": "yes",
        }

        root.post(url(Channel, "changelist"), form)

        assert Channel.objects.count() == 2

    def test_names_a_few_rules_and_counts_the_rest(self, root: Client) -> None:
        row = channel("ops")
        for number in range(8):
            rule("sync", name=f"rule {number}", channels=["ops"])

        page = root.get(url(Channel, "delete", row.pk)).content.decode()

        assert page.count("named by the rule") == 5
        assert "ops: 3 more rules" in page

    def test_can_go_when_nothing_needs_it(self, root: Client) -> None:
        row = channel("ops")

        root.post(url(Channel, "delete", row.pk), {"post": "yes"})

        assert not Channel.objects.exists()

    def test_that_is_disabled_says_who_is_told_instead(self, root: Client) -> None:
        row = channel("ops", URL)
        rule("sync", channels=["ops"])

        response = root.post(change(row), {"url": ""})

        assert "1 rule names this channel: superusers get what it would have got." in told(response)

    def test_links_to_its_rules_and_its_messages(self, root: Client) -> None:
        channel("ops")
        rule("sync", channels=["ops"])
        rule("other", channels=["operations"])
        owed("ops", channel="ops")

        page = root.get(url(Channel, "changelist")).content.decode()

        assert '?recipient=ops">1 rule</a>' in page
        assert '?q=ops">1</a>' in page
        rules = root.get(url(MonitorRule, "changelist") + "?recipient=ops")
        assert [row.task_name for row in rules.context["cl"].result_list] == ["sync"]

    def test_is_linked_from_its_messages(self, root: Client) -> None:
        row = owed("ops", channel="ops")

        page = root.get(url(Notification, "change", row.pk)).content.decode()

        assert f'{url(Channel, "changelist")}?q=ops">ops</a>' in page

    def test_with_letters_that_databases_escape_is_found(self, root: Client) -> None:
        rule("sync", channels=["Rufbereitschaft Köln"])

        rules = root.get(url(MonitorRule, "changelist"), {"recipient": "Rufbereitschaft Köln"})

        assert len(rules.context["cl"].result_list) == 1


class TestTheFormOfARule:
    FORM = {
        "name": "Nightly",
        "task_name": "sync",
        "expected_statuses": '["Completed"]',
        "lookback_hours": "1",
        "while_running": "wait",
        "alert_after": "1",
    }

    def test_offers_the_channels_that_there_are(self, root: Client) -> None:
        channel("ops")
        channel("quiet", enabled=False)

        field = root.get(url(MonitorRule, "add")).context["adminform"].form.fields["channels"]

        assert list(field.choices) == [("ops", "ops"), ("quiet", "quiet (disabled)")]

    def test_stores_the_ones_that_were_picked(self, root: Client) -> None:
        channel("ops")
        channel("chat")

        root.post(url(MonitorRule, "add"), self.FORM | {"channels": ["ops", "chat"]})

        assert MonitorRule.objects.get().channels == ["ops", "chat"]

    def test_refuses_one_that_is_not_there(self, root: Client) -> None:
        response = root.post(url(MonitorRule, "add"), self.FORM | {"channels": ["zz"]})

        assert errors(response) == {
            "channels": ["Select a valid choice. zz is not one of the available choices."]
        }

    def test_keeps_one_that_is_there_no_more_until_it_is_taken_off(self, root: Client) -> None:
        row = rule("sync", channels=["gone"])

        page = root.get(url(MonitorRule, "change", row.pk)).content.decode()

        assert "gone (does not exist)" in page

    def test_previews_whom_it_tells(self, root: Client) -> None:
        channel("ops")

        answer = root.post(url(MonitorRule, "preview"), self.FORM | {"channels": ["ops"]})

        assert "<dt>Messages go to</dt><dd>ops</dd>" in answer.json()["panel"]


class TestWithoutThePackages:
    @pytest.fixture(autouse=True)
    def _missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("channel", "channel_form"):
            monkeypatch.setattr(f"monitoring.admin.{name}.is_installed", lambda: False)

    def test_the_pages_say_what_to_install(self, root: Client) -> None:
        text = "pip install django-task-monitoring[channels]"

        for address in (url(Channel, "changelist"), ADD):
            assert text in root.get(address).content.decode()

    def test_no_address_is_taken(self, root: Client) -> None:
        response = root.post(ADD, {"name": "ops", "url": URL})

        assert errors(response) == {
            "url": [
                "Channels need packages that are not there: "
                "pip install django-task-monitoring[channels]"
            ]
        }

    def test_the_rest_of_the_admin_works(self, root: Client) -> None:
        assert root.get(reverse("admin:index")).status_code == 200
        assert root.get(url(MonitorRule, "add")).status_code == 200
