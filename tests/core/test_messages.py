"""The wording of alerts: subjects, facts, and the plain text that needs no template."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.core.incidents import MessageKind
from monitoring.core.messages import TIME_FACTS, facts, lookback_text, number, plain_text, subject
from monitoring.core.statuses import Status
from monitoring.core.values import (
    FAILING,
    ContextFilter,
    Evidence,
    Rule,
    Verdict,
    VerdictKind,
    Waiting,
)
from monitoring.core.verdicts import judge
from tests.core import strategies
from tests.core.building import NOW, ago, evidence, execution, json_rule, rule, stored_rule, verdict

ALERT, REMINDER, RECOVERY = MessageKind.ALERT, MessageKind.REMINDER, MessageKind.RECOVERY

MISMATCH, MISSING = VerdictKind.STATUS_MISMATCH, VerdictKind.NO_EXECUTION
OVERRUNNING, UNKNOWN, OK = VerdictKind.OVERRUNNING, VerdictKind.UNKNOWN, VerdictKind.OK

SENT = [
    *((kind, message) for kind in sorted([*FAILING, UNKNOWN]) for message in (ALERT, REMINDER)),
    (OK, RECOVERY),
]
"""Every verdict with every message that may be sent about it."""


def said(rule_: Rule, log: Evidence, kind: MessageKind = ALERT, **more: Any) -> dict[str, Any]:
    """Return the facts of the message about what a check finds."""
    return facts(rule_, judge(rule_, log, NOW), kind, NOW, **more)


# Subjects


@pytest.mark.parametrize("message", [ALERT, REMINDER], ids=str)
@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (MISMATCH, "[ALERT] hourly_data_sync Status Check Failed"),
        (MISSING, "[ALERT] hourly_data_sync Has Not Executed"),
        (OVERRUNNING, "[ALERT] hourly_data_sync Status Check Failed"),
        (VerdictKind.SLOW, "[ALERT] hourly_data_sync Status Check Failed"),
        (VerdictKind.LOW_SUCCESS_RATE, "[ALERT] hourly_data_sync Status Check Failed"),
        (UNKNOWN, "[ALERT] hourly_data_sync Cannot Be Checked"),
    ],
    ids=str,
)
def test_an_alert_has_the_documented_subject(
    kind: VerdictKind, text: str, message: MessageKind
) -> None:
    assert subject("hourly_data_sync", kind, message) == text


@pytest.mark.parametrize("kind", VerdictKind, ids=str)
def test_a_recovery_has_its_own_subject(kind: VerdictKind) -> None:
    assert subject("hourly_data_sync", kind, RECOVERY) == "[RESOLVED] hourly_data_sync"


@pytest.mark.parametrize(
    ("task_name", "text"),
    [
        ("a\r\nBcc: all@example.com", "[ALERT] a Bcc: all@example.com Has Not Executed"),
        ("a\nb", "[ALERT] a b Has Not Executed"),
        ("a\rb", "[ALERT] a b Has Not Executed"),
        ("a\u2028b", "[ALERT] a b Has Not Executed"),
        ("a\x85b", "[ALERT] a b Has Not Executed"),
        ("a\0b", "[ALERT] a b Has Not Executed"),
        ("a\ud800b", "[ALERT] a?b Has Not Executed"),
        ("{name} %s", "[ALERT] {name} %s Has Not Executed"),
        ("<b>", "[ALERT] <b> Has Not Executed"),
        ("é 日本", "[ALERT] é 日本 Has Not Executed"),
    ],
    ids=ascii,
)
def test_a_subject_is_one_line_whatever_the_task_is_called(task_name: str, text: str) -> None:
    assert subject(task_name, MISSING, ALERT) == text


@pytest.mark.parametrize(("kind", "message"), SENT, ids=str)
@pytest.mark.parametrize("length", [224, 240, 255, 5000], ids=str)
def test_a_subject_has_at_most_255_characters_and_keeps_its_ends(
    kind: VerdictKind, message: MessageKind, length: int
) -> None:
    short = subject("@", kind, message)

    text = subject("x" * length, kind, message)

    assert len(text) == min(255, length + len(short) - 1)
    assert text.startswith(short.split("@")[0] + "x")
    assert text.endswith(short.split("@")[1])
    assert ("…" in text) == (length + len(short) - 1 > 255)


@given(
    st.text(st.characters() | st.sampled_from("\r\n\x85\u2028\u2029\0")),
    st.sampled_from(SENT),
)
def test_no_task_name_can_add_a_header(
    task_name: str, sent: tuple[VerdictKind, MessageKind]
) -> None:
    text = subject(task_name, *sent)

    assert len(text.splitlines()) == 1
    assert len(text) <= 255
    assert "\0" not in text
    assert text.encode()


# The window and other numbers


@pytest.mark.parametrize(
    ("hours", "text"),
    [
        (1.5, "Last 1.5 hour(s)"),
        (1, "Last 1 hour(s)"),
        (1.0, "Last 1 hour(s)"),
        (0.02, "Last 0.02 hour(s)"),
        (25, "Last 25 hour(s)"),
        (100, "Last 100 hour(s)"),
        (87_600, "Last 87600 hour(s)"),
        (2.25, "Last 2.25 hour(s)"),
        (0.000_1, "Last 0.0001 hour(s)"),
        (1e-9, "Last 1e-09 hour(s)"),
    ],
    ids=str,
)
def test_the_window_is_told_in_the_documented_words(hours: float, text: str) -> None:
    assert lookback_text(hours) == text


@given(strategies.lookbacks)
def test_a_number_reads_back_as_what_it_was(hours: float) -> None:
    assert float(number(hours)) == pytest.approx(hours, rel=1e-5, abs=1e-6)
    assert not number(hours).endswith((".", ".0"))


# The nine documented variables


FULL = rule(
    Status.COMPLETED,
    Status.RUNNING,
    lookback_hours=2,
    dependent_tasks=("Task Y", "Task Z"),
)
FAILED = execution(
    Status.STOPPED,
    ago(minutes=30),
    finished_at=ago(minutes=20),
    task_id="id-1",
    worker="a@host",
    error="  ValueError: no\n",
)


def test_the_nine_documented_variables_say_what_was_found() -> None:
    told = said(FULL, evidence(FAILED))

    assert {name: told[name] for name in list(told)[:9]} == {
        "task_name": "sync",
        "current_status": "Stopped",
        "expected_statuses": "Completed, Running",
        "lookback_hours": 2.0,
        "started_at": "2026-03-10T11:30:00+00:00",
        "finished_at": "2026-03-10T11:40:00+00:00",
        "check_time": "2026-03-10T12:00:00+00:00",
        "has_dependent_tasks": True,
        "dependent_tasks": ["Task Y", "Task Z"],
    }


@pytest.mark.parametrize(
    ("name", "type_"),
    [
        ("task_name", str),
        ("current_status", str),
        ("expected_statuses", str),
        ("lookback_hours", float),
        ("started_at", str),
        ("finished_at", str),
        ("check_time", str),
        ("has_dependent_tasks", bool),
        ("dependent_tasks", list),
    ],
)
def test_a_documented_variable_has_its_documented_type(name: str, type_: type) -> None:
    # Points in time are text until the mail is rendered.
    assert type(said(FULL, evidence(FAILED))[name]) is type_


def test_without_an_execution_there_are_no_times_and_the_documented_status() -> None:
    told = said(rule(), evidence())

    assert told["current_status"] == "No execution found"
    assert (told["started_at"], told["finished_at"]) == (None, None)


def test_without_dependents_there_is_no_warning() -> None:
    told = said(rule(), evidence())

    assert (told["has_dependent_tasks"], told["dependent_tasks"]) == (False, [])


@pytest.mark.parametrize("status", Status, ids=str)
def test_statuses_are_shown_in_title_case(status: Status) -> None:
    told = said(rule(status), evidence(execution(status)), RECOVERY)

    assert told["expected_statuses"] == status.value.title()


# What is told beyond them


def test_the_error_and_where_it_happened_are_told() -> None:
    told = said(rule(), evidence(FAILED))

    assert (told["error"], told["task_id"], told["worker"]) == (
        "ValueError: no",
        "id-1",
        "a@host",
    )


def test_a_long_error_is_cut() -> None:
    told = said(rule(), evidence(FAILED._replace(error="x" * 3000)))

    assert told["error"] == "x" * 1999 + "…"


def test_what_waits_in_the_queue_is_told_and_since_when() -> None:
    queue = Waiting(count=3, since=ago(hours=5))

    told = said(rule(), evidence(waiting=queue))

    assert (told["waiting_count"], told["waiting_since"]) == (3, "2026-03-10T07:00:00+00:00")


def test_an_execution_still_running_from_before_the_window_is_told() -> None:
    told = said(rule(), evidence(execution(Status.RUNNING, ago(hours=3))))

    assert told["still_running_since"] == "2026-03-10T09:00:00+00:00"


def test_the_last_execution_before_the_window_is_told() -> None:
    old = execution(Status.COMPLETED, ago(hours=3), finished_at=ago(hours=2))

    told = said(rule(), evidence(old))

    assert [told[f"last_known_{part}"] for part in ("status", "started_at", "finished_at")] == [
        "Completed",
        "2026-03-10T09:00:00+00:00",
        "2026-03-10T10:00:00+00:00",
    ]
    assert told["still_running_since"] is None


def test_the_rule_its_context_and_its_incident_are_told() -> None:
    watched = stored_rule(
        description="Call Bob",
        context=ContextFilter(model="gap.Session", field="kind", type="Daily"),
        max_runtime_minutes=30,
    )

    told = said(watched, evidence(), opened_at=ago(hours=1), failing_checks=4)

    assert {
        name: told[name]
        for name in (
            "rule_name",
            "description",
            "context_model",
            "context_type",
            "max_runtime_minutes",
            "opened_at",
            "failing_checks",
            "kind",
            "verdict",
            "subject",
            "lookback_text",
        )
    } == {
        "rule_name": "Nightly sync",
        "description": "Call Bob",
        "context_model": "gap.Session",
        "context_type": "Daily",
        "max_runtime_minutes": 30,
        "opened_at": "2026-03-10T11:00:00+00:00",
        "failing_checks": 4,
        "kind": "alert",
        "verdict": "no_execution",
        "subject": "[ALERT] sync Has Not Executed",
        "lookback_text": "Last 1 hour(s)",
    }


@pytest.mark.parametrize(
    ("log", "message", "fields", "headline", "explanation"),
    [
        (
            evidence(),
            ALERT,
            {},
            "sync has not executed",
            "No execution started within the last 1.5 hour(s).",
        ),
        (
            evidence(FAILED),
            ALERT,
            {"expected_statuses": (Status.COMPLETED, Status.RUNNING)},
            "sync is Stopped",
            "Its latest execution, started within the last 1.5 hour(s), should be Completed or "
            "Running.",
        ),
        (
            evidence(execution(Status.RUNNING, ago(minutes=31))),
            ALERT,
            {"max_runtime_minutes": 30},
            "sync runs longer than it may",
            "It has been running for longer than the 30 minute(s) it is given.",
        ),
        (
            evidence(
                execution(started_at=ago(minutes=14), finished_at=NOW),
                successes=[execution(started_at=ago(hours=9), finished_at=ago(hours=8.95))] * 50,
            ),
            ALERT,
            {"max_duration_factor": 2},
            "sync is slower than usual",
            "It takes longer than the rule allows: it took 14 min; 95 % of the last 50 completed "
            "runs took at most 3 min; the rule allows 2 times that.",
        ),
        (
            evidence(execution(), finished={Status.COMPLETED: 7, Status.STOPPED: 3}),
            ALERT,
            {"min_success_rate": 90},
            "sync fails too often",
            "Fewer of its executions end as expected than the rule wants: 7 of 10 runs since "
            "2026-03-10 10:30 UTC were Completed (70 %), the rule wants 90 %.",
        ),
        (
            evidence(unusable="the log failed"),
            ALERT,
            {},
            "sync cannot be checked",
            "The check could not judge this rule: the log failed.",
        ),
        (
            evidence(execution()),
            RECOVERY,
            {},
            "sync is fine again",
            "The latest check found it Completed, as expected.",
        ),
    ],
    ids=["no execution", "mismatch", "overrunning", "slow", "rate", "unknown", "recovery"],
)
def test_a_message_says_in_a_sentence_what_is_the_matter(
    log: Evidence, message: MessageKind, fields: dict[str, Any], headline: str, explanation: str
) -> None:
    told = said(rule(lookback_hours=1.5, **fields), log, message)

    assert (told["headline"], told["explanation"]) == (headline, explanation)


def test_a_headline_is_one_line() -> None:
    told = said(rule(task_name="a\r\nb"), evidence())

    assert told["headline"] == "a b has not executed"


def messages_about(rule_: Rule, found: Verdict) -> list[MessageKind]:
    return [message for kind, message in SENT if kind is found.kind]


@given(
    strategies.rules,
    strategies.any_evidence,
    st.none() | strategies.moments,
)
def test_facts_survive_the_outbox_as_json(
    some: Rule, log: Evidence, opened_at: datetime | None
) -> None:
    found = judge(some, log, NOW)
    for message in messages_about(some, found):
        told = facts(some, found, message, NOW, opened_at=opened_at)

        assert json.loads(json.dumps(told, allow_nan=False)) == told
        assert {name for name in told if name.endswith(("_at", "_time", "_since", "_from"))} == set(
            TIME_FACTS
        )
        assert all(told[name] is None or as_time(told[name]).tzinfo for name in TIME_FACTS)


def as_time(text: str) -> datetime:
    return datetime.fromisoformat(text)


# Without a template


def as_variables(told: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return facts as `monitoring/rendering.py` hands them to a template."""
    times = {name: as_time(told[name]) if told[name] else None for name in TIME_FACTS}
    return told | times | {"site_name": "Example", "event_url": ""} | more


def test_the_plain_text_says_everything_that_the_documentation_promises() -> None:
    variables = as_variables(
        said(FULL, evidence(FAILED)), event_url="https://example.com/admin/monitoring/alertevent/1/"
    )

    assert plain_text(variables) == (
        "sync is Stopped\n"
        "Its latest execution, started within the last 2 hour(s), should be Completed or Running.\n"
        "\n"
        "Task: sync\n"
        "Current status: Stopped\n"
        "Expected: Completed, Running\n"
        "Lookback window: Last 2 hour(s)\n"
        "Started: 2026-03-10 11:30:00 UTC\n"
        "Finished: 2026-03-10 11:40:00 UTC\n"
        "Checked: 2026-03-10 12:00:00 UTC\n"
        "Tasks that depend on it: Task Y, Task Z\n"
        "Error: ValueError: no\n"
        "More: https://example.com/admin/monitoring/alertevent/1/\n"
    )


def test_the_plain_text_leaves_out_what_there_is_not() -> None:
    variables = as_variables(said(json_rule(), evidence()))

    assert plain_text(variables) == (
        "sync has not executed\n"
        "No execution started within the last 1 hour(s).\n"
        "\n"
        "Task: sync\n"
        "Current status: No execution found\n"
        "Expected: Completed\n"
        "Lookback window: Last 1 hour(s)\n"
        "Started: not known\n"
        "Finished: not known\n"
        "Checked: 2026-03-10 12:00:00 UTC\n"
    )


def test_the_plain_text_takes_facts_as_they_wait_in_the_outbox() -> None:
    text = plain_text(said(rule(), evidence(FAILED)))

    assert "Started: 2026-03-10T11:30:00+00:00\n" in text


def test_the_plain_text_of_nothing_is_still_a_message() -> None:
    assert plain_text({}).startswith("A task needs attention\n")


json_values = st.none() | st.booleans() | st.floats() | strategies.texts


@given(
    st.dictionaries(
        st.sampled_from(sorted(as_variables(said(FULL, evidence(FAILED))))),
        json_values | st.lists(json_values, max_size=2) | st.datetimes(),
    )
)
def test_the_plain_text_never_raises_and_is_never_empty(variables: dict[str, Any]) -> None:
    assert plain_text(variables).strip()


@pytest.mark.parametrize("kind", sorted([*FAILING, UNKNOWN]), ids=str)
def test_every_verdict_that_is_mailed_has_facts(kind: VerdictKind) -> None:
    told = facts(stored_rule(), verdict(kind), REMINDER, NOW)

    assert all(told[name] for name in ("subject", "headline", "explanation"))
