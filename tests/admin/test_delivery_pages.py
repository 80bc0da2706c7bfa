"""What the pages say of held, refused and gathered messages, of gaps and of promises."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from monitoring.models import AlertEvent, MonitorRule, MonitorRun, Notification
from tests.admin.data import event, message, run, url
from tests.factories import ago, execution, rule
from tests.slow_mail import let_each_message_take

pytestmark = pytest.mark.django_db


def page(client: Client, row: Any) -> str:
    return client.get(url(type(row), "change", row.pk)).content.decode()


class TestAcknowledgingUntil:
    def post(self, client: Client, row: AlertEvent, until: str) -> str:
        address = url(AlertEvent, "acknowledge", row.pk)
        response = client.post(address, {"note": "", "until": until}, follow=True)
        row.refresh_from_db()
        return response.content.decode()

    def test_a_time_is_stored(self, olga: Client) -> None:
        row = event("sync")
        until = (timezone.now() + timedelta(days=1)).replace(second=0, microsecond=0)

        shown = self.post(olga, row, until.strftime("%Y-%m-%dT%H:%M"))

        assert row.acknowledged_until == until
        assert "acknowledged until" in shown.lower()

    def test_no_time_means_until_it_is_resolved(self, olga: Client) -> None:
        row = event("sync")

        self.post(olga, row, "")

        assert row.acknowledged_at is not None
        assert row.acknowledged_until is None

    @pytest.mark.parametrize(
        ("until", "error"),
        [("2001-01-01T00:00", "This is in the past."), ("soon", "Enter a valid date/time.")],
    )
    def test_a_wrong_time_is_refused_by_name(self, olga: Client, until: str, error: str) -> None:
        row = event("sync")

        shown = self.post(olga, row, until)

        assert error in shown
        assert "Until: " in shown
        assert row.acknowledged_at is None

    def test_one_with_an_end_may_be_prolonged_and_one_without_may_not(self, olga: Client) -> None:
        ending = event("a", acknowledged_at=ago(hours=1), acknowledged_until=ago(hours=-1))
        lasting = event("b", acknowledged_at=ago(hours=1))

        assert 'name="until"' in page(olga, ending)
        assert 'name="until"' not in page(olga, lasting)

    def test_when_it_has_ended_the_event_counts_as_open_only(self, olga: Client) -> None:
        event("over", acknowledged_at=ago(days=2), acknowledged_until=ago(days=1))
        event("lasting", acknowledged_at=ago(days=2))

        listed = olga.get(url(AlertEvent, "changelist") + "?state=acknowledged").content.decode()

        assert "lasting" in listed
        assert "over</a>" not in listed


def test_an_event_links_to_what_its_alert_waited_behind(root: Client) -> None:
    above = event("import")

    shown = page(root, event("report", upstream=above, alert_owed=True))

    assert f'<a href="{url(AlertEvent, "change", above.pk)}">import: Status mismatch</a>' in shown


def test_an_event_names_the_periodic_task_that_watches_it(root: Client) -> None:
    assert "JSON arguments of Hourly" in page(root, event("sync", periodic_task="Hourly"))


class TestADigest:
    @pytest.fixture
    def digest(self) -> Notification:
        return message(None, is_digest=True, subject="[ALERT] 2 tasks failed their status check")

    def test_links_to_what_it_says(self, root: Client, digest: Notification) -> None:
        member = message(event("sync"), digest=digest, subject="[ALERT] member")
        message(event("other"), subject="[ALERT] stranger")

        assert f'href="{url(Notification, "changelist")}?digest={digest.pk}"' in page(root, digest)
        listed = root.get(url(Notification, "changelist") + f"?digest={digest.pk}")
        assert list(listed.context["cl"].result_list) == [member]

    def test_is_named_by_each_of_them(self, root: Client, digest: Notification) -> None:
        shown = page(root, message(event("sync"), digest=digest))

        assert f'<a href="{url(Notification, "change", digest.pk)}">{digest.subject}</a>' in shown
        assert "Said by a digest, together with others." in shown


def test_a_message_that_stands_in_says_for_which(root: Client) -> None:
    refused = message(event("sync"), recipient="gone@example.com", state="failed")

    shown = page(root, message(None, stands_in_for=refused))

    address = url(Notification, "change", refused.pk)
    assert f'<a href="{address}">the message to gone@example.com, which was refused</a>' in shown


def test_a_check_admits_its_gap_and_links_to_its_messages(root: Client) -> None:
    row = run(not_checked_from=ago(hours=1), messages=1)
    message(event("sync"), run=row)

    shown = page(root, row)

    assert "Not checked since" in shown
    assert f'href="{url(Notification, "changelist")}?run={row.pk}"' in shown


def test_a_check_without_a_gap_has_no_word_of_one(root: Client) -> None:
    assert "Not checked since" not in page(root, run())


@pytest.mark.django_db(transaction=True)
def test_a_person_who_checks_now_waits_ten_seconds_and_one_message_for_a_slow_server(
    root: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_each_message_take(8, monkeypatch)
    picked = []
    for number in range(4):
        execution(f"task {number}", "Stopped", started=timezone.now())
        picked.append(rule(f"task {number}", notify_to=["ops@example.com"]).pk)

    form = {"action": "check_now", "_selected_action": picked}
    shown = root.post(url(MonitorRule, "changelist"), form, follow=True).content.decode()

    assert "2 mails were sent, 2 are still owed." in shown
    assert Notification.objects.due(timezone.now()).count() == 2


def test_the_list_of_messages_costs_the_same_for_digests(
    root: Client, django_assert_max_num_queries: Any
) -> None:
    for number in range(30):
        message(None, is_digest=True, subject=str(number))

    with django_assert_max_num_queries(8):
        root.get(url(Notification, "changelist"))


def test_the_list_of_checks_is_filled(root: Client) -> None:
    run(not_checked_from=ago(hours=1))

    assert root.get(url(MonitorRun, "changelist")).status_code == 200


class TestResolvedByHand:
    def test_an_event_says_who_resolved_it_and_leads_to_its_history(self, olga: Client) -> None:
        row = event("sync")
        address = url(AlertEvent, "change", row.pk)

        page = olga.post(url(AlertEvent, "resolve", row.pk), {"note": "Fixed."}, follow=True)

        assert "Resolved by" in page.content.decode()
        assert ">olga<" in page.content.decode()
        history = url(AlertEvent, "history", row.pk)
        assert f'href="{history}"' in olga.get(address).content.decode()
        assert "resolved: Fixed." in olga.get(history).content.decode()

    def test_one_that_was_resolved_elsewhere_names_nobody_who_acknowledged_it(
        self, olga: Client
    ) -> None:
        row = event("sync")
        olga.post(url(AlertEvent, "acknowledge", row.pk), {})
        AlertEvent.objects.update(
            open_key=None, resolved_at=timezone.now(), resolution=AlertEvent.Resolution.MANUAL
        )

        page = olga.get(url(AlertEvent, "change", row.pk)).content.decode()

        assert "Resolved by hand" in page
        assert "Resolved by:" not in page
