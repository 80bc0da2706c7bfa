"""The documented JSON arguments: what they mean, and every way in which people get them wrong."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from monitoring.core.arguments import Arguments, Problem, parse_arguments
from monitoring.core.keys import argument_key
from monitoring.core.statuses import Status
from monitoring.core.values import ContextFilter, Rule, WhileRunning
from tests.core import strategies
from tests.spec_examples import EXAMPLES

GOOD = {"good": {"expected_statuses": ["Completed"]}}
"""A valid neighbour, which must be checked whatever stands beside it."""

EXAMPLE = '[{"task_name": {"expected_statuses": ["Completed"]}}]'
ALL_STATUSES = "Pending, Queued, Running, Completed, Stopped, Cancelled, Invalidated"
ALL_KEYS = (
    "expected_statuses, notify_to, dependent_tasks, lookback_hours, context_model, context_type"
)
HOURS = "write a number of hours above 0 and up to 87600"


def parse(*args: Any, **kwargs: Any) -> Arguments:
    return parse_arguments(args, kwargs)


def problems(arguments: Arguments) -> list[str]:
    return [str(problem) for problem in arguments.problems]


def tasks(arguments: Arguments) -> list[str]:
    return [entry.task_name for entry in arguments.entries]


def entry(**config: Any) -> dict[str, Any]:
    """Return the configuration of a valid entry with some of its parts replaced."""
    return {"expected_statuses": ["Completed"]} | config


def read(**config: Any) -> Rule:
    """Return the rule of one entry that must be read without a problem."""
    arguments = parse({"sync": entry(**config)})
    assert problems(arguments) == []
    (only,) = arguments.entries
    return only


# The documented examples


def documented(task_name: str, path: str, **fields: Any) -> Rule:
    """Return the rule that the documentation describes, with the documented defaults."""
    context = fields.get("context")
    values: dict[str, Any] = {
        "key": argument_key("", task_name, context),
        "task_name": task_name,
        "path": path,
        "expected_statuses": (Status.COMPLETED,),
        "lookback_hours": 1.0,
        "notify_to": (),
        "dependent_tasks": (),
        "context": None,
        "alert_after": 1,
        "remind_hours": 0,
        "notify_on_recovery": False,
        "max_runtime_minutes": None,
        "while_running": WhileRunning.JUDGE,
        "snoozed_until": None,
        "watched_since": None,
        "rule_id": None,
    }
    return Rule(**(values | fields))


TOMORROW_IO = ContextFilter(model="gap.models.IngestorSession", field="", type="Hourly Tomorrow.io")
COMPLETED_OR_RUNNING = (Status.COMPLETED, Status.RUNNING)

DOCUMENTED: dict[str, dict[str, dict[str, Any]]] = {
    "10.3": {
        "task_name": {
            "notify_to": ("admin@example.com",),
            "dependent_tasks": ("Task Y", "Task Z"),
            "context": TOMORROW_IO,
        }
    },
    "10.4.2 hourly": {"hourly_data_sync": {"lookback_hours": 1.0}},
    "10.4.2 daily": {"daily_report": {"lookback_hours": 25.0}},
    "10.4.2 bi-hourly": {
        "data_processing": {"expected_statuses": COMPLETED_OR_RUNNING, "lookback_hours": 2.5}
    },
    "10.5.3": {
        "task_name_1": {
            "notify_to": ("admin@example.com",),
            "dependent_tasks": ("task_name_2",),
        },
        "task_name_2": {"lookback_hours": 2.0},
    },
    "10.6.1": {"hourly_data_sync": {"notify_to": ("data-team@example.com",)}},
    "10.6.2": {
        "data_collection": {
            "notify_to": ("ops@example.com",),
            "dependent_tasks": ("data_processing", "data_export"),
        },
        "data_processing": {
            "expected_statuses": COMPLETED_OR_RUNNING,
            "dependent_tasks": ("data_export",),
            "lookback_hours": 2.0,
        },
        "data_export": {"lookback_hours": 3.0},
    },
    "10.6.3": {
        "daily_report_generation": {"lookback_hours": 25.0},
        "daily_cleanup": {"lookback_hours": 24.0},
    },
    "10.6.4": {
        "ingestor_session": {
            "context": TOMORROW_IO,
            "notify_to": ("weather-team@example.com",),
            "dependent_tasks": ("forecast_processing",),
            "lookback_hours": 2.0,
        }
    },
    "10.10.2": {"test_task": {"lookback_hours": 24.0}},
    "10.11.2": {"ingestor_session": {"context": TOMORROW_IO, "lookback_hours": 2.0}},
    "10.12.1": {"critical_task": {"notify_to": ("admin@example.com",), "lookback_hours": 2.0}},
    "10.13.1": {
        "generate_daily_report": {
            "notify_to": ("reports-team@example.com", "management@example.com"),
            "dependent_tasks": ("send_report_emails", "update_dashboard"),
            "lookback_hours": 2.0,
        }
    },
}


@pytest.mark.parametrize("section", EXAMPLES)
def test_a_documented_example_means_exactly_the_documented_rules(section: str) -> None:
    args = json.loads(json.dumps([EXAMPLES[section]]))

    assert parse(*args) == Arguments(
        entries=tuple(
            documented(name, f'arguments[0]["{name}"]', **fields)
            for name, fields in DOCUMENTED[section].items()
        )
    )


def test_there_is_a_meaning_for_every_documented_example() -> None:
    assert DOCUMENTED.keys() == EXAMPLES.keys()


# What can be asked for


def test_no_arguments_at_all_ask_for_all_rules() -> None:
    assert parse() == Arguments(all_rules=True)


@pytest.mark.parametrize("args", [[{}], [None], [[]], [""], [0], [False], [{}, {}]], ids=json.dumps)
def test_something_empty_is_an_error_and_never_asks_for_all_rules(args: list[Any]) -> None:
    arguments = parse(*args)

    assert not arguments.all_rules
    assert arguments.entries == ()
    assert arguments.problems


@pytest.mark.parametrize("keyword", ["rules", "tasks"])
@pytest.mark.parametrize("value", [[], None, "", 0, {}], ids=json.dumps)
def test_an_empty_selection_is_an_error_and_never_asks_for_all_rules(
    keyword: str, value: Any
) -> None:
    arguments = parse(**{keyword: value})

    assert not arguments.all_rules
    assert arguments.problems


def test_rules_are_selected_by_name() -> None:
    assert parse(rules=["Nightly", "Hourly", "Nightly"]) == Arguments(
        rule_names=("Nightly", "Hourly")
    )


def test_rules_are_selected_by_task() -> None:
    assert parse(tasks=["sync"]) == Arguments(task_names=("sync",))


def test_entries_and_both_selections_may_come_together() -> None:
    arguments = parse(GOOD, rules=["Nightly"], tasks=["sync"])

    assert problems(arguments) == []
    assert tasks(arguments) == ["good"]
    assert (arguments.rule_names, arguments.task_names) == (("Nightly",), ("sync",))


@pytest.mark.parametrize(
    ("kwargs", "problem"),
    [
        ({"rules": []}, "rules: is empty: name at least one, or leave it out to check all rules"),
        ({"tasks": []}, "tasks: is empty: name at least one, or leave it out to check all rules"),
        (
            {"rules": "Nightly"},
            'rules: must be a list, got the text "Nightly": write ["Nightly"]',
        ),
        (
            {"rules": None},
            'rules: must be a list of rule names such as ["Rule Y"], got null',
        ),
        ({"tasks": 5}, 'tasks: must be a list of task names such as ["Task Y"], got 5'),
        ({"rules": [""]}, 'rules: the rule name must be a non-empty text, got ""'),
        ({"tasks": [7]}, "tasks: the task name must be a non-empty text, got 7"),
        (
            {"task": ["sync"]},
            'keyword argument "task": unknown (did you mean "tasks"?): only rules=[...] and '
            "tasks=[...] are keyword arguments; task configurations belong into the positional "
            f"arguments, {EXAMPLE}",
        ),
        (
            {"hourly_data_sync": {"expected_statuses": ["Completed"]}},
            'keyword argument "hourly_data_sync": unknown: only rules=[...] and tasks=[...] are '
            "keyword arguments; task configurations belong into the positional arguments, "
            f"{EXAMPLE}",
        ),
    ],
    ids=[
        "no rules",
        "no tasks",
        "a text for rules",
        "null for rules",
        "a number for tasks",
        "an empty rule name",
        "a number as a task name",
        "a misspelt keyword",
        "a configuration as keyword arguments",
    ],
)
def test_a_wrong_keyword_argument_is_one_clear_problem_and_entries_are_kept(
    kwargs: dict[str, Any], problem: str
) -> None:
    arguments = parse(GOOD, **kwargs)

    assert problems(arguments) == [problem]
    assert tasks(arguments) == ["good"]


# What is not a dictionary, or more than one


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        (
            ["hourly_data_sync"],
            'arguments: expected one dictionary, got the text "hourly_data_sync": the outer [ ] '
            f"is missing, write {EXAMPLE}",
        ),
        (
            ["task_a", "task_b"],
            'arguments: expected one dictionary, got the text "task_a": the outer [ ] is '
            f"missing, write {EXAMPLE}",
        ),
        ([None], f"arguments[0]: expected one dictionary, got null: write {EXAMPLE}"),
        ([5], f"arguments[0]: expected one dictionary, got 5: write {EXAMPLE}"),
        ([True], f"arguments[0]: expected one dictionary, got true: write {EXAMPLE}"),
        (
            [[{"sync": entry()}]],
            'arguments[0]: expected one dictionary, got [{"sync": {"expected_statuses": '
            f'["Completed"]}}}}]: write {EXAMPLE}',
        ),
        (
            [{}],
            f"arguments[0]: the dictionary names no task: write {EXAMPLE}, "
            "or [] to check all rules",
        ),
    ],
    ids=[
        "a text",
        "the keys of a dictionary",
        "null",
        "a number",
        "true",
        "a list too many",
        "an empty dictionary",
    ],
)
def test_what_is_not_one_dictionary_is_one_clear_problem(args: list[Any], problem: str) -> None:
    assert problems(parse(*args)) == [problem]


def test_of_two_dictionaries_both_are_checked_and_the_second_is_a_problem() -> None:
    arguments = parse({"one": entry()}, {"two": entry()})

    assert tasks(arguments) == ["one", "two"]
    assert problems(arguments) == [
        "arguments[1]: only one dictionary is expected: move its tasks into the first one"
    ]


def test_a_task_listed_twice_is_checked_as_its_first_entry_says() -> None:
    arguments = parse({"sync": entry(lookback_hours=1)}, {"sync": entry(lookback_hours=2)})

    assert [one.lookback_hours for one in arguments.entries] == [1]
    assert problems(arguments) == [
        "arguments[1]: only one dictionary is expected: move its tasks into the first one",
        'arguments[1]["sync"]: listed twice: the first one was checked',
    ]


def test_one_task_with_two_context_types_is_not_listed_twice() -> None:
    hourly, daily = (
        entry(context_model="gap.IngestorSession", context_type=type_) for type_ in ("h", "d")
    )

    arguments = parse({"sync": hourly}, {"sync": daily})

    assert [one.context.type for one in arguments.entries if one.context] == ["h", "d"]
    assert len(arguments.problems) == 1


@pytest.mark.parametrize("stray", ["text", None, 5, [], {}], ids=json.dumps)
def test_a_dictionary_is_checked_whatever_stands_beside_it(stray: Any) -> None:
    assert tasks(parse(GOOD, stray)) == ["good"]
    assert tasks(parse(stray, GOOD)) == ["good"]


# Entries that cannot be judged

REFUSED: dict[str, tuple[Any, str]] = {
    "null": (
        None,
        "expected a dictionary with expected_statuses, got null: "
        'write {"expected_statuses": ["Completed"]}',
    ),
    "a list": (
        ["Completed"],
        'expected a dictionary with expected_statuses, got ["Completed"]: '
        'write {"expected_statuses": ["Completed"]}',
    ),
    "a text": (
        "Completed",
        'expected a dictionary with expected_statuses, got "Completed": '
        'write {"expected_statuses": ["Completed"]}',
    ),
    "nothing": (
        {},
        'expected_statuses is required: write "expected_statuses": ["Completed"]',
    ),
    "no statuses": (
        {"lookback_hours": 1},
        'expected_statuses is required: write "expected_statuses": ["Completed"]',
    ),
    "null for statuses": (
        {"expected_statuses": None},
        'expected_statuses is required: write "expected_statuses": ["Completed"]',
    ),
    "an empty list of statuses": (
        {"expected_statuses": []},
        f"expected_statuses is empty: name at least one of {ALL_STATUSES}",
    ),
    "a text where the statuses belong": (
        {"expected_statuses": "Completed"},
        'expected_statuses must be a list, got the text "Completed": write ["Completed"]',
    ),
    "a dictionary where the statuses belong": (
        {"expected_statuses": {"Completed": True}},
        'expected_statuses must be a list of statuses such as ["Completed"], '
        'got {"Completed": true}',
    ),
    "a misspelt status": (
        {"expected_statuses": ["Complete"]},
        'expected_statuses "Complete" is not a status: did you mean "Completed"?',
    ),
    "an American status": (
        {"expected_statuses": ["Running", "canceled"]},
        'expected_statuses "canceled" is not a status: did you mean "Cancelled"?',
    ),
    "an unknown status": (
        {"expected_statuses": ["SUCCESS"]},
        f'expected_statuses "SUCCESS" is not a status: use {ALL_STATUSES}',
    ),
    "null as a status": (
        {"expected_statuses": [None]},
        f"expected_statuses null is not a status: use {ALL_STATUSES}",
    ),
    "a list as a status": (
        {"expected_statuses": [["Completed"]]},
        f'expected_statuses ["Completed"] is not a status: use {ALL_STATUSES}',
    ),
    "zero hours": (
        entry(lookback_hours=0),
        f"lookback_hours is out of range, got 0: {HOURS}",
    ),
    "negative hours": (
        entry(lookback_hours=-1.5),
        f"lookback_hours is out of range, got -1.5: {HOURS}",
    ),
    "more than ten years": (
        entry(lookback_hours=87_600.5),
        f"lookback_hours is out of range, got 87600.5: {HOURS}",
    ),
    "an enormous float": (
        entry(lookback_hours=1e300),
        f"lookback_hours is out of range, got 1e+300: {HOURS}",
    ),
    "an enormous integer": (
        entry(lookback_hours=10**400),
        f"lookback_hours must be a finite number, got 1{'0' * 78}…: {HOURS}",
    ),
    "an integer that cannot even be spelt": (
        entry(lookback_hours=10**5000),
        f"lookback_hours must be a finite number, got <int>: {HOURS}",
    ),
    "NaN": (
        entry(lookback_hours=math.nan),
        f"lookback_hours must be a finite number, got NaN: {HOURS}",
    ),
    "infinity": (
        entry(lookback_hours=math.inf),
        f"lookback_hours must be a finite number, got Infinity: {HOURS}",
    ),
    "negative infinity": (
        entry(lookback_hours=-math.inf),
        f"lookback_hours must be a finite number, got -Infinity: {HOURS}",
    ),
    "true": (
        entry(lookback_hours=True),
        f"lookback_hours must be a number, got true: {HOURS}, without quotes",
    ),
    "a number in quotes": (
        entry(lookback_hours="1"),
        f'lookback_hours must be a number, got "1": {HOURS}, without quotes',
    ),
    "a list of hours": (
        entry(lookback_hours=[1]),
        f"lookback_hours must be a number, got [1]: {HOURS}, without quotes",
    ),
    "context_model without context_type": (
        entry(context_model="gap.models.IngestorSession"),
        "context_model is given without context_type: set both or neither",
    ),
    "context_type without context_model": (
        entry(context_type="Hourly Tomorrow.io"),
        "context_type is given without context_model: set both or neither",
    ),
    "context_type null": (
        entry(context_model="gap.models.IngestorSession", context_type=None),
        "context_model is given without context_type: set both or neither",
    ),
    "a context_model that is no path": (
        entry(context_model="IngestorSession", context_type="x"),
        'context_model must look like "gap.models.IngestorSession", got "IngestorSession"',
    ),
    "a context_model that is a number": (
        entry(context_model=5, context_type="x"),
        'context_model must look like "gap.models.IngestorSession", got 5',
    ),
    "a context_type that is a list": (
        entry(context_model="gap.IngestorSession", context_type=["x"]),
        'context_type must be a text of up to 255 characters, got ["x"]',
    ),
    "a context_type with NUL": (
        entry(context_model="gap.IngestorSession", context_type="x\0"),
        'context_type holds characters that cannot be stored: "x\\u0000"',
    ),
}


@pytest.mark.parametrize(("config", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_an_entry_that_cannot_be_judged_is_one_clear_problem_and_its_neighbour_is_kept(
    config: Any, message: str
) -> None:
    arguments = parse({"bad": config} | GOOD)

    assert problems(arguments) == [f'arguments[0]["bad"]: {message}']
    assert tasks(arguments) == ["good"]


@pytest.mark.parametrize(
    ("name", "path", "message"),
    [
        ("", '""', 'the task name must be a non-empty text, got ""'),
        ("  ", '"  "', 'the task name must be a non-empty text, got "  "'),
        (7, "7", "the task name must be a non-empty text, got 7"),
        (
            "x" * 256,
            '"' + "x" * 78 + "…",
            f'the task name is longer than 255 characters: "{"x" * 78}…',
        ),
        (
            "a\0b",
            '"a\\u0000b"',
            'the task name holds characters that cannot be stored: "a\\u0000b"',
        ),
        (
            "a\ud800b",
            '"a\\ud800b"',
            'the task name holds characters that cannot be stored: "a\\ud800b"',
        ),
    ],
    ids=["empty", "blank", "a number", "too long", "NUL", "half a character"],
)
def test_a_name_that_no_task_has_is_one_clear_problem_and_its_neighbour_is_kept(
    name: Any, path: str, message: str
) -> None:
    arguments = parse({name: entry()} | GOOD)

    assert problems(arguments) == [f"arguments[0][{path}]: {message}"]
    assert tasks(arguments) == ["good"]


# What does not keep an entry from being judged

REPORTED: dict[str, tuple[dict[str, Any], str]] = {
    "a misspelt key": (
        {"lookback_hour": 2},
        ': unknown key "lookback_hour" (did you mean "lookback_hours"?)',
    ),
    "an unknown key": ({"colour": "red"}, f': unknown key "colour": known are {ALL_KEYS}'),
    "an unknown key with null": (
        {"colour": None},
        f': unknown key "colour": known are {ALL_KEYS}',
    ),
    "an address without a domain": (
        {"notify_to": ["ops"]},
        '.notify_to: "ops" is not an e-mail address: write it like "admin@example.com"',
    ),
    "an address with a display name": (
        {"notify_to": ["Ops <ops@example.com>"]},
        '.notify_to: "Ops <ops@example.com>" is not an e-mail address: '
        'write only "ops@example.com"',
    ),
    "an address with a header in it": (
        {"notify_to": ["ops@example.com\nBcc: all@example.com"]},
        '.notify_to: "ops@example.com\\nBcc: all@example.com" is not an e-mail address: '
        'write it like "admin@example.com"',
    ),
    "half a character in an address": (
        {"notify_to": ["\ud800@example.com"]},
        '.notify_to: "\\ud800@example.com" is not an e-mail address: '
        'write it like "admin@example.com"',
    ),
    "null as an address": (
        {"notify_to": [None]},
        '.notify_to: null is not an e-mail address: write it like "admin@example.com"',
    ),
    "a text for the addresses": (
        {"notify_to": "ops@example.com"},
        '.notify_to: must be a list, got the text "ops@example.com": write ["ops@example.com"]',
    ),
    "a number for the addresses": (
        {"notify_to": 5},
        '.notify_to: must be a list such as ["admin@example.com"], got 5',
    ),
    "a text for the dependents": (
        {"dependent_tasks": "export"},
        '.dependent_tasks: must be a list, got the text "export": write ["export"]',
    ),
    "a number for the dependents": (
        {"dependent_tasks": 5},
        '.dependent_tasks: must be a list of task names such as ["Task Y"], got 5',
    ),
    "null as a dependent": (
        {"dependent_tasks": [None]},
        ".dependent_tasks: the task name must be a non-empty text, got null",
    ),
    "NUL in a dependent": (
        {"dependent_tasks": ["a\0"]},
        '.dependent_tasks: the task name holds characters that cannot be stored: "a\\u0000"',
    ),
}


@pytest.mark.parametrize(("config", "message"), REPORTED.values(), ids=REPORTED.keys())
def test_what_the_check_does_not_need_is_reported_and_the_entry_still_checked(
    config: dict[str, Any], message: str
) -> None:
    arguments = parse({"sync": entry(**config)})

    assert problems(arguments) == [f'arguments[0]["sync"]{message}']
    assert tasks(arguments) == ["sync"]


def test_the_good_addresses_beside_a_bad_one_are_kept() -> None:
    addresses = ["ops@example.com", "nobody", "DEV@example.com", "OPS@example.com"]

    (only,) = parse({"sync": entry(notify_to=addresses)}).entries

    assert only.notify_to == ("ops@example.com", "DEV@example.com")


def test_an_address_that_should_be_in_a_list_is_used_all_the_same() -> None:
    (only,) = parse({"sync": entry(notify_to="ops@example.com")}).entries

    assert only.notify_to == ("ops@example.com",)


def test_everything_wrong_with_an_entry_is_listed_at_once() -> None:
    config = {"expected_status": ["Completed"], "colour": 1, "notify_to": ["x"]}

    arguments = parse({"bad": config})

    assert problems(arguments) == [
        'arguments[0]["bad"]: unknown key "expected_status" (did you mean "expected_statuses"?)',
        f'arguments[0]["bad"]: unknown key "colour": known are {ALL_KEYS}',
        'arguments[0]["bad"]: expected_statuses is required: '
        'write "expected_statuses": ["Completed"]',
    ]


def test_a_problem_reads_as_its_path_and_its_message() -> None:
    assert str(Problem(path="arguments[0]", message="is odd")) == "arguments[0]: is odd"


# What is right


@pytest.mark.parametrize("status", Status, ids=str)
@pytest.mark.parametrize(
    "spell",
    [str.lower, str.upper, str.swapcase, lambda text: f" {text} "],
    ids=["lower", "upper", "swapped", "with spaces"],
)
def test_a_status_may_be_spelt_in_any_case(status: Status, spell: Any) -> None:
    assert read(expected_statuses=[spell(status.value)]).expected_statuses == (status,)


def test_a_status_given_twice_is_expected_once() -> None:
    assert read(expected_statuses=["Running", "COMPLETED", "running"]).expected_statuses == (
        Status.RUNNING,
        Status.COMPLETED,
    )


@pytest.mark.parametrize(
    "key", ["notify_to", "dependent_tasks", "lookback_hours", "context_model", "context_type"]
)
def test_null_on_an_optional_key_is_the_same_as_leaving_it_out(key: str) -> None:
    assert read(**{key: None}) == read()


def test_empty_texts_are_no_context() -> None:
    assert read(context_model="", context_type="").context is None


@pytest.mark.parametrize("model", ["gap.models.IngestorSession", "gap.IngestorSession"])
def test_a_context_model_may_be_written_in_two_ways(model: str) -> None:
    assert read(context_model=model, context_type="Daily").context == ContextFilter(
        model=model, field="", type="Daily"
    )


@pytest.mark.parametrize("hours", [1, 1.5, 0.02, 5e-324, 87_600], ids=str)
def test_hours_are_read_as_a_float(hours: float) -> None:
    read_hours = read(lookback_hours=hours).lookback_hours

    assert (type(read_hours), read_hours) == (float, hours)


def test_a_task_name_is_taken_exactly_as_it_is() -> None:
    name = " Täglich: synchronisieren\n"

    assert tasks(parse({name: entry()})) == [name]


def test_the_same_entry_of_two_periodic_tasks_is_watched_separately() -> None:
    (one,) = parse_arguments([GOOD], {}, "Monitor A").entries
    (other,) = parse_arguments([GOOD], {}, "Monitor B").entries

    assert one.key != other.key


def test_what_is_expected_may_change_without_the_entry_becoming_another() -> None:
    before = read(expected_statuses=["Completed"], lookback_hours=1)
    after = read(expected_statuses=["Running"], lookback_hours=2, notify_to=["a@example.com"])

    assert before.key == after.key


def test_five_thousand_entries_are_read_and_every_bad_one_reported() -> None:
    config = {f"task_{n}": entry(lookback_hours=0 if n % 10 == 0 else 1) for n in range(5000)}

    arguments = parse(config)

    assert len(arguments.entries) == 4500
    assert problems(arguments) == [
        f'arguments[0]["task_{n}"]: lookback_hours is out of range, got 0: {HOURS}'
        for n in range(0, 5000, 10)
    ]


def test_nesting_too_deep_for_json_is_one_clear_problem() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]

    assert problems(parse(deep)) == [
        f"arguments[0]: expected one dictionary, got <list>: write {EXAMPLE}"
    ]


# Whatever it is

junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.just(10**400)
    | st.floats()
    | strategies.texts
    | st.sampled_from(["Completed", "ops@example.com", "gap.models.IngestorSession"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["good", "expected_statuses", "notify_to", "lookback_hours", "context_type"]
            )
            | strategies.texts,
            inner,
            max_size=4,
        )
    ),
    max_leaves=5,
)
"""Anything JSON can say, now and then in the right words."""

configs = st.dictionaries(
    strategies.texts.filter(lambda name: name != "good"),
    junk
    | st.fixed_dictionaries(
        {"expected_statuses": junk},
        optional={
            "notify_to": junk,
            "dependent_tasks": junk,
            "lookback_hours": junk,
            "context_model": junk,
            "context_type": junk,
        },
    ),
    max_size=2,
)


def is_fit_to_be_written(arguments: Arguments) -> bool:
    """Say whether the error's text, and what is stored of the entries, are valid Unicode."""
    said = "\n".join(problems(arguments))
    stored = [
        (one.task_name, one.dependent_tasks, one.notify_to, one.context and one.context.type)
        for one in arguments.entries
    ]
    return bool((said + str(stored)).encode()) and "\0" not in repr(stored)


@given(st.lists(junk, max_size=3), st.dictionaries(strategies.texts, junk, max_size=2))
@example([{"a": {"expected_statuses": ["\ud800"]}}], {})
@example([{"a": {"expected_statuses": ["Completed"], "\ud800": "\0"}}], {"\ud800": 1})
def test_no_arguments_whatever_make_it_raise(args: list[Any], kwargs: Mapping[str, Any]) -> None:
    arguments = parse_arguments(args, kwargs)

    assert arguments.all_rules == (not args and not kwargs)
    assert is_fit_to_be_written(arguments)
    asked_for = (arguments.entries, arguments.problems, arguments.rule_names, arguments.task_names)
    assert arguments.all_rules or any(asked_for)


@given(configs)
def test_a_valid_entry_is_kept_whatever_its_neighbours(config: dict[str, Any]) -> None:
    arguments = parse(config | GOOD)

    assert tasks(arguments)[-1] == "good"
    assert len(arguments.entries) + len(arguments.problems) >= len(config) + 1
    assert is_fit_to_be_written(arguments)
    for one in arguments.entries:
        assert one.expected_statuses
        assert 0 < one.lookback_hours <= 87_600
        assert (one.remind_hours, one.notify_on_recovery, one.alert_after) == (0, False, 1)
