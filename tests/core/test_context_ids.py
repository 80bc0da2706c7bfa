"""Which argument of a task is recorded as its context id."""

from __future__ import annotations

import uuid
from enum import IntEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.core.context_ids import context_id_of

UUID = "5f0c7d62-9c1c-4a7e-8f43-3c9f2b1d7a10"


class Answer(IntEnum):
    LIFE = 42


class Unspeakable:
    def __str__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("first", "recorded"),
    [
        (42, "42"),
        (0, "0"),
        (-1, "-1"),
        (Answer.LIFE, "42"),
        (uuid.UUID(UUID), UUID),
        (UUID, UUID),
        (UUID.upper(), UUID.upper()),
    ],
    ids=["integer", "zero", "negative", "enum", "UUID", "UUID as text", "UUID in capitals"],
)
def test_a_primary_key_in_the_first_place_is_recorded(first: Any, recorded: str) -> None:
    assert context_id_of([first, "more"], {"id": 7}, None) == recorded


@pytest.mark.parametrize(
    "first",
    [
        True,
        None,
        1.5,
        "secret",
        "42",
        "",
        UUID.replace("-", ""),
        f"{{{UUID}}}",
        f"urn:uuid:{UUID}",
        f" {UUID}",
        b"42",
        [42],
        {"id": 42},
    ],
    ids=ascii,
)
def test_anything_else_may_be_a_secret_and_is_not_recorded(first: Any) -> None:
    assert context_id_of([first], {}, None) == ""


def test_without_positional_arguments_nothing_is_recorded() -> None:
    assert context_id_of([], {"id": 42}, None) == ""


@pytest.mark.parametrize(
    ("value", "recorded"),
    [(42, "42"), ("north-7", "north-7"), ("", ""), (True, "True"), (None, "")],
    ids=["integer", "text", "empty", "true", "null"],
)
def test_a_configured_argument_is_recorded_as_it_is(value: Any, recorded: str) -> None:
    assert context_id_of([1], {"session": value}, "session") == recorded


def test_a_configured_argument_that_is_missing_is_not_replaced_by_the_first() -> None:
    assert context_id_of([1], {"other": 2}, "session") == ""


@pytest.mark.parametrize(
    ("args", "kwargs", "argument"),
    [
        ([10**5000], {}, None),
        ([], {"session": 10**5000}, "session"),
        ([], {"session": Unspeakable()}, "session"),
    ],
    ids=["an endless integer", "configured, endless", "configured, unspeakable"],
)
def test_a_value_that_has_no_text_is_not_recorded_and_no_error(
    args: list[Any], kwargs: dict[str, Any], argument: str | None
) -> None:
    assert context_id_of(args, kwargs, argument) == ""


@given(
    st.lists(st.none() | st.integers() | st.floats() | st.text() | st.uuids(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.none() | st.integers() | st.text(), max_size=2),
    st.none() | st.text(max_size=3),
)
def test_the_context_id_is_always_a_text(
    args: list[Any], kwargs: dict[str, Any], argument: str | None
) -> None:
    assert isinstance(context_id_of(args, kwargs, argument), str)
