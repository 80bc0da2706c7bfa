"""Identity of what is watched, from one check to the next."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.core.keys import argument_key, rule_key
from monitoring.core.values import ContextFilter
from tests.core import strategies

HOURLY = ContextFilter(model="gap.Session", field="kind", type="Hourly")

contexts = st.none() | st.builds(
    ContextFilter, model=strategies.texts, field=strategies.texts, type=strategies.texts
)


def test_a_rules_key_begins_with_its_primary_key() -> None:
    assert rule_key(7, "sync", None).startswith("rule:7:")


def test_an_arguments_key_is_told_from_a_rules_key() -> None:
    assert argument_key("", "sync", None).startswith("args:")


def test_keys_stay_the_same_between_releases() -> None:
    # A new key would close every open event and count every row of failures anew.
    assert rule_key(7, "sync", HOURLY) == "rule:7:d346813d5bb402868a3e9eef8f656033"
    assert argument_key("Monitor", "sync", None) == "args:ecc01adc371c404a76ce184de73ed6a5"


@pytest.mark.parametrize(
    "other",
    [
        rule_key(8, "sync", HOURLY),
        rule_key(7, "Sync", HOURLY),
        rule_key(7, "sync", None),
        rule_key(7, "sync", ContextFilter(model="gap.Other", field="kind", type="Hourly")),
        rule_key(7, "sync", ContextFilter(model="gap.Session", field="", type="Hourly")),
        rule_key(7, "sync", ContextFilter(model="gap.Session", field="kind", type="Daily")),
    ],
    ids=["rule", "task", "no context", "context model", "context field", "context type"],
)
def test_a_rule_pointed_at_something_else_has_another_key(other: str) -> None:
    assert other != rule_key(7, "sync", HOURLY)


@pytest.mark.parametrize(
    "other",
    [
        argument_key("Monitor B", "sync", None),
        argument_key("Monitor A", "Sync", None),
        argument_key("Monitor A", "sync", HOURLY),
    ],
    ids=["periodic task", "task", "context"],
)
def test_an_entry_of_something_else_has_another_key(other: str) -> None:
    assert other != argument_key("Monitor A", "sync", None)


def test_parts_that_run_into_one_another_are_told_apart() -> None:
    keys = [
        argument_key("a", "b", None),
        argument_key("ab", "", None),
        argument_key("", "ab", None),
        argument_key("1:a", "b", None),
        argument_key("a1:b", "", None),
        argument_key("", "a", ContextFilter(model="b", field="", type="")),
    ]

    assert all(one != other for one, other in combinations(keys, 2))


@given(strategies.texts, strategies.texts, contexts, st.integers(1, 2**63))
def test_a_key_fits_its_column_whatever_it_is_made_of(
    periodic_task: str, task_name: str, context: ContextFilter | None, pk: int
) -> None:
    for key in (argument_key(periodic_task, task_name, context), rule_key(pk, task_name, context)):
        assert len(key) <= 64
        assert key.isascii()
