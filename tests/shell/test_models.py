"""What the tables refuse by themselves, and what `clean()` says in words."""

from __future__ import annotations

import math
from typing import Any

import pytest
from django.apps import apps
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import DatabaseError, IntegrityError, connection, models, transaction

from monitoring.models import (
    AlertEvent,
    BackgroundTask,
    Channel,
    DeliveryWakeup,
    MonitorRule,
    MonitorRun,
    Notification,
    RuleState,
)
from monitoring.models.fields import ExactCharField
from tests.factories import NOW, ago, execution, rule

pytestmark = pytest.mark.django_db

EVENT: dict[str, Any] = {
    "key": "k",
    "open_key": "k",
    "task_name": "sync",
    "verdict": "no_execution",
    "lookback_hours": 1,
    "opened_at": NOW,
    "last_checked_at": NOW,
}
GOOD: dict[type[models.Model], dict[str, Any]] = {
    MonitorRule: {"name": "Nightly", "task_name": "sync"},
    BackgroundTask: {"task_id": "1", "task_name": "sync"},
    AlertEvent: EVENT,
    Notification: {"kind": "alert", "recipient": "ops@example.com", "subject": "s"},
    MonitorRun: {"rule_set": "all rules", "started_at": NOW},
    RuleState: {"key": "k", "task_name": "sync"},
    DeliveryWakeup: {"at": NOW},
    Channel: {"name": "ops-slack"},
}
REFUSED: list[tuple[str, type[models.Model], dict[str, Any]]] = [
    ("monitoring_rule_has_name", MonitorRule, {"name": ""}),
    ("monitoring_rule_has_task", MonitorRule, {"task_name": ""}),
    ("monitoring_rule_lookback", MonitorRule, {"lookback_hours": 0}),
    ("monitoring_rule_lookback", MonitorRule, {"lookback_hours": -1}),
    ("monitoring_rule_lookback", MonitorRule, {"lookback_hours": 87_600.5}),
    ("monitoring_rule_alert_after", MonitorRule, {"alert_after": 0}),
    ("monitoring_rule_remind_hours", MonitorRule, {"remind_hours": -0.5}),
    ("monitoring_rule_remind_hours", MonitorRule, {"remind_hours": 87_601}),
    ("monitoring_rule_max_runtime", MonitorRule, {"max_runtime_minutes": 0}),
    ("monitoring_rule_max_runtime", MonitorRule, {"max_runtime_minutes": -1}),
    ("monitoring_rule_duration_factor", MonitorRule, {"max_duration_factor": 0.5}),
    ("monitoring_rule_duration_factor", MonitorRule, {"max_duration_factor": 1001}),
    ("monitoring_rule_success_rate", MonitorRule, {"min_success_rate": 0.9}),
    ("monitoring_rule_success_rate", MonitorRule, {"min_success_rate": 101}),
    ("monitoring_rule_while_running", MonitorRule, {"while_running": "hope"}),
    ("monitoring_rule_context_whole", MonitorRule, {"context_model": "gap.Export"}),
    ("monitoring_rule_context_whole", MonitorRule, {"context_type": "wide"}),
    ("monitoring_rule_context_whole", MonitorRule, {"context_field": "layout"}),
    ("monitoring_execution_status", BackgroundTask, {"status": "Lost"}),
    ("monitoring_execution_has_task_name", BackgroundTask, {"task_name": ""}),
    ("monitoring_event_verdict", AlertEvent, {"verdict": "bad"}),
    ("monitoring_event_open_or_resolved", AlertEvent, {"open_key": None}),
    ("monitoring_event_open_or_resolved", AlertEvent, {"resolved_at": NOW}),
    ("monitoring_message_kind", Notification, {"kind": "spam"}),
    ("monitoring_message_state", Notification, {"state": "lost"}),
    ("monitoring_message_has_recipient", Notification, {"recipient": ""}),
    ("monitoring_channel_has_name", Channel, {"name": ""}),
    ("monitoring_run_state", MonitorRun, {"state": "asleep"}),
    ("monitoring_one_delivery_wakeup", DeliveryWakeup, {"id": 2}),
]


def refused(
    model: type[models.Model], error: type[Exception] = IntegrityError, **values: Any
) -> None:
    with pytest.raises(error), transaction.atomic():
        model._base_manager.create(**(GOOD[model] | values))


class TestTheDatabaseRefuses:
    @pytest.mark.parametrize(
        ("name", "model", "values"), REFUSED, ids=[f"{row[0]}-{row[2]}" for row in REFUSED]
    )
    def test_a_value_that_breaks_a_constraint(
        self, name: str, model: type[models.Model], values: dict[str, Any]
    ) -> None:
        refused(model, **values)

    def test_every_constraint_is_tried_here(self) -> None:
        declared = {
            constraint.name
            for model in apps.get_app_config("monitoring").get_models()
            for constraint in model._meta.constraints
        }

        assert declared == {name for name, _, _ in REFUSED}

    @pytest.mark.parametrize("model", GOOD, ids=lambda model: model.__name__)
    def test_but_not_the_row_without_it(self, model: type[models.Model]) -> None:
        assert model._base_manager.create(**GOOD[model]).pk

    @pytest.mark.parametrize("hours", [math.nan, math.inf, -math.inf])
    def test_a_window_that_is_no_finite_number(self, hours: float) -> None:
        refused(MonitorRule, DatabaseError, lookback_hours=hours)

    def test_a_second_rule_of_the_same_name(self) -> None:
        MonitorRule.objects.create(**GOOD[MonitorRule])

        refused(MonitorRule, task_name="other")

    def test_a_second_execution_of_the_same_id(self) -> None:
        BackgroundTask.objects.create(**GOOD[BackgroundTask])

        refused(BackgroundTask, task_name="other")

    def test_a_second_open_event_of_the_same_key(self) -> None:
        AlertEvent.objects.create(**EVENT)

        refused(AlertEvent)

    def test_but_not_one_beside_resolved_ones(self) -> None:
        for _ in range(3):
            AlertEvent.objects.create(**EVENT | {"open_key": None, "resolved_at": NOW})

        AlertEvent.objects.create(**EVENT)

        assert AlertEvent.objects.open().count() == 1

    def test_a_second_running_check_of_the_same_rules(self) -> None:
        MonitorRun.objects.create(**GOOD[MonitorRun], lease="x")

        refused(MonitorRun, lease="x")

    def test_but_not_any_number_of_ended_ones(self) -> None:
        for _ in range(3):
            MonitorRun.objects.create(**GOOD[MonitorRun])

        assert MonitorRun.objects.count() == 3

    def test_a_suppressed_message_needs_no_recipient(self) -> None:
        values = GOOD[Notification] | {"recipient": "", "state": "suppressed"}

        assert Notification.objects.create(**values).pk


class TestExactText:
    SPELLINGS = ("sync", "Sync", "SYNC", "sync ", " sync", "sýnc")

    @pytest.mark.parametrize("spelling", SPELLINGS)
    def test_a_filter_finds_only_the_exact_spelling(self, spelling: str) -> None:
        for name in self.SPELLINGS:
            execution(name)

        found = BackgroundTask.objects.filter(task_name=spelling)

        assert [row.task_name for row in found] == [spelling]

    def test_a_list_finds_only_the_exact_spellings(self) -> None:
        for name in self.SPELLINGS:
            rule("task", name=name)

        found = MonitorRule.objects.filter(name__in=["sync", "sync "])

        assert {row.name for row in found} == {"sync", "sync "}

    def test_unique_means_the_exact_spelling(self) -> None:
        for name in self.SPELLINGS:
            rule("task", name=name)

        assert MonitorRule.objects.count() == len(self.SPELLINGS)

    def test_text_comes_back_as_it_was_stored(self) -> None:
        for name in self.SPELLINGS:
            rule(name, name=name)

        assert set(MonitorRule.objects.values_list("task_name", flat=True)) == set(self.SPELLINGS)

    def test_the_longest_name_with_the_widest_characters_fits(self) -> None:
        name = "\U0001f600" * 255

        rule(name, name=name)

        assert MonitorRule.objects.get(name=name).task_name == name

    @pytest.mark.skipif("connection.vendor != 'mysql'", reason="others compare exactly by default")
    def test_every_such_column_has_a_binary_collation(self) -> None:
        wanted = {
            (model._meta.db_table, field.column)
            for model in apps.get_app_config("monitoring").get_models()
            for field in model._meta.local_fields
            if isinstance(field, ExactCharField)
        }
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT table_name, column_name FROM information_schema.columns WHERE "
                "table_schema = DATABASE() AND collation_name IN "
                "('utf8mb4_nopad_bin', 'utf8mb4_0900_bin')"
            )
            found = set(cursor.fetchall())

        assert wanted <= found
        assert ("monitoring_backgroundtask", "task_name") in wanted


def complaints(**values: Any) -> dict[str, list[str]]:
    with pytest.raises(ValidationError) as error:
        MonitorRule(**(GOOD[MonitorRule] | values)).full_clean()
    return dict(error.value.message_dict)


class TestWhatCleanSays:
    @pytest.mark.parametrize(
        ("field", "value", "message"),
        [
            (
                "expected_statuses",
                ["Complete"],
                '"Complete" is not a status: did you mean "Completed"?',
            ),
            (
                "expected_statuses",
                [],
                "is empty: name at least one of Pending, Queued, Running, Completed, Stopped, "
                "Cancelled, Invalidated",
            ),
            (
                "expected_statuses",
                "Completed",
                'must be a list, got the text "Completed": write ["Completed"]',
            ),
            (
                "expected_statuses",
                None,
                'must be a list of statuses such as ["Completed"], got null',
            ),
            (
                "notify_to",
                ["ops", "b@example.com"],
                '"ops" is not an e-mail address: write it like "admin@example.com"',
            ),
            (
                "notify_to",
                "ops@example.com",
                'must be a list, got the text "ops@example.com": write ["ops@example.com"]',
            ),
            (
                "dependent_tasks",
                ["a", 7],
                "the task name must be a non-empty text, got 7",
            ),
            ("lookback_hours", 0, "Must be greater than 0."),
            ("lookback_hours", math.nan, "Must be greater than 0."),
            (
                "lookback_hours",
                math.inf,
                "Ensure this value is less than or equal to 87600.",
            ),
            (
                "lookback_hours",
                87_601,
                "Ensure this value is less than or equal to 87600.",
            ),
            ("alert_after", 0, "Ensure this value is greater than or equal to 1."),
            ("remind_hours", -1, "Ensure this value is greater than or equal to 0."),
            ("remind_hours", math.nan, "Must be a finite number."),
            ("max_runtime_minutes", 0, "Must be greater than 0."),
            ("max_runtime_minutes", math.nan, "Must be greater than 0."),
            ("max_runtime_minutes", math.inf, "Must be at most 5256000 (ten years)."),
            ("max_runtime_minutes", 1e300, "Must be at most 5256000 (ten years)."),
            (
                "max_duration_factor",
                0.5,
                "must be from 1 to 1000, got 0.5: write how many times the usual duration is "
                "allowed, such as 2",
            ),
            ("max_duration_factor", math.nan, "must be a finite number, got NaN"),
            (
                "min_success_rate",
                0.9,
                "must be from 1 to 100, got 0.9: write a percentage, such as 90 for 90 %",
            ),
            ("min_success_rate", math.inf, "must be a finite number, got Infinity"),
            ("while_running", "hope", "Value 'hope' is not a valid choice."),
            ("name", "", "This field cannot be blank."),
            ("task_name", "", "This field cannot be blank."),
        ],
    )
    def test_of_a_value_that_no_rule_may_hold(
        self, field: str, value: object, message: str
    ) -> None:
        assert message in complaints(**{field: value})[field]

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            (
                {"context_model": "gap.Export"},
                "context_model is given without context_type: set both or neither",
            ),
            (
                {"context_type": "wide"},
                "context_type is given without context_model: set both or neither",
            ),
            (
                {"context_field": "layout"},
                "context_field needs context_model and context_type beside it",
            ),
            (
                {"context_model": "os.path.join", "context_type": "x"},
                'context_model must look like "gap.models.IngestorSession", got "os.path.join"',
            ),
        ],
    )
    def test_of_half_a_context(self, values: dict[str, str], message: str) -> None:
        assert complaints(**values)["context_model"] == [message]

    def test_of_a_share_of_successes_where_none_is_expected(self) -> None:
        found = complaints(min_success_rate=90, expected_statuses=["Running", "Queued"])

        assert found["min_success_rate"] == [
            "Needs an expected status that ends an execution, such as Completed."
        ]

    def test_of_a_name_that_is_taken(self) -> None:
        rule("sync", name="Nightly")

        assert complaints(name="Nightly")["name"] == ["Rule with this Name already exists."]

    def test_of_several_at_once(self) -> None:
        found = complaints(expected_statuses=[], notify_to=["ops"], context_type="x")

        assert {"expected_statuses", "notify_to", "context_model"} <= set(found)

    def test_nothing_of_a_good_rule(self) -> None:
        MonitorRule(
            **GOOD[MonitorRule],
            expected_statuses=["Completed", "Running"],
            lookback_hours=0.25,
            notify_to=["ops@example.com"],
            dependent_tasks=["report"],
            context_model="gap.models.IngestorSession",
            context_type="Hourly",
            remind_hours=0,
            max_runtime_minutes=5_256_000,
            max_duration_factor=1.5,
            min_success_rate=99.9,
        ).full_clean()

    def test_statuses_are_kept_in_the_documented_spelling_and_once(self) -> None:
        row = MonitorRule(**GOOD[MonitorRule], expected_statuses=["completed", "COMPLETED "])

        row.full_clean()

        assert row.expected_statuses == ["Completed"]
        assert type(row.expected_statuses[0]) is str

    def test_addresses_are_kept_once(self) -> None:
        row = MonitorRule(**GOOD[MonitorRule], notify_to=["a@example.com", "A@example.com"])

        row.full_clean()

        assert row.notify_to == ["a@example.com"]


class TestDefaults:
    def test_of_a_rule_are_the_documented_ones(self) -> None:
        row = MonitorRule.objects.create(**GOOD[MonitorRule])
        row.refresh_from_db()

        values = {name: getattr(row, name) for name in DEFAULTS}
        assert values == DEFAULTS

    def test_a_list_is_not_shared_between_rules(self) -> None:
        first = MonitorRule(**GOOD[MonitorRule])
        first.expected_statuses.append("Running")
        first.notify_to.append("a@example.com")

        second = MonitorRule(**GOOD[MonitorRule])

        assert (second.expected_statuses, second.notify_to) == (["Completed"], [])


DEFAULTS: dict[str, Any] = {
    "description": "",
    "enabled": True,
    "expected_statuses": ["Completed"],
    "lookback_hours": 1.0,
    "notify_to": [],
    "dependent_tasks": [],
    "context_model": "",
    "context_field": "",
    "context_type": "",
    "alert_after": 1,
    "remind_hours": None,
    "notify_on_recovery": True,
    "max_runtime_minutes": None,
    "max_duration_factor": None,
    "min_success_rate": None,
    "while_running": "wait",
    "snoozed_until": None,
}


class TestNames:
    """What the admin and logs show of a row."""

    @pytest.mark.parametrize(
        ("model", "name"),
        [
            (MonitorRule, "Nightly"),
            (BackgroundTask, "sync 1"),
            (AlertEvent, "sync: No execution"),
            (Notification, "s → ops@example.com"),
            (MonitorRun, "all rules 2026-03-10 12:00:00"),
            (RuleState, "sync: never checked"),
        ],
        ids=lambda value: getattr(value, "__name__", ""),
    )
    def test_of_a_row(self, model: type[models.Model], name: str) -> None:
        assert str(model(**GOOD[model])) == name


def test_deleting_a_rule_keeps_its_events() -> None:
    row = rule("sync")
    event = AlertEvent.objects.create(**EVENT, rule=row, rule_name=row.name)

    row.delete()

    event.refresh_from_db()
    assert (event.rule, event.rule_name) == (None, "sync rule")


def test_deleting_an_event_deletes_its_messages() -> None:
    event = AlertEvent.objects.create(**EVENT)
    Notification.objects.create(**GOOD[Notification], alert_event=event)

    event.delete()

    assert not Notification.objects.exists()


def test_the_newest_execution_comes_first() -> None:
    rows = [execution("sync", started=ago(minutes=minutes)) for minutes in (1, 3, 2)]

    assert list(BackgroundTask.objects.all()) == rows[::-1]


def test_the_migrations_are_complete(settings: Any) -> None:
    settings.MIGRATION_MODULES = {}  # the quick run makes its tables without migrations

    call_command("makemigrations", "monitoring", check_changes=True, dry_run=True, verbosity=0)
