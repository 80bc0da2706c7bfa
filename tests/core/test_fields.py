"""Reading one configured value: what is taken, and the words for what is not.

The words as the JSON arguments say them are in test_arguments.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.core.fields import (
    InvalidValueError,
    is_address,
    read_addresses,
    read_context,
    read_duration_factor,
    read_lookback_hours,
    read_names,
    read_statuses,
    read_success_rate,
    read_task_name,
    shown,
    unique_addresses,
)
from monitoring.core.names import did_you_mean, free_name, nearest
from monitoring.core.statuses import Status, nearest_status, parse_status, title_case
from monitoring.core.values import MAX_LOOKBACK_HOURS, ContextFilter
from tests.core import strategies


def refusal(read: Callable[..., Any], *values: Any) -> str:
    """Return the words with which a reader refuses a value."""
    with pytest.raises(InvalidValueError) as caught:
        read(*values)
    return str(caught.value)


# Values in error messages


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        ("é", '"é"'),
        ("a\nb", '"a\\nb"'),
        ("\ud800", '"\\ud800"'),
        ({"a": [1]}, '{"a": [1]}'),
        ({1, 2} - {2}, '"{1}"'),
        ({(1, 2): 3}, "<dict>"),
        (10**5000, "<int>"),
        ("x" * 100, '"' + "x" * 78 + "…"),
    ],
    ids=[
        "null",
        "true",
        "a letter with an accent",
        "a line break",
        "half a character",
        "a dictionary",
        "a set",
        "a dictionary that JSON cannot spell",
        "an endless integer",
        "a long text",
    ],
)
def test_a_value_is_shown_as_json_spells_it(value: Any, text: str) -> None:
    assert shown(value) == text


def test_a_value_that_holds_itself_is_shown_by_its_type() -> None:
    circle: list[Any] = []
    circle.append(circle)

    assert shown(circle) == "<list>"


@given(strategies.texts | st.dictionaries(strategies.texts, strategies.texts), st.integers(1, 90))
def test_what_is_shown_is_short_and_valid_unicode(value: Any, most: int) -> None:
    text = shown(value, most)

    assert 0 < len(text) <= most
    assert text.encode()
    assert "\n" not in text


# Names of tasks


@given(strategies.names)
def test_a_task_name_is_returned_as_it_is(name: str) -> None:
    assert read_task_name(name) == name


@pytest.mark.parametrize("length", [1, 255])
def test_a_task_name_may_have_up_to_255_characters(length: int) -> None:
    assert read_task_name("x" * length) == "x" * length


@pytest.mark.parametrize("name", ["a\tb", "a\nb", "ü", "日本", "a\u2028b"], ids=ascii)
def test_a_task_name_may_hold_any_character_that_can_be_stored(name: str) -> None:
    assert read_task_name(name) == name


@pytest.mark.parametrize("name", ["a\0", "\x1b[1m", "\x7f", "\udfff"], ids=ascii)
def test_a_task_name_may_not_hold_what_no_log_can_hold(name: str) -> None:
    assert refusal(read_task_name, name) == (
        f"the task name holds characters that cannot be stored: {shown(name)}"
    )


def test_a_refused_name_says_what_it_is_the_name_of() -> None:
    assert refusal(read_task_name, "", "rule") == ('the rule name must be a non-empty text, got ""')


def test_a_list_of_names_is_returned_in_order_and_without_repetition() -> None:
    assert read_names(["b", "a", "b"]) == ("b", "a")


def test_an_empty_list_of_names_is_no_names() -> None:
    assert read_names([]) == ()


def test_names_are_told_apart_by_case() -> None:
    assert read_names(("sync", "Sync")) == ("sync", "Sync")


# Statuses


@given(st.lists(strategies.statuses, min_size=1))
def test_statuses_are_returned_in_order_and_without_repetition(given_: list[Status]) -> None:
    read = read_statuses([status.value for status in given_])

    assert read == tuple(dict.fromkeys(given_))


@pytest.mark.parametrize("text", ["", "Complete", "Completed!", "COMPLETED\0", "1"], ids=ascii)
def test_only_the_seven_statuses_are_statuses(text: str) -> None:
    assert parse_status(text) is None


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("complete", "Completed"),
        ("Canceled", "Cancelled"),
        ("PENDNG", "Pending"),
        ("stoped", "Stopped"),
        ("xyz", ""),
    ],
    ids=str,
)
def test_a_misspelt_status_has_a_nearest_one(text: str, near: str) -> None:
    assert nearest_status(text) == near


def test_statuses_are_shown_in_title_case_with_commas() -> None:
    assert title_case(tuple(Status)) == (
        "Pending, Queued, Running, Completed, Stopped, Cancelled, Invalidated"
    )


# Near names


def test_near_names_ignore_case_and_come_nearest_first() -> None:
    assert nearest("HOURLY_SYNC", ["hourly_async", "hourly_sync", "daily"]) == [
        "hourly_sync",
        "hourly_async",
    ]


def test_at_most_three_near_names_are_offered() -> None:
    assert did_you_mean("task", ["task1", "task2", "task3", "task4"]).count(" or ") == 2


def test_nothing_near_is_no_hint() -> None:
    assert did_you_mean("sync", ["export", "cleanup"]) == ""


def test_a_name_that_is_alike_only_because_of_its_module_is_not_near() -> None:
    known = ["orders.tasks.import_prices", "orders.tasks.refresh_stock", "orders.tasks.sync_orders"]

    assert nearest("orders.tasks.refresh_stok", known) == ["orders.tasks.refresh_stock"]


@given(st.text(min_size=1, max_size=12), st.lists(st.integers(2, 5), unique=True))
def test_a_free_name_is_not_taken_and_not_too_long(name: str, numbers: list[int]) -> None:
    taken = {name[:8], *(f"{name} ({number})"[:8] for number in numbers)}

    found = free_name(name, taken, 8)

    assert found not in taken
    assert len(found) <= 8


def test_a_free_name_is_kept_and_a_taken_one_numbered() -> None:
    assert free_name("sync", set(), 8) == "sync"
    assert free_name("sync", {"sync", "sync (2)"}, 8) == "sync (3)"
    assert free_name("synchronise", {"synchron"}, 8) == "sync (2)"


def test_a_hint_quotes_the_near_names() -> None:
    assert did_you_mean("synk", ["sync", "sink"]) == ' (did you mean "sync" or "sink"?)'


# Hours


@pytest.mark.parametrize("hours", [0.001, 1, 1.5, MAX_LOOKBACK_HOURS], ids=str)
def test_hours_above_zero_and_up_to_ten_years_are_taken(hours: float) -> None:
    assert read_lookback_hours(hours) == hours


@given(st.floats() | st.integers())
def test_every_number_is_either_hours_or_refused(value: float) -> None:
    if 0 < value <= MAX_LOOKBACK_HOURS:
        assert read_lookback_hours(value) == value
    else:
        assert "write a number of hours above 0 and up to 87600" in refusal(
            read_lookback_hours, value
        )


@pytest.mark.parametrize("value", [0, 0.0, -0.0, -1, 87_600.000_001, 10**30], ids=str)
def test_hours_out_of_range_are_refused(value: float) -> None:
    assert refusal(read_lookback_hours, value) == (
        f"is out of range, got {json.dumps(value)}: write a number of hours above 0 and up to 87600"
    )


# Addresses


@pytest.mark.parametrize(
    "address",
    [
        "ops@example.com",
        "first.last+tag@mail.example.co.uk",
        "root@localhost",
        "o'hara@example.com",
        "jörg@bücher.example",
        "ops@xn--bcher-kva.example",
        "a" * 242 + "@example.com",
    ],
    ids=lambda address: address[-30:],
)
def test_a_plain_address_is_an_address(address: str) -> None:
    assert is_address(address)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "ops",
        "@example.com",
        "ops@",
        "ops@example.",
        "ops@@example.com",
        "ops@example.com, dev@example.com",
        "ops@example.com;dev@example.com",
        "Ops <ops@example.com>",
        " ops@example.com",
        "ops@example.com ",
        "ops@example.com\n",
        "ops@example.com\r\nBcc: all@example.com",
        "ops\0@example.com",
        "ops\u2028@example.com",
        "ops@exa mple.com",
        '"ops"@example.com',
        "ops\udc00@example.com",
        "a" * 243 + "@example.com",
        None,
        5,
        ["ops@example.com"],
        b"ops@example.com",
    ],
    ids=lambda value: ascii(value)[-40:],
)
def test_anything_else_is_not(value: object) -> None:
    assert not is_address(value)


@given(strategies.texts)
def test_no_address_can_add_a_header_or_a_recipient(text: str) -> None:
    for candidate in (text, f"{text}@example.com", f"ops@{text}", f"ops@example.com{text}"):
        if is_address(candidate):
            assert len(candidate.splitlines()) == 1
            assert not set(candidate) & set(" \t\r\n,;<>\0")
            assert candidate.count("@") == 1
            assert candidate.encode()


def test_addresses_that_differ_only_in_case_are_one() -> None:
    assert unique_addresses(["Ops@example.com", "ops@EXAMPLE.com", "dev@example.com"]) == (
        "Ops@example.com",
        "dev@example.com",
    )


@pytest.mark.parametrize("empty", [[], ()], ids=["list", "tuple"])
def test_no_addresses_are_no_complaint(empty: Any) -> None:
    assert read_addresses(empty) == ((), [])


def test_each_bad_address_is_one_complaint() -> None:
    good, complaints = read_addresses(["x", "ops@example.com", 5])

    assert good == ("ops@example.com",)
    assert complaints == [
        '"x" is not an e-mail address: write it like "admin@example.com"',
        '5 is not an e-mail address: write it like "admin@example.com"',
    ]


# Contexts


@pytest.mark.parametrize("model", [None, ""], ids=["null", "empty"])
@pytest.mark.parametrize("type_", [None, ""], ids=["null", "empty"])
def test_without_model_and_type_there_is_no_context(model: Any, type_: Any) -> None:
    assert read_context(model, type_) is None


def test_a_context_may_name_its_field() -> None:
    assert read_context("gap.Session", "Daily", "kind") == ContextFilter(
        model="gap.Session", field="kind", type="Daily"
    )


@pytest.mark.parametrize(
    "model",
    [
        "IngestorSession",
        "gap.",
        ".IngestorSession",
        "gap.views.IngestorSession",
        "gap.models.sub.IngestorSession",
        "gap.models.IngestorSession\n",
        "gap models.IngestorSession",
        "1gap.IngestorSession",
        "os.system('x')",
        5,
        ["gap.IngestorSession"],
    ],
    ids=ascii,
)
def test_a_context_model_is_an_app_and_a_model_and_nothing_else(model: Any) -> None:
    assert refusal(read_context, model, "Daily") == (
        f'context_model must look like "gap.models.IngestorSession", got {shown(model)}'
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (("gap.Session", ""), "context_model is given without context_type: set both or neither"),
        (("", "Daily"), "context_type is given without context_model: set both or neither"),
        (
            ("", "", "kind"),
            "context_field needs context_model and context_type beside it",
        ),
        (
            ("gap.Session", "x" * 256),
            f'context_type must be a text of up to 255 characters, got "{"x" * 78}…',
        ),
        (
            ("gap.Session", 5),
            "context_type must be a text of up to 255 characters, got 5",
        ),
        (
            ("gap.Session", "a\0"),
            'context_type holds characters that cannot be stored: "a\\u0000"',
        ),
        (("gap.Session", "Daily", 5), "context_field must be a field name, got 5"),
    ],
    ids=[
        "no type",
        "no model",
        "only a field",
        "a long type",
        "a number as type",
        "NUL in the type",
        "a number as field",
    ],
)
def test_half_a_context_is_refused(values: tuple[Any, ...], message: str) -> None:
    assert refusal(read_context, *values) == message


# What is measured


@pytest.mark.parametrize("value", [1, 1.5, 100], ids=str)
def test_a_share_and_a_multiple_are_taken_between_their_bounds(value: float) -> None:
    assert read_duration_factor(value) == read_success_rate(value) == float(value)


@pytest.mark.parametrize("value", [0.9, 0, -1, 1000.5], ids=str)
def test_a_multiple_of_the_usual_is_at_least_one(value: float) -> None:
    assert refusal(read_duration_factor, value) == (
        f"must be from 1 to 1000, got {value:g}: write how many times the usual duration is "
        "allowed, such as 2"
    )


@pytest.mark.parametrize("value", [0.9, 0, -1, 100.5], ids=str)
def test_a_share_is_a_percentage_and_no_fraction(value: float) -> None:
    assert refusal(read_success_rate, value) == (
        f"must be from 1 to 100, got {value:g}: write a percentage, such as 90 for 90 %"
    )


@pytest.mark.parametrize("read", [read_duration_factor, read_success_rate])
@pytest.mark.parametrize("value", ["2", True, None, float("nan"), 10**400], ids=ascii)
def test_what_is_no_number_is_no_measure(read: Callable[..., float], value: Any) -> None:
    assert "must be a" in refusal(read, value)
