"""Rules that limit durations or failures: odd rows, and rules from JSON arguments."""

from __future__ import annotations

from typing import Any

import pytest

from monitoring.core.fields import InvalidValueError
from monitoring.exchange.documented import to_rows
from monitoring.exchange.resources import import_rules
from monitoring.models import MonitorRule
from monitoring.rule_rows import read_instance
from tests.factories import NOW, rule

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"max_duration_factor": 0.5}, "max_duration_factor must be from 1 to 1000, got 0.5"),
        ({"min_success_rate": 0.9}, "min_success_rate must be from 1 to 100, got 0.9"),
        ({"min_success_rate": float("nan")}, "min_success_rate must be a finite number"),
    ],
    ids=str,
)
def test_a_row_with_a_limit_that_no_rule_may_have_cannot_be_judged(
    fields: dict[str, Any], complaint: str
) -> None:
    row = MonitorRule(name="Sync", task_name="sync", **fields)

    with pytest.raises(InvalidValueError, match=complaint):
        read_instance(row, watched_since=NOW)


def test_a_rule_that_becomes_what_json_arguments_say_loses_its_limits() -> None:
    stored = rule("sync", name="sync", max_duration_factor=2, min_success_rate=90)

    result = import_rules(to_rows([{"sync": {"expected_statuses": ["Completed"]}}]))

    stored.refresh_from_db()
    assert result.problems() == []
    assert (stored.max_duration_factor, stored.min_success_rate) == (None, None)
