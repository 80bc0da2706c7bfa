"""The form of a rule: what is right is saved, what is wrong gets one clear error at its field."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.core.exceptions import ValidationError
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from monitoring.admin.fields import ListField
from monitoring.core.fields import read_names
from monitoring.models import MonitorRule
from tests.admin.data import url
from tests.factories import execution, rule

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]

ADD = "/admin/monitoring/monitorrule/add/"


def form(**changes: Any) -> dict[str, Any]:
    """Return what a browser sends for a new rule; None leaves a field out."""
    values: dict[str, Any] = {
        "name": "Data is synchronised",
        "task_name": "hourly_data_sync",
        "enabled": "on",
        "expected_statuses": '["Completed"]',
        "lookback_hours": "1.5",
        "max_runtime_minutes": "",
        "max_duration_factor": "",
        "min_success_rate": "",
        "while_running": "wait",
        "notify_to": "[]",
        "description": "",
        "alert_after": "1",
        "remind_hours": "",
        "notify_on_recovery": "on",
        "snoozed_until_0": "",
        "snoozed_until_1": "",
        "dependent_tasks": "[]",
        "context_model": "",
        "context_field": "",
        "context_type": "",
    } | changes
    return {name: value for name, value in values.items() if value is not None}


def errors(client: Client, address: str = ADD, **changes: Any) -> dict[str, list[str]]:
    """Return the errors of a form that is refused, by field; `__all__` holds those of none."""
    response = client.post(address, form(**changes))
    assert response.status_code == 200, response.status_code
    return {
        field: [str(error) for error in found]
        for field, found in response.context["adminform"].form.errors.items()
    }


def save(client: Client, **changes: Any) -> MonitorRule:
    response = client.post(ADD, form(**changes))
    assert response.status_code == 302, response.context["adminform"].form.errors
    return MonitorRule.objects.get()


def test_the_form_has_its_five_groups_and_offers_the_defaults(ed: Client) -> None:
    page = ed.get(ADD).content.decode()

    groups = (
        "What to watch",
        "What is expected",
        "Whom to tell",
        "What depends on it",
        "Advanced",
    )
    positions = [page.index(f'class="fieldset-heading">{group}</h2>') for group in groups]
    assert positions == sorted(positions)
    assert 'name="expected_statuses" data' in page.replace("\n", "")
    assert ">[&quot;Completed&quot;]</textarea>" in page


def test_each_field_says_in_a_line_what_it_is_for(ed: Client) -> None:
    fields = ed.get(ADD).context["adminform"].form.fields

    assert [name for name, field in fields.items() if not field.help_text] == []


def test_a_name_that_nobody_ever_saw_is_saved_with_a_warning(root: Client) -> None:
    execution("hourly_data_sync")

    response = root.post(ADD, form(task_name="hourly_data_snyc"), follow=True)

    said = [str(message) for message in response.context["messages"]]
    assert said[0] == (
        "Task hourly_data_snyc: No task of this name was ever seen here "
        '(did you mean "hourly_data_sync"?)'
    )
    assert MonitorRule.objects.get().task_name == "hourly_data_snyc"


def test_a_name_that_has_run_is_saved_without_one(root: Client) -> None:
    execution("hourly_data_sync")

    response = root.post(ADD, form(), follow=True)

    (said,) = (str(message) for message in response.context["messages"])
    assert "was added successfully" in said


def test_who_may_not_see_the_log_is_not_told_that_a_task_never_ran(ed: Client) -> None:
    execution("hourly_data_sync")

    response = ed.post(ADD, form(), follow=True)

    said = [str(message) for message in response.context["messages"]]
    assert said[0].endswith("No task of this name is known, apart from those that have run.")


def test_a_rule_is_saved_as_it_was_filled_in(ed: Client) -> None:
    row = save(
        ed,
        expected_statuses='["Completed", "Running"]',
        notify_to='["a@example.com", " b@example.com ", ""]',
        dependent_tasks='["report", "dashboard", ""]',
        description="Call them.",
        max_runtime_minutes="90",
        max_duration_factor="2.5",
        min_success_rate="90",
        while_running="judge",
        alert_after="3",
        remind_hours="0",
        notify_on_recovery=None,
        snoozed_until_0="2026-04-01",
        snoozed_until_1="09:30:00",
    )

    assert (row.name, row.task_name, row.enabled) == (
        "Data is synchronised",
        "hourly_data_sync",
        True,
    )
    assert row.expected_statuses == ["Completed", "Running"]
    assert row.notify_to == ["a@example.com", "b@example.com"]
    assert row.dependent_tasks == ["report", "dashboard"]
    assert (row.lookback_hours, row.max_runtime_minutes, row.remind_hours) == (1.5, 90, 0)
    assert (row.max_duration_factor, row.min_success_rate) == (2.5, 90)
    assert (row.alert_after, row.while_running, row.notify_on_recovery) == (3, "judge", False)
    assert row.snoozed_until == datetime(2026, 4, 1, 9, 30, tzinfo=UTC)


def test_a_rule_needs_no_more_than_a_name_and_a_task(ed: Client) -> None:
    row = save(ed, notify_to="", dependent_tasks="", lookback_hours="1")

    assert (row.expected_statuses, row.notify_to, row.dependent_tasks) == (["Completed"], [], [])


def test_a_change_is_logged_with_the_fields_that_changed(ed: Client) -> None:
    row = save(ed)

    response = ed.post(
        url(MonitorRule, "change", row.pk), form(lookback_hours="2", notify_to='["a@b.example"]')
    )

    assert response.status_code == 302
    entry = LogEntry.objects.order_by("-pk").first()
    assert entry is not None
    assert entry.get_change_message() == "Changed Look back, in hours and Notify."


def test_numbers_are_shown_as_one_would_write_them(ed: Client) -> None:
    row = save(ed, lookback_hours="25", remind_hours="0", max_runtime_minutes="1.25")

    page = ed.get(url(MonitorRule, "change", row.pk)).content.decode()

    for name, value in (("lookback_hours", 25), ("remind_hours", 0), ("max_runtime_minutes", 1.25)):
        assert f'<input type="number" name="{name}" value="{value}"' in page


def test_saving_without_a_change_logs_none(ed: Client) -> None:
    row = save(ed, expected_statuses='["Completed", "Running"]', notify_to='["a@example.com"]')

    ed.post(
        url(MonitorRule, "change", row.pk),
        form(expected_statuses='["Completed", "Running"]', notify_to='["a@example.com"]'),
    )

    entry = LogEntry.objects.order_by("-pk").first()
    assert entry is not None
    assert entry.get_change_message() == "No fields changed."


REQUIRED = "This field is required."
NUMBER = "Enter a number."
WHOLE = "Enter a whole number."
BROKEN = "A value holds control characters or broken text: type it again."
NO_CHOICE = "Select a valid choice. sometimes is not one of the available choices."
NO_ADDRESS = '{} is not an e-mail address: write it like "admin@example.com"'
ALL_STATUSES = "Pending, Queued, Running, Completed, Stopped, Cancelled, Invalidated"


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("name", "", REQUIRED),
        ("name", "x" * 256, "Ensure this value has at most 255 characters (it has 256)."),
        ("name", "nul\0", "Null characters are not allowed."),
        ("task_name", "", REQUIRED),
        ("task_name", "   ", REQUIRED),
        ("expected_statuses", "", f"Is empty: name at least one of {ALL_STATUSES}"),
        ("expected_statuses", "[]", f"Is empty: name at least one of {ALL_STATUSES}"),
        ("expected_statuses", '[""]', f"Is empty: name at least one of {ALL_STATUSES}"),
        (
            "expected_statuses",
            '["Complete"]',
            '"Complete" is not a status: did you mean "Completed"?',
        ),
        ("expected_statuses", "[1e400]", f"Infinity is not a status: use {ALL_STATUSES}"),
        ("expected_statuses", "[NaN]", f"NaN is not a status: use {ALL_STATUSES}"),
        (
            "expected_statuses",
            '"Completed"',
            'Must be a list, got the text "Completed": write ["Completed"]',
        ),
        ("expected_statuses", "Completed", "Enter a valid JSON."),
        ("expected_statuses", "[" * 100_000, "This is not a list."),
        ("lookback_hours", "", REQUIRED),
        ("lookback_hours", "0", "Must be greater than 0."),
        ("lookback_hours", "-1", "Must be greater than 0."),
        ("lookback_hours", "87601", "Ensure this value is less than or equal to 87600."),
        ("lookback_hours", "1,5", NUMBER),
        ("lookback_hours", "NaN", NUMBER),
        ("lookback_hours", "Infinity", NUMBER),
        ("lookback_hours", "-inf", NUMBER),
        ("lookback_hours", "1e400", NUMBER),
        ("max_runtime_minutes", "0", "Must be greater than 0."),
        ("max_runtime_minutes", "NaN", NUMBER),
        (
            "max_duration_factor",
            "0.5",
            "Must be from 1 to 1000, got 0.5: write how many times the usual duration is allowed, "
            "such as 2",
        ),
        ("max_duration_factor", "NaN", NUMBER),
        (
            "min_success_rate",
            "0.9",
            "Must be from 1 to 100, got 0.9: write a percentage, such as 90 for 90 %",
        ),
        ("min_success_rate", "1e400", NUMBER),
        ("max_runtime_minutes", "1e400", NUMBER),
        ("remind_hours", "-1", "Ensure this value is greater than or equal to 0."),
        ("remind_hours", "nan", NUMBER),
        ("remind_hours", "1e400", NUMBER),
        ("alert_after", "0", "Ensure this value is greater than or equal to 1."),
        ("alert_after", "1.5", WHOLE),
        ("alert_after", "NaN", WHOLE),
        ("alert_after", "Infinity", WHOLE),
        ("alert_after", "1e400", WHOLE),
        ("notify_to", '["nobody"]', NO_ADDRESS.format('"nobody"')),
        ("notify_to", "[1]", NO_ADDRESS.format(1)),
        ("notify_to", '{"a": 1}', 'Must be a list such as ["admin@example.com"], got {"a": 1}'),
        ("notify_to", '["a@b.c Bcc: d@e.f"]', NO_ADDRESS.format('"a@b.c Bcc: d@e.f"')),
        ("dependent_tasks", "[null]", "The task name must be a non-empty text, got null"),
        ("dependent_tasks", '["a\\u0000b"]', BROKEN),
        ("dependent_tasks", '["\\ud800"]', BROKEN),
        ("while_running", "sometimes", NO_CHOICE),
        ("snoozed_until_0", "tomorrow", "Enter a valid date."),
    ],
)
def test_a_wrong_value_gets_one_error_at_its_field(
    ed: Client, field: str, value: str, message: str
) -> None:
    changes = {field: value}
    if field == "snoozed_until_0":
        changes["snoozed_until_1"] = "09:00"

    found = errors(ed, **changes)

    assert found == {field.removesuffix("_0"): [message]}
    assert not MonitorRule.objects.exists()


def test_a_share_of_successes_needs_a_success_to_expect(ed: Client) -> None:
    found = errors(ed, min_success_rate="90", expected_statuses='["Running"]')

    assert found == {
        "min_success_rate": ["Needs an expected status that ends an execution, such as Completed."]
    }


def test_every_wrong_address_is_named(ed: Client) -> None:
    found = errors(ed, notify_to='["a", "ok@example.com", "b"]')

    assert [text.split(" is")[0] for text in found["notify_to"]] == ['"a"', '"b"']


def test_what_was_typed_is_still_there_beside_its_error(ed: Client) -> None:
    response = ed.post(ADD, form(notify_to='["nobody"]'))

    assert ">[&quot;nobody&quot;]</textarea>" in response.content.decode()


def test_a_name_that_is_taken_is_refused_at_the_name(ed: Client) -> None:
    rule("other", name="Data is synchronised")

    assert errors(ed) == {"name": ["Rule with this Name already exists."]}


def test_a_wrong_context_is_shown_although_its_group_is_folded_away(ed: Client) -> None:
    response = ed.post(ADD, form(context_type="Hourly"))

    page = response.content.decode()
    assert "context_type is given without context_model: set both or neither" in page
    assert "<details>" not in page


@given(
    text=st.recursive(
        st.none() | st.booleans() | st.floats() | st.text() | st.integers(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ).map(json.dumps)
    | st.text()
)
def test_a_list_field_answers_any_junk_with_a_list_or_an_error(text: str) -> None:
    field = ListField(name="Tasks", items={}, read=read_names)

    bound = field.bound_data(text, [])
    drawn = json.loads(field.prepare_value(bound))
    assert all(isinstance(item, str) for item in drawn)
    field.has_changed([], text)
    with suppress(ValidationError):
        assert all(isinstance(item, str) and item for item in field.clean(text))


class TestActions:
    def switch(self, client: Client, action: str, *rows: MonitorRule) -> str:
        response = client.post(
            url(MonitorRule, "changelist"),
            {"action": action, "_selected_action": [row.pk for row in rows], "index": 0},
            follow=True,
        )
        assert response.status_code == 200
        return " ".join(str(message) for message in response.context["messages"])

    def test_disable_switches_off_what_is_selected_and_on(self, ed: Client) -> None:
        first, second, other = rule("a"), rule("b", enabled=False), rule("c")

        assert self.switch(ed, "disable", first, second) == "1 rule was disabled."

        states = MonitorRule.objects.order_by("task_name").values_list("enabled", flat=True)
        assert list(states) == [False, False, True]
        entry = LogEntry.objects.get()
        assert (entry.object_id, entry.user.get_username()) == (str(first.pk), "ed")
        assert entry.get_change_message() == "Changed Enabled."
        assert MonitorRule.objects.get(pk=first.pk).updated_at > first.updated_at
        assert MonitorRule.objects.get(pk=other.pk).updated_at == other.updated_at

    def test_enable_writes_an_entry_for_each_rule(self, ed: Client) -> None:
        rows = [rule(name, enabled=False) for name in "abc"]

        assert self.switch(ed, "enable", *rows) == "3 rules were enabled."

        assert MonitorRule.objects.filter(enabled=True).count() == 3
        assert LogEntry.objects.count() == 3

    def test_nothing_is_logged_when_nothing_changes(self, ed: Client) -> None:
        assert self.switch(ed, "enable", rule("a")) == "0 rules were enabled."
        assert not LogEntry.objects.exists()

    def test_viewers_are_not_offered_them(self, vera: Client) -> None:
        row = rule("a")

        self.switch(vera, "disable", row)

        assert MonitorRule.objects.get().enabled
        assert (
            "Disable selected rules"
            not in vera.get(url(MonitorRule, "changelist")).content.decode()
        )
