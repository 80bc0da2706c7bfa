"""What the monitor tells Prometheus of itself."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.core.health import Facts as Health
from monitoring.core.health import RegularCheck
from monitoring.core.metrics import Facts, RuleState, WorkerState, families
from monitoring.core.statuses import Status
from monitoring.core.values import VerdictKind
from tests.core.building import NOW, ago

VERDICTS = [kind.value for kind in VerdictKind]
Values = dict[tuple[str, ...], float]


def told(**facts: Any) -> dict[str, Values]:
    """Return the values by name of the metric, less its prefix, and by labels."""
    values = {"health": Health(now=NOW, rules=0)} | facts
    return {
        family.name.removeprefix("task_monitoring_"): {
            tuple(sample.labels.values()): sample.value for sample in family.samples
        }
        for family in families(Facts(**values))
    }


def test_rules_are_counted_by_what_the_last_check_found() -> None:
    found = told(
        enabled_rules=12,
        disabled_rules=3,
        rule_verdicts={"ok": 4, "status_mismatch": 2, "no_execution": 1, "in_progress": 1, "": 1},
    )

    assert found["rules"] == {
        ("ok",): 4,
        ("failing",): 3,
        ("unknown",): 0,
        ("in_progress",): 1,
        ("never_checked",): 4,
        ("disabled",): 3,
    }


@given(
    st.integers(0, 50),
    st.dictionaries(
        st.sampled_from(["", *(kind.value for kind in VerdictKind)]), st.integers(0, 9)
    ),
)
def test_every_rule_is_in_one_state(enabled: int, verdicts: dict[str, int]) -> None:
    found = told(enabled_rules=enabled, rule_verdicts=verdicts)["rules"]

    judged = sum(count for verdict, count in verdicts.items() if verdict)
    assert sum(found.values()) == max(enabled, judged)
    assert {state for (state,) in found} == {state.value for state in RuleState}


def test_entries_of_json_arguments_are_counted_apart() -> None:
    found = told(entries=3, entry_verdicts={"ok": 1})

    assert found["argument_entries"][("never_checked",)] == 2
    assert ("disabled",) not in found["argument_entries"]


def test_what_never_was_is_long_ago_and_owes_nothing() -> None:
    found = told()

    assert found["last_complete_check_timestamp_seconds"] == {(): 0}
    assert found["last_complete_check_duration_seconds"] == {(): 0}
    assert found["last_beat_timestamp_seconds"] == {(): 0}
    assert found["outbox_messages"] == {(): 0}
    assert found["outbox_oldest_message_age_seconds"] == {(): 0}


def test_times_are_unix_times_and_lengths_are_seconds() -> None:
    health = Health(now=NOW, rules=1, last_check=ago(minutes=2), owed=3, oldest_owed=ago(minutes=5))

    found = told(health=health, last_check_took=timedelta(milliseconds=250))

    at = NOW.timestamp() - 120
    assert found["last_complete_check_timestamp_seconds"] == {(): at}
    assert found["last_complete_check_duration_seconds"] == {(): 0.25}
    assert found["outbox_messages"] == {(): 3}
    assert found["outbox_oldest_message_age_seconds"] == {(): 300}


def test_a_message_of_a_clock_that_is_ahead_is_not_owed_for_less_than_nothing() -> None:
    health = Health(now=NOW, rules=1, owed=1, oldest_owed=NOW + timedelta(seconds=5))

    assert told(health=health)["outbox_oldest_message_age_seconds"] == {(): 0}


def test_every_problem_of_the_health_page_is_there_even_while_there_is_none() -> None:
    assert set(told()["problem"].values()) == {0}

    checks = [RegularCheck(name="all rules", last=ago(hours=2))]
    late = Health(now=NOW, rules=1, checks=checks, oldest_owed=ago(hours=1), owed=1)

    assert told(health=late)["problem"] == {
        ("checks",): 1,
        ("schedule",): 1,
        ("beat",): 0,
        ("outbox",): 1,
    }


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        (
            "open_alert_events",
            {"status_mismatch", "no_execution", "overrunning", "slow", "low_success_rate"},
        ),
        ("recent_checks", {"running", "complete", "failed"}),
        ("recent_messages", {"sent", "failed", "suppressed"}),
        ("workers", {"alive", "silent"}),
    ],
)
def test_a_label_has_the_same_values_whatever_there_is(name: str, labels: set[str]) -> None:
    facts: dict[str, Any] = {
        "open_events": {"overrunning": 2},
        "checks": {"complete": 2},
        "messages": {"sent": 2},
        "workers": {WorkerState.ALIVE: 2},
    }

    assert {label for (label,) in told()[name]} == labels
    assert max(told(**facts)[name].values()) == 2
    assert {label for (label,) in told(**facts)[name]} == labels


def test_executions_are_counted_by_status() -> None:
    found = told(executions={Status.STOPPED: 2})["recent_executions"]

    assert found[("stopped",)] == 2
    assert {status for (status,) in found} == {status.value.lower() for status in Status}


def test_what_this_task_log_cannot_tell_is_left_out() -> None:
    names = set(told())

    assert "recent_executions" not in names
    assert "oldest_execution_timestamp_seconds" not in names
    assert "last_recorded_timestamp_seconds" not in names
