"""Rules in and out of files: what was exported comes back unchanged, a bad file changes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from hypothesis import given
from hypothesis import strategies as st

from monitoring.core.arguments import parse_arguments
from monitoring.core.statuses import Status
from monitoring.core.values import Rule
from monitoring.exchange.documented import to_arguments, to_rows
from monitoring.exchange.resources import export_rules, import_rules
from monitoring.exchange.rows import FIELDS, MAX_BYTES, FileError
from monitoring.exchange.tables import read_file
from monitoring.models import MonitorRule
from tests.core.strategies import names
from tests.factories import NOW, ago, execution, rule

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

NIGHTLY = {"name": "Nightly", "task_name": "report"}
NIGHTLY_KEYS = {key: st.just(value) for key, value in NIGHTLY.items()}


def row(**values: Any) -> dict[str, Any]:
    return NIGHTLY | values


def refusal(*rows: object) -> list[str]:
    """Import rows that must be refused as a whole, and return why they were."""
    before = list(MonitorRule.objects.order_by("pk").values())
    problems = import_rules(read_file(json.dumps(rows))).problems()
    assert problems
    assert list(MonitorRule.objects.order_by("pk").values()) == before
    return problems


def imported(*rows: object) -> MonitorRule:
    """Import rows that must be accepted, and return the last one's rule."""
    result = import_rules(read_file(json.dumps(rows)))
    assert result.problems() == []
    return MonitorRule.objects.get(name=rows[-1]["name"])  # type: ignore[index]


class TestTheFile:
    def test_holds_every_field_as_a_native_value_in_a_fixed_order(self) -> None:
        rule(
            "täglich",
            name="Nächtlich",
            description="Line 1\nLine 2",
            expected_statuses=["Completed", "Running"],
            lookback_hours=24,
            notify_to=["a@b.c"],
            channels=["ops-slack"],
            dependent_tasks=["export"],
            context_model="gap.IngestorSession",
            context_type="Daily",
            alert_after=3,
            remind_hours=0.5,
            max_runtime_minutes=None,
            min_success_rate=99.5,
            while_running="judge",
            snoozed_until=datetime(2026, 4, 1, 9, 30, tzinfo=UTC),
        )

        assert export_rules() == (
            "[\n"
            "  {\n"
            '    "name": "Nächtlich",\n'
            '    "task_name": "täglich",\n'
            '    "description": "Line 1\\nLine 2",\n'
            '    "enabled": true,\n'
            '    "expected_statuses": [\n'
            '      "Completed",\n'
            '      "Running"\n'
            "    ],\n"
            '    "lookback_hours": 24,\n'
            '    "notify_to": [\n'
            '      "a@b.c"\n'
            "    ],\n"
            '    "channels": [\n'
            '      "ops-slack"\n'
            "    ],\n"
            '    "dependent_tasks": [\n'
            '      "export"\n'
            "    ],\n"
            '    "context_model": "gap.IngestorSession",\n'
            '    "context_field": "",\n'
            '    "context_type": "Daily",\n'
            '    "alert_after": 3,\n'
            '    "remind_hours": 0.5,\n'
            '    "notify_on_recovery": true,\n'
            '    "max_runtime_minutes": null,\n'
            '    "max_duration_factor": null,\n'
            '    "min_success_rate": 99.5,\n'
            '    "while_running": "judge"\n'
            "  }\n"
            "]\n"
        )

    def test_may_hold_every_editable_field_of_a_rule(self) -> None:
        editable = {field.name for field in MonitorRule._meta.fields if field.editable}

        assert set(FIELDS) == editable - {"id", "updated_at"}

    def test_that_is_older_ends_no_snooze(self) -> None:
        slept = rule("report", name="Nightly")
        older = export_rules()
        MonitorRule.objects.update(snoozed_until=ago(hours=-1), lookback_hours=2)

        assert import_rules(read_file(older)).problems() == []

        slept.refresh_from_db()
        assert (slept.snoozed_until, slept.lookback_hours) == (ago(hours=-1), 1)

    def test_is_ordered_by_name_the_same_way_on_every_database(self) -> None:
        for name in ("b", "ä", "A", "a"):
            rule("sync", name=name)

        assert [item["name"] for item in json.loads(export_rules())] == ["A", "a", "b", "ä"]

    def test_of_no_rules_is_an_empty_array(self) -> None:
        assert export_rules() == "[]\n"

    def test_may_be_marked_as_utf8_by_an_editor(self) -> None:
        assert read_file(b"\xef\xbb\xbf" + b"[]") == []

    def test_is_byte_for_byte_the_same_after_a_round_trip_into_an_empty_database(self) -> None:
        rule("sync", name="Plain")
        rule(
            "sync",
            name='Ünïcode "quoted" \\ </script> 日本 🙂',
            description="a\r\nb\tc",
            notify_to=["a@b.c", "d@e.f"],
            context_model="gap.models.IngestorSession",
            context_field="ingestor_type",
            context_type="Daily",
            lookback_hours=0.1,
            remind_hours=0,
            max_runtime_minutes=90.25,
            max_duration_factor=2.5,
            min_success_rate=90,
            notify_on_recovery=False,
            enabled=False,
            snoozed_until=datetime(2026, 4, 1, 9, 30, 0, 123456, tzinfo=UTC),
        )
        first = export_rules()
        MonitorRule.objects.all().delete()

        assert import_rules(read_file(first)).problems() == []

        assert export_rules() == first

    @given(
        rows=st.lists(
            st.fixed_dictionaries(
                {"name": names, "task_name": names},
                optional={
                    "description": names,
                    "expected_statuses": st.lists(
                        st.sampled_from([status.value for status in Status]), min_size=1
                    ),
                    "lookback_hours": st.floats(0.001, 87_600),
                    "notify_to": st.lists(st.sampled_from(["a@b.c", "A@B.C", "d@e.f"])),
                    "dependent_tasks": st.lists(names),
                    "remind_hours": st.none() | st.floats(0, 87_600),
                    "alert_after": st.integers(1, 2**31 - 1),
                    "snoozed_until": st.none()
                    | st.datetimes(timezones=st.just(timezone(timedelta(hours=2)))).map(
                        datetime.isoformat
                    ),
                },
            ),
            unique_by=lambda row: row["name"],
            max_size=4,
        )
    )
    def test_of_any_rules_survives_a_round_trip(self, rows: list[dict[str, Any]]) -> None:
        MonitorRule.objects.all().delete()
        assert import_rules(read_file(json.dumps(rows))).problems() == []
        first = export_rules()
        MonitorRule.objects.all().delete()

        assert import_rules(read_file(first)).problems() == []

        assert export_rules() == first


class TestWhatAnImportChanges:
    def test_a_rule_of_a_new_name_is_added(self) -> None:
        found = imported(row(lookback_hours=25, notify_to=["a@b.c"]))

        assert (found.task_name, found.lookback_hours) == ("report", 25)
        assert found.notify_to == ["a@b.c"]

    def test_what_a_new_rule_leaves_out_is_the_default(self) -> None:
        found = imported(NIGHTLY)

        assert (found.expected_statuses, found.lookback_hours) == (["Completed"], 1)
        assert (found.alert_after, found.remind_hours, found.enabled) == (1, None, True)

    def test_a_new_rule_judges_running_tasks_unless_it_says_otherwise(self) -> None:
        assert imported(NIGHTLY).while_running == "judge"
        assert imported(row(name="Other", while_running="wait")).while_running == "wait"

    def test_a_rule_of_a_known_name_is_changed(self) -> None:
        known = rule("old", name="Nightly")

        found = imported(row(remind_hours=6))

        assert (found.pk, found.task_name, found.remind_hours) == (known.pk, "report", 6)

    def test_what_a_known_rule_leaves_out_keeps_its_value(self) -> None:
        rule("report", name="Nightly", notify_to=["a@b.c"], while_running="wait", enabled=False)

        found = imported({"name": "Nightly", "lookback_hours": 2})

        assert (found.task_name, found.notify_to) == ("report", ["a@b.c"])
        assert (found.while_running, found.enabled) == ("wait", False)

    def test_rows_need_not_have_the_same_keys(self) -> None:
        imported({"name": "A", "alert_after": 2, "task_name": "a"}, {"task_name": "b", "name": "B"})

        assert MonitorRule.objects.count() == 2

    def test_null_empties_a_field_that_may_be_empty(self) -> None:
        rule("report", name="Nightly", remind_hours=1, max_runtime_minutes=1, snoozed_until=NOW)

        found = imported(row(remind_hours=None, max_runtime_minutes=None, snoozed_until=None))

        assert (found.remind_hours, found.max_runtime_minutes, found.snoozed_until) == (None,) * 3

    def test_names_differ_by_case(self) -> None:
        rule("report", name="nightly")

        imported(NIGHTLY)

        assert MonitorRule.objects.count() == 2

    def test_an_unchanged_rule_is_not_written(self) -> None:
        known = rule("report", name="Nightly", lookback_hours=2)

        result = import_rules([row(lookback_hours=2, expected_statuses=["completed"])])

        assert result.totals["skip"] == 1
        assert MonitorRule.objects.get().updated_at == known.updated_at

    def test_rules_that_the_file_does_not_name_stay_as_they_are(self) -> None:
        rule("other", name="Other")

        imported(NIGHTLY)

        assert MonitorRule.objects.filter(name="Other").exists()

    def test_a_dry_run_changes_nothing(self) -> None:
        result = import_rules([NIGHTLY], dry_run=True)

        assert result.totals["new"] == 1
        assert not MonitorRule.objects.exists()

    def test_times_are_read_in_any_time_zone(self) -> None:
        found = imported(row(snoozed_until="2026-04-01T11:30:00+02:00"))

        assert found.snoozed_until == datetime(2026, 4, 1, 9, 30, tzinfo=UTC)


AT = 'row 1 ("Nightly"), '
STATUSES = "Pending, Queued, Running, Completed, Stopped, Cancelled, Invalidated"
UTC_ADVICE = 'write it in UTC like "2026-04-01T09:30:00Z", or null'
HOURS_ADVICE = "write a number of hours above 0 and up to 87600"


class TestAnImportIsRefusedWholeFor:
    @pytest.mark.parametrize(
        ("field", "value", "message"),
        [
            ("task_name", "", 'the task name must be a non-empty text, got ""'),
            ("task_name", 5, "the task name must be a non-empty text, got 5"),
            ("description", None, "must be a text, got null"),
            ("description", "a\0b", 'holds characters that cannot be stored: "a\\u0000b"'),
            ("enabled", "banana", 'must be true or false, got "banana"'),
            ("enabled", 1, "must be true or false, got 1"),
            ("enabled", None, "must be true or false, got null"),
            (
                "expected_statuses",
                "Completed",
                'must be a list, got the text "Completed": write ["Completed"]',
            ),
            (
                "expected_statuses",
                ["Complete"],
                '"Complete" is not a status: did you mean "Completed"?',
            ),
            ("expected_statuses", [], f"is empty: name at least one of {STATUSES}"),
            (
                "lookback_hours",
                "1",
                f'must be a number, got "1": {HOURS_ADVICE}, without quotes',
            ),
            ("lookback_hours", 0, f"is out of range, got 0: {HOURS_ADVICE}"),
            ("notify_to", "a@b.c", 'must be a list, got the text "a@b.c": write ["a@b.c"]'),
            (
                "notify_to",
                ["nobody"],
                '"nobody" is not an e-mail address: write it like "admin@example.com"',
            ),
            ("dependent_tasks", [1], "the task name must be a non-empty text, got 1"),
            (
                "context_type",
                "x",
                "context_type is given without context_model: set both or neither",
            ),
            ("alert_after", 1.5, "must be a whole number, got 1.5"),
            ("alert_after", True, "must be a whole number, got true"),
            ("alert_after", 0, "must be 1 or more, up to 2147483647, got 0"),
            ("remind_hours", "6", 'must be a number or null, got "6"'),
            ("remind_hours", -1, "Ensure this value is greater than or equal to 0. Got -1."),
            ("notify_on_recovery", "no", 'must be true or false, got "no"'),
            ("max_runtime_minutes", 0, "Must be greater than 0. Got 0."),
            ("max_duration_factor", "2", 'must be a number, got "2"'),
            (
                "max_duration_factor",
                0.5,
                "must be from 1 to 1000, got 0.5: write how many times the usual duration is "
                "allowed, such as 2",
            ),
            (
                "min_success_rate",
                0.9,
                "must be from 1 to 100, got 0.9: write a percentage, such as 90 for 90 %",
            ),
            ("while_running", "sometimes", 'must be "judge" or "wait", got "sometimes"'),
            ("while_running", [], 'must be "judge" or "wait", got []'),
            (
                "snoozed_until",
                "tomorrow",
                f'is not a point in time, got "tomorrow": {UTC_ADVICE}',
            ),
            (
                "snoozed_until",
                "2026-04-01T09:30:00",
                f'has no time zone, got "2026-04-01T09:30:00": {UTC_ADVICE}',
            ),
            ("snoozed_until", 5, f"must be a point in time, got 5: {UTC_ADVICE}"),
        ],
    )
    def test_a_wrong_value(self, field: str, value: object, message: str) -> None:
        where = AT + ("context_model" if field == "context_type" else field)

        assert refusal(row(**{field: value})) == [f"{where}: {message}"]

    def test_a_number_that_is_none(self) -> None:
        text = '[{"name": "Nightly", "task_name": "report", "remind_hours": 1e400}]'

        problems = import_rules(read_file(text)).problems()

        assert problems == [f"{AT}remind_hours: must be a finite number, got Infinity"]

    def test_one_wrong_row_among_right_ones(self) -> None:
        rule("old", name="Known")

        problems = refusal(
            {"name": "Known", "task_name": "new"}, NIGHTLY, {"name": "Bad", "task_name": ""}
        )

        assert problems == [
            'row 3 ("Bad"), task_name: the task name must be a non-empty text, got ""'
        ]

    def test_every_wrong_value_is_named_at_once(self) -> None:
        problems = refusal(row(enabled=1, alert_after=0), {"name": "B"})

        assert len(problems) == 3

    def test_a_row_without_a_name(self) -> None:
        assert refusal({"task_name": "report"}) == [
            "row 1, name: is missing: rules are imported by name"
        ]

    @pytest.mark.parametrize("name", ["", "  ", 5, None, ["a"]])
    def test_a_name_that_is_none(self, name: object) -> None:
        [problem] = refusal({"name": name, "task_name": "report"})

        assert "name: the rule name must be a non-empty text, got " in problem

    def test_a_new_rule_without_a_task(self) -> None:
        assert refusal({"name": "Nightly"}) == [
            f'{AT}task_name: This field cannot be blank. Got "".'
        ]

    def test_a_name_that_is_there_twice(self) -> None:
        assert refusal(NIGHTLY, {"name": "B", "task_name": "b"}, NIGHTLY) == [
            'row 3 ("Nightly"), name: row 1 has the same name, "Nightly"'
        ]

    def test_an_unknown_key(self) -> None:
        assert refusal(row(lookback=2)) == [
            'row 1 ("Nightly"): unknown key "lookback" (did you mean "lookback_hours"?)'
        ]

    def test_an_unknown_key_like_no_other(self) -> None:
        [problem] = refusal(row(xyz=2))

        assert problem.startswith('row 1 ("Nightly"): unknown key "xyz": known are name, task_')

    def test_a_misspelt_name_both_are_told(self) -> None:
        assert refusal({"nmae": "Nightly", "task_name": "report"}) == [
            "row 1, name: is missing: rules are imported by name",
            'row 1: unknown key "nmae" (did you mean "name"?)',
        ]

    def test_a_context_model_that_is_not_installed(self) -> None:
        [problem] = refusal(row(context_model="gap.Session", context_type="Daily"))

        assert problem.startswith(f'{AT}context_model: context_model "gap.Session" is not an inst')

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("", "the file is not JSON: Expecting value: line 1 column 1 (char 0)"),
            ("5", "expected an array of rules, got 5"),
            ('{"name": "a"}', 'expected an array of rules, got {"name": "a"}'),
            ("[[1, 2]]", "row 1: expected a dictionary, got [1, 2]"),
            ('["a", null]', 'row 1: expected a dictionary, got "a"'),
            ('[{"name": "a", "name": "b"}]', 'the key "name" is there twice in one dictionary'),
            ('[{"lookback_hours": NaN}]', "the file is not JSON: NaN is not a number"),
            ("[" * 100_000, "the file is not JSON of rules: it is nested too deeply"),
        ],
    )
    def test_a_file_that_holds_no_rules(self, text: str, problem: str) -> None:
        with pytest.raises(FileError) as refused:
            read_file(text)

        assert refused.value.problems[0] == problem

    def test_a_file_in_another_encoding(self) -> None:
        with pytest.raises(FileError, match="the file is not text in UTF-8"):
            read_file('[{"name": "täglich"}]'.encode("latin-1"))

    def test_a_file_over_5_mb(self) -> None:
        with pytest.raises(FileError, match="the file is larger than 5 MB"):
            read_file(b" " * (MAX_BYTES + 1))


junk = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(
    value=junk
    | st.lists(st.dictionaries(st.sampled_from([*FIELDS, "nmae"]), junk), max_size=3)
    | st.fixed_dictionaries(NIGHTLY_KEYS, optional=dict.fromkeys(FIELDS[2:], junk)).map(
        lambda found: [found]
    )
)
def test_any_junk_is_imported_as_rules_that_are_valid_or_refused(value: object) -> None:
    with suppress(FileError):
        import_rules(read_file(json.dumps(value)))

    for found in MonitorRule.objects.all():
        found.full_clean()


SYNC = {"expected_statuses": ["Completed"], "lookback_hours": 2, "notify_to": ["a@b.c"]}
DAILY = SYNC | {"context_model": "gap.models.IngestorSession", "context_type": "Daily"}


class TestDocumentedArguments:
    @pytest.mark.parametrize("value", [{"sync": SYNC}, [{"sync": SYNC}]], ids=["bare", "array"])
    def test_become_rules_that_do_the_same(self, value: object) -> None:
        assert import_rules(read_file(json.dumps(value))).problems() == []

        found = MonitorRule.objects.get()
        assert (found.name, found.task_name, found.lookback_hours) == ("sync", "sync", 2)
        assert (found.notify_to, found.expected_statuses) == (["a@b.c"], ["Completed"])
        assert (found.while_running, found.alert_after) == ("judge", 1)
        assert (found.remind_hours, found.notify_on_recovery) == (0, False)

    def test_with_a_context_become_rules_named_after_it(self) -> None:
        assert import_rules(read_file(json.dumps({"sync": DAILY}))).problems() == []

        found = MonitorRule.objects.get()
        assert (found.name, found.task_name) == ("sync [Daily]", "sync")
        assert (found.context_model, found.context_type) == ("gap.models.IngestorSession", "Daily")

    def test_may_watch_a_task_called_name(self) -> None:
        assert read_file(json.dumps([{"name": SYNC}]))[0]["task_name"] == "name"

    def test_with_any_problem_are_refused_with_all_of_them(self) -> None:
        bad = {"sync": SYNC | {"notify_to": ["nobody"]}, "other": {}, "fine": SYNC}

        with pytest.raises(FileError) as refused:
            read_file(json.dumps([bad]))

        assert [problem.split(" ")[0] for problem in refused.value.problems] == [
            'arguments[0]["sync"].notify_to:',
            'arguments[0]["other"]:',
        ]

    def test_that_list_a_task_twice_are_refused(self) -> None:
        with pytest.raises(FileError, match="there twice"):
            read_file('{"sync": {"expected_statuses": ["Completed"]}, "sync": {}}')

    def test_imported_twice_change_nothing_the_second_time(self) -> None:
        import_rules(to_rows({"sync": SYNC}))

        assert import_rules(to_rows({"sync": SYNC})).totals["skip"] == 1

    @given(
        configuration=st.dictionaries(
            names.filter(lambda name: "[" not in name),
            st.builds(
                lambda entry, context: entry | context,
                st.fixed_dictionaries(
                    {
                        "expected_statuses": st.lists(
                            st.sampled_from([status.value for status in Status]), min_size=1
                        )
                    },
                    optional={
                        "lookback_hours": st.floats(0, 87_600, exclude_min=True)
                        | st.integers(1, 87_600),
                        "notify_to": st.lists(st.sampled_from(["a@b.c", "d@e.f", "A@B.C"])),
                        "dependent_tasks": st.lists(names),
                    },
                ),
                st.just({})
                | st.fixed_dictionaries(
                    {
                        "context_model": st.sampled_from(
                            ["gap.IngestorSession", "gap.models.CollectorSession"]
                        ),
                        "context_type": names,
                    }
                ),
            ),
            min_size=1,
            max_size=4,
        )
    )
    def test_survive_a_round_trip_through_rules(
        self, configuration: dict[str, dict[str, Any]]
    ) -> None:
        MonitorRule.objects.all().delete()

        assert import_rules(to_rows([configuration])).problems() == []
        export = to_arguments(MonitorRule.objects.all(), NOW)

        assert export.refused == {}
        assert entries(export.arguments) == entries([configuration])


def entries(arguments: list[Any]) -> dict[str, Rule]:
    """Return what arguments ask for, whatever the order and the spelling."""
    parsed = parse_arguments(arguments, {})
    assert parsed.problems == ()
    return {entry.key: replace(entry, path="") for entry in parsed.entries}


def documented_rule(task_name: str, **fields: Any) -> MonitorRule:
    """Store a rule that documented arguments can express."""
    plain = {"remind_hours": 0, "notify_on_recovery": False, "while_running": "judge"}
    return rule(task_name, **(plain | fields))


class TestExportingDocumentedArguments:
    def test_writes_an_array_with_one_dictionary(self) -> None:
        documented_rule("sync", notify_to=["a@b.c"], lookback_hours=25, dependent_tasks=["x"])

        assert to_arguments(MonitorRule.objects.all(), NOW).arguments == [
            {
                "sync": {
                    "expected_statuses": ["Completed"],
                    "notify_to": ["a@b.c"],
                    "dependent_tasks": ["x"],
                    "lookback_hours": 25,
                }
            }
        ]

    @pytest.mark.parametrize(
        ("fields", "reason"),
        [
            ({"enabled": False}, "it is disabled"),
            ({"alert_after": 2}, "alert_after is 2, not 1"),
            ({"remind_hours": None}, "remind_hours is empty, not 0"),
            ({"remind_hours": 6}, "remind_hours is 6, not 0"),
            ({"notify_on_recovery": True}, "notify_on_recovery is on"),
            ({"max_runtime_minutes": 5}, "max_runtime_minutes is set"),
            ({"max_duration_factor": 2}, "max_duration_factor is set"),
            ({"min_success_rate": 90}, "min_success_rate is set"),
            ({"while_running": "wait"}, "while_running is wait, not judge"),
            ({"snoozed_until": ago(hours=-1)}, "it is snoozed until 2026-03-10T13:00:00Z"),
            (
                {
                    "context_model": "gap.IngestorSession",
                    "context_field": "id",
                    "context_type": "1",
                },
                'context_field is "id", not the default',
            ),
        ],
    )
    def test_leaves_out_a_rule_that_does_more(self, fields: dict[str, Any], reason: str) -> None:
        documented_rule("sync", name="Sync", **fields)

        export = to_arguments(MonitorRule.objects.all(), NOW)

        assert export.refused == {"Sync": [reason]}
        assert export.configuration == {}

    def test_leaves_out_both_rules_of_one_task(self) -> None:
        documented_rule("sync", name="A")
        documented_rule("sync", name="B")
        documented_rule("sync", name="C", enabled=False)

        export = to_arguments(MonitorRule.objects.all(), NOW)

        why = '2 rules watch "sync", and there is one entry for each task'
        assert export.refused == {"A": [why], "B": [why], "C": ["it is disabled"]}

    def test_writes_a_rule_whose_field_is_the_default_one(self) -> None:
        context = {"context_model": "gap.IngestorSession", "context_type": "Daily"}
        documented_rule("sync", context_field="ingestor_type", **context)

        export = to_arguments(MonitorRule.objects.all(), NOW)

        assert "sync" in export.configuration

    def test_writes_a_rule_whose_snooze_is_over(self) -> None:
        documented_rule("sync", snoozed_until=ago(hours=1))

        assert "sync" in to_arguments(MonitorRule.objects.all(), NOW).configuration

    def test_leaves_out_a_rule_that_is_not_valid(self) -> None:
        stored = documented_rule("sync", name="Sync")
        MonitorRule.objects.filter(pk=stored.pk).update(expected_statuses=[])

        [reason] = to_arguments(MonitorRule.objects.all(), NOW).refused["Sync"]

        assert reason.startswith("the rule is not valid: expected_statuses is empty")


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run() -> Run:
    """Run `monitor` with a subcommand; return its exit status, its output and its complaints."""

    def call(*options: str) -> tuple[int, str, str]:
        output, errors = StringIO(), StringIO()
        try:
            call_command("monitor", *options, stdout=output, stderr=errors)
        except SystemExit as ended:
            return int(str(ended.code)), output.getvalue(), errors.getvalue()
        return 0, output.getvalue(), errors.getvalue()

    return call


class TestTheCommand:
    def test_exports_to_standard_output(self, run: Run) -> None:
        rule("sync")

        assert run("export") == (0, export_rules(), "")

    def test_exports_to_a_file_and_imports_it_again(self, run: Run, tmp_path: Path) -> None:
        rule("sync", name="Täglich")
        execution("sync")
        file = tmp_path / "rules.json"

        assert run("export", str(file)) == (0, "", "")
        first = file.read_bytes()
        MonitorRule.objects.all().delete()
        status, output, errors = run("import", str(file))

        assert (status, errors) == (0, "")
        assert output == "  added    Täglich\n1 added, 0 changed, 0 unchanged\n"
        run("export", str(file))
        assert file.read_bytes() == first

    def test_says_what_an_import_changes(self, run: Run, tmp_path: Path) -> None:
        rule("report", name="Nightly")
        file = tmp_path / "rules.json"
        file.write_text(json.dumps([row(lookback_hours=2, notify_to=["a@b.c"])]))

        _, output, _ = run("import", str(file))

        assert output == (
            '  changed  Nightly: lookback_hours 1 -> 2, notify_to [] -> ["a@b.c"]\n'
            "0 added, 1 changed, 0 unchanged\n"
        )

    def test_writes_nothing_in_a_dry_run(self, run: Run, tmp_path: Path) -> None:
        file = tmp_path / "rules.json"
        file.write_text(json.dumps([NIGHTLY]))

        _, output, _ = run("import", str(file), "--dry-run")

        assert output == (
            "  added    Nightly\n"
            "1 added, 0 changed, 0 unchanged; nothing was written, this was a dry run\n"
        )
        assert not MonitorRule.objects.exists()

    def test_refuses_a_bad_file_with_every_reason(self, tmp_path: Path) -> None:
        file = tmp_path / "rules.json"
        file.write_text(json.dumps([row(enabled=1), {"name": "B"}]))

        with pytest.raises(CommandError) as error:
            call_command("monitor", "import", str(file))

        assert error.value.returncode == 1
        assert str(error.value) == (
            f"{file}: nothing was imported\n"
            '  row 1 ("Nightly"), enabled: must be true or false, got 1\n'
            '  row 2 ("B"), task_name: This field cannot be blank. Got "".'
        )

    def test_refuses_a_file_over_5_mb(self, tmp_path: Path) -> None:
        file = tmp_path / "rules.json"
        file.write_bytes(b" " * (MAX_BYTES + 1))

        with pytest.raises(CommandError, match="larger than 5 MB"):
            call_command("monitor", "import", str(file))

    @pytest.mark.parametrize("subcommand", ["import", "export"])
    def test_says_so_when_a_file_cannot_be_opened(self, subcommand: str, tmp_path: Path) -> None:
        with pytest.raises(CommandError, match="No such file or directory"):
            call_command("monitor", subcommand, str(tmp_path / "none" / "rules.json"))

    @pytest.mark.parametrize("options", [["--documented"], ["--format", "documented"]])
    def test_exports_documented_arguments(self, run: Run, options: list[str]) -> None:
        documented_rule("sync")

        status, output, errors = run("export", *options)

        assert (status, errors) == (0, "")
        assert list(json.loads(output)[0]) == ["sync"]

    def test_says_which_rules_cannot_be_documented_arguments(self, run: Run) -> None:
        documented_rule("sync")
        documented_rule("report", name="Nightly", enabled=False, alert_after=2)

        status, output, errors = run("export", "--documented")

        assert status == 1
        assert list(json.loads(output)[0]) == ["sync"]
        assert errors == (
            'rule "Nightly" cannot be written as documented arguments: '
            "it is disabled; alert_after is 2, not 1\n"
        )

    def test_writes_nothing_if_no_rule_can_be_documented_arguments(
        self, run: Run, tmp_path: Path
    ) -> None:
        file = tmp_path / "arguments.json"
        rule("sync", name="Ordinary")

        for target in ([], [str(file)]):
            status, output, errors = run("export", "--documented", *target)
            assert (status, output) == (1, "")
            assert errors == (
                'rule "Ordinary" cannot be written as documented arguments: remind_hours is empty, '
                "not 0; notify_on_recovery is on; while_running is wait, not judge\n"
                "nothing was written: no rule can be written so\n"
            )
        assert not file.exists()

    def test_writes_nothing_of_no_rules_either(self, run: Run) -> None:
        assert run("export", "--documented") == (
            1,
            "",
            "nothing was written: there are no rules\n",
        )

    def test_says_so_when_a_description_is_left_out(self, run: Run) -> None:
        documented_rule("sync", name="Sync", description="Call them.")

        assert run("export", "--documented")[::2] == (
            0,
            'rule "Sync": its description is left out, documented arguments have none\n',
        )
