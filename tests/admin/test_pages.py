"""Every page opens with whatever its rows hold, and shows it as text."""

from __future__ import annotations

import re
from typing import Any

import pytest
import time_machine
from django.contrib import admin
from django.test import Client
from django.utils.html import escape

from monitoring.models import (
    AlertEvent,
    BackgroundTask,
    MonitorRule,
    MonitorRun,
    Notification,
    WorkerHeartbeat,
)
from tests.admin.data import (
    HOSTILE,
    MODELS,
    bare_rows,
    event,
    hostile_rows,
    message,
    run,
    state_of,
    url,
    worker,
)
from tests.factories import NOW, ago, execution, rule

pytestmark = pytest.mark.django_db


def body(client: Client, address: str) -> str:
    response = client.get(address)
    assert response.status_code == 200, (address, response.status_code)
    return response.content.decode()


def facts(page: str) -> str:
    """Return a page without tags, on one line."""
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def test_the_seven_models_and_nothing_else_of_the_app_have_pages() -> None:
    registered = {model for model in admin.site._registry if model._meta.app_label == "monitoring"}

    assert registered == set(MODELS)


def test_the_app_introduces_itself_on_the_index(root: Client) -> None:
    page = facts(body(root, "/admin/"))

    assert "Task monitoring" in page
    for name in (
        "Alert events",
        "Checks",
        "Executions",
        "Notifications",
        "Rules",
        "Workers",
        "Channels",
    ):
        assert name in page


@pytest.mark.parametrize("model", MODELS)
def test_a_list_without_rows_opens(root: Client, model: type[Any]) -> None:
    body(root, url(model, "changelist"))


@pytest.mark.parametrize("number", range(len(MODELS)), ids=[model.__name__ for model in MODELS])
class TestRows:
    def test_html_in_every_text_comes_out_as_text(self, root: Client, number: int) -> None:
        row = hostile_rows()[number]

        for address in (
            url(type(row), "changelist"),
            url(type(row), "change", row.pk),
            url(type(row), "history", row.pk),
        ):
            page = body(root, address)
            assert "<script>alert" not in page, address
            assert "&lt;script&gt;alert" in page, address

    def test_what_is_missing_leaves_a_page_that_opens(self, root: Client, number: int) -> None:
        row = bare_rows()[number]

        for address in (url(type(row), "changelist"), url(type(row), "change", row.pk)):
            assert ">None<" not in body(root, address), address

    def test_every_filter_and_search_is_answered(self, root: Client, number: int) -> None:
        row = hostile_rows()[number]
        for query in (
            "q=%3Cscript%3E",
            "q=%00",
            "state=open",
            "state=acknowledged",
            "state=resolved",
            "state=sent",
            "state=nonsense",
            "status__exact=Stopped",
            "verdict__exact=no_execution",
            "kind__exact=alert",
            "alert=open",
            "alert=none",
            "snoozed=yes",
            "snoozed=no",
            "enabled__exact=1",
            "rule=1",
            "rule=x",
            "rule=99999999999999999999999999",
            "alert_event=1",
            "alert_event=%00",
            "task_name=sync",
            "opened_at__gte=2026-03-01+00%3A00%3A00%2B00%3A00",
            "started_at__gte=junk",
            "task_name=%00",
            "o=1",
            "o=-2.3",
            "p=99",
            "_facets=True",
        ):
            response = root.get(f"{url(type(row), 'changelist')}?{query}")
            assert response.status_code in (200, 302), query

    def test_no_page_carries_inline_styles_or_scripts(self, root: Client, number: int) -> None:
        row = hostile_rows()[number]

        for address in (url(type(row), "changelist"), url(type(row), "change", row.pk)):
            page = body(root, address)
            assert not re.search(r"<[^>]+\sstyle=", page), address
            assert not re.search(r"<[^>]+\son[a-z]+=", page), address
            assert "<style" not in page, address
            for script in re.findall(r"<script[^>]*>", page):
                assert "src=" in script or 'type="application/json"' in script, script


def test_an_event_says_what_failed_since_when_and_how_the_rule_was(root: Client) -> None:
    ran = execution("sync", "Stopped", started=ago(hours=3))
    found = event(
        "sync",
        rule=rule("sync", name="Data is in sync"),
        rule_name="Data is in sync",
        task_id=ran.task_id,
        started_at=ran.started_at,
        resolved_at=ago(minutes=30),
        resolution="recovered",
        lookback_hours=1.5,
        failing_checks=7,
        dependent_tasks=["report", "dashboard"],
    )

    page = body(root, url(AlertEvent, "change", found.pk))

    text = facts(page)
    assert "What failed Task: sync Verdict: Status mismatch" in text
    assert f"Execution: {ran.task_id} Current status: Stopped" in text
    assert "Since when State: Recovered Duration: 1 h 30 min" in text
    assert "Failing checks: 7" in text
    assert "The rule as it was Rule: Data is in sync Expected: Completed" in text
    assert "Lookback window: Last 90 minutes Dependent tasks: report, dashboard" in text
    assert f'href="{url(BackgroundTask, "change", ran.pk)}"' in page
    assert f'href="{url(MonitorRule, "change", found.rule_id)}"' in page


def test_the_execution_of_an_event_is_no_link_once_it_is_gone(root: Client) -> None:
    found = event("sync", task_id="pruned-long-ago")

    page = body(root, url(AlertEvent, "change", found.pk))

    assert "pruned-long-ago" in page
    assert "backgroundtask/" not in page.split('id="content"')[1]


def test_an_event_lists_its_newest_fifty_messages_and_links_to_all(root: Client) -> None:
    found = event("sync")
    messages = [message(found, subject=f"number {number}.") for number in range(53)]
    message(event("other"), subject="somebody else's")

    page = body(root, url(AlertEvent, "change", found.pk))

    assert "number 52." in page
    assert "number 3." in page
    assert "number 2." not in page
    assert "somebody else" not in page
    assert f'href="{url(Notification, "change", messages[-1].pk)}"' in page
    link = f"{url(Notification, 'changelist')}?alert_event={found.pk}"
    assert f'<a href="{link}">53 messages</a>' in page
    listed = facts(body(root, link))
    assert "53 notifications" in listed
    assert "By alert event" in listed


def test_an_event_without_a_rule_says_where_it_comes_from(root: Client) -> None:
    of_arguments = event("sync")
    of_deleted = event("sync", rule_name="Was here")

    assert "Rule: JSON arguments" in facts(body(root, url(AlertEvent, "change", of_arguments.pk)))
    assert "Rule: Was here deleted" in facts(body(root, url(AlertEvent, "change", of_deleted.pk)))


def test_the_list_of_events_says_which_are_open_and_for_whom_nobody_was_told(root: Client) -> None:
    event("sync", alert_owed=True)
    event("sync", acknowledged_at=NOW)
    event("sync", resolved_at=NOW, resolution="rule_deleted")

    page = facts(body(root, url(AlertEvent, "changelist")))

    assert "Open nobody has been told" in page
    assert "Acknowledged" in page
    assert "Rule deleted" in page
    assert "1 alert event" in facts(body(root, url(AlertEvent, "changelist") + "?state=resolved"))


def test_an_execution_shows_its_traceback_and_links_to_rules_and_events(root: Client) -> None:
    ran = execution(
        "sync",
        "Stopped",
        finished_at=ago(minutes=3),
        errors="ValueError: <b>no</b>",
        stack_trace_errors="Traceback\n  File <x>",
    )
    watched = rule("sync")
    found = event("sync", task_id=ran.task_id)

    page = body(root, url(BackgroundTask, "change", ran.pk))

    assert (
        '<pre class="monitoring-pre" tabindex="0">ValueError: &lt;b&gt;no&lt;/b&gt;</pre>' in page
    )
    assert '<pre class="monitoring-pre" tabindex="0">Traceback\n  File &lt;x&gt;</pre>' in page
    assert "Duration: 2 min" in facts(page)
    assert f'href="{url(MonitorRule, "change", watched.pk)}"' in page
    assert f'href="{url(AlertEvent, "change", found.pk)}"' in page


def test_parameters_are_on_the_page_only_if_they_were_recorded(root: Client) -> None:
    without = execution("sync")
    recorded = execution("sync", parameters="(1, day='<today>')")

    assert "Parameters" not in body(root, url(BackgroundTask, "change", without.pk))
    page = body(root, url(BackgroundTask, "change", recorded.pk))
    assert "(1, day=&#x27;&lt;today&gt;&#x27;)</pre>" in page


def test_a_long_error_is_cut_in_lists_to_what_it_ends_with(root: Client) -> None:
    execution("sync", "Stopped", errors="first line\nValueError: " + "x" * 500 + "\n\n")

    page = body(root, url(BackgroundTask, "changelist"))

    assert "ValueError: xxx" in page
    assert "first line" not in page
    assert "x" * 100 not in page


def test_a_check_shows_what_it_found(root: Client) -> None:
    row = run(checked=12, ok=9, failing=2, unknown=1, messages=3, error='rule "A": gone')

    page = facts(body(root, url(MonitorRun, "change", row.pk)))

    assert "State: Complete" in page
    assert "Duration: 1 min" in page
    assert "Checked: 12 Ok: 9" in page
    assert f"Errors: {escape(row.error)}" in page


@pytest.mark.parametrize(
    ("verdict", "columns", "words"),
    [
        ("ok", {}, "OK"),
        ("no_execution", {"failing_checks": 2}, "Failing No execution, 2 checks"),
        ("status_mismatch", {"failing_checks": 1}, "Failing Status mismatch, 1 check"),
        ("unknown", {}, "Unknown"),
        ("in_progress", {}, "In progress"),
        ("", {}, "Never checked"),
    ],
)
def test_the_list_of_rules_says_what_the_last_check_found(
    root: Client, verdict: str, columns: dict[str, int], words: str
) -> None:
    state_of(rule("sync"), verdict, **columns)

    page = facts(body(root, url(MonitorRule, "changelist")))

    assert f"sync rule sync {words} - " in page


def test_a_rule_that_was_pointed_elsewhere_is_not_checked_yet(root: Client) -> None:
    watched = rule("sync")
    state_of(watched, "ok")
    MonitorRule.objects.update(task_name="other")

    assert "Never checked" in body(root, url(MonitorRule, "changelist"))


def test_a_disabled_rule_says_so_instead_of_an_old_state(root: Client) -> None:
    state_of(rule("sync", enabled=False), "ok")

    assert "sync rule sync Disabled -" in facts(body(root, url(MonitorRule, "changelist")))


def test_a_rule_links_to_its_open_event_its_history_and_its_executions(root: Client) -> None:
    (watched, found, *_others) = hostile_rows()
    execution("unrelated")
    event("unrelated")

    page = body(root, url(MonitorRule, "change", watched.pk))

    link = f'href="{url(AlertEvent, "change", found.pk)}"'
    assert link in page
    assert link in body(root, url(MonitorRule, "changelist"))
    history, executions = re.findall(r'<a href="([^"]+)">(?:Alert events|Executions)</a>', page)[
        -2:
    ]
    assert "1 alert event" in facts(body(root, history.replace("&amp;", "&")))
    assert "1 execution" in facts(body(root, executions.replace("&amp;", "&")))


def test_the_list_of_rules_finds_those_with_an_open_event(root: Client) -> None:
    failing, fine = rule("a"), rule("b")
    event("a", rule=failing)
    event("b", rule=fine, resolved_at=NOW)

    page = facts(body(root, url(MonitorRule, "changelist") + "?alert=open"))
    assert "a rule" in page
    assert "b rule" not in page
    page = facts(body(root, url(MonitorRule, "changelist") + "?alert=none"))
    assert "a rule" not in page
    assert "b rule" in page


def test_a_row_written_past_the_checks_of_the_model_can_be_opened_and_repaired(
    root: Client,
) -> None:
    broken = rule("sync")
    MonitorRule.objects.update(
        expected_statuses="Completed", notify_to={"a": 1}, dependent_tasks=[1, None, ["x"]]
    )

    body(root, url(MonitorRule, "changelist"))
    page = body(root, url(MonitorRule, "change", broken.pk))

    assert HOSTILE not in page
    assert "&quot;data&quot;: &quot;[]&quot;" in page


def test_an_event_shows_the_other_settings_of_its_rule_in_the_words_of_the_form(
    root: Client,
) -> None:
    said = {"notify_to": ["a@example.com"], "remind_hours": 0, "description": "", "gone": 1}
    found = event("sync", rule_settings=said)

    page = facts(body(root, url(AlertEvent, "change", found.pk)))

    assert "Other settings: Notify: a@example.com Remind every, in hours: 0" in page
    assert "gone" not in page


def test_an_event_whose_settings_are_not_what_they_should_be_opens(root: Client) -> None:
    found = event("sync", rule_settings=["odd"])

    assert root.get(url(AlertEvent, "change", found.pk)).status_code == 200


def test_the_list_of_executions_links_to_the_rules_and_events_of_each_task(root: Client) -> None:
    execution("a&b")

    page = body(root, url(BackgroundTask, "changelist"))

    assert f'href="{url(MonitorRule, "changelist")}?task_name=a%26b"' in page
    assert f'href="{url(AlertEvent, "changelist")}?task_name=a%26b"' in page


@pytest.mark.parametrize(
    ("columns", "state"),
    [
        ({"seen_at": ago(minutes=10)}, "At work"),
        ({"seen_at": ago(minutes=11)}, "Lost"),
        ({"seen_at": ago(minutes=11), "stopped_at": ago(minutes=11)}, "Stopped"),
    ],
    ids=["seen lately", "not seen for long", "shut down"],
)
def test_a_worker_says_how_it_does(root: Client, columns: dict[str, Any], state: str) -> None:
    row = worker("celery@worker-1", **columns)

    with time_machine.travel(NOW, tick=False):
        for address in (
            url(WorkerHeartbeat, "changelist"),
            url(WorkerHeartbeat, "change", row.pk),
        ):
            page = body(root, address)
            assert f">{state}</span>" in page
            assert "celery@worker-1" in page


def test_a_worker_says_what_it_takes_tasks_from(root: Client) -> None:
    row = worker("celery@worker-1", queues=["celery", "reports"])

    for page in pages_of(root, row):
        assert "celery, reports" in page


def test_the_event_of_beat_says_that_no_rule_watches_it(root: Client) -> None:
    row = event("celery beat", key="beat")

    for page in pages_of(root, row):
        assert "the monitor itself, while others wait for it" in page


def pages_of(client: Client, row: Any) -> list[str]:
    """Return the list that a row stands in and its own page."""
    addresses = url(type(row), "changelist"), url(type(row), "change", row.pk)
    return [client.get(address).content.decode() for address in addresses]
