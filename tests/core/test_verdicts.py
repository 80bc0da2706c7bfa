"""What one check finds for one rule: the decision table, row by row, and what holds for all."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.core.statuses import FINISHED, IN_PROGRESS, NO_EXECUTION, NOT_STARTED, Status
from monitoring.core.values import (
    FAILING,
    Evidence,
    Execution,
    Rule,
    Verdict,
    VerdictKind,
    Waiting,
    WhileRunning,
)
from monitoring.core.verdicts import is_plainly_ok, judge
from tests.core import strategies
from tests.core.building import NOW, ago, evidence, execution, rule, stored_rule, verdict
from tests.core.strategies import evidence_of

WAIT = WhileRunning.WAIT
STARTED = [status for status in Status if status not in NOT_STARTED]


def found(rule_: Rule, evidence_: Evidence) -> VerdictKind:
    return judge(rule_, evidence_, NOW).kind


def waiting(status: Status, submitted: datetime) -> Waiting:
    return Waiting(count=1, since=submitted, newest={status: submitted})


# The table


@pytest.mark.parametrize("expected", Status, ids=str)
@pytest.mark.parametrize("status", STARTED, ids=str)
def test_an_execution_in_the_window_is_ok_exactly_if_its_status_is_expected(
    status: Status, expected: Status
) -> None:
    kind = VerdictKind.OK if status is expected else VerdictKind.STATUS_MISMATCH

    assert found(rule(expected), evidence(execution(status))) is kind


@pytest.mark.parametrize("status", Status, ids=str)
def test_any_one_of_several_expected_statuses_is_ok(status: Status) -> None:
    assert found(rule(*Status), evidence(execution(status))) is VerdictKind.OK


def test_an_ok_tells_the_status_and_the_execution() -> None:
    done = execution(Status.COMPLETED)

    assert judge(rule(), evidence(done), NOW) == Verdict(
        kind=VerdictKind.OK, current_status="Completed", execution=done
    )


def test_a_mismatch_tells_the_status_the_execution_and_what_was_expected() -> None:
    failed = execution(Status.STOPPED)
    expects = rule(Status.COMPLETED, Status.RUNNING)

    assert judge(expects, evidence(failed), NOW) == Verdict(
        kind=VerdictKind.STATUS_MISMATCH,
        current_status="Stopped",
        reason="Stopped instead of Completed or Running",
        execution=failed,
    )


def test_an_empty_log_is_no_execution() -> None:
    assert judge(rule(lookback_hours=1.5), evidence(), NOW) == Verdict(
        kind=VerdictKind.NO_EXECUTION,
        current_status="No execution found",
        reason="no execution in the last 1.5 h",
    )


def test_a_good_execution_before_the_window_is_no_execution_but_remembered() -> None:
    old = execution(Status.COMPLETED, ago(hours=2))

    assert judge(rule(), evidence(old), NOW) == Verdict(
        kind=VerdictKind.NO_EXECUTION,
        current_status="No execution found",
        reason="no execution in the last 1 h",
        last_known=old,
    )


@pytest.mark.parametrize("status", Status, ids=str)
def test_before_the_window_only_a_running_execution_is_called_still_running(
    status: Status,
) -> None:
    old = execution(status, ago(hours=2))

    outcome = judge(rule(), evidence(old), NOW)

    assert outcome.kind is VerdictKind.NO_EXECUTION
    assert outcome.still_running == (old if status is Status.RUNNING else None)


def test_an_execution_still_running_from_before_the_window_is_no_match_for_running() -> None:
    old = execution(Status.RUNNING, ago(hours=2))

    assert found(rule(Status.RUNNING), evidence(old)) is VerdictKind.NO_EXECUTION


# The edges of the window


@pytest.mark.parametrize("hours", [0.02, 1, 1.5, 25, 87_600], ids=str)
def test_a_start_exactly_at_the_start_of_the_window_counts(hours: float) -> None:
    log = evidence(execution(started_at=ago(hours=hours)), log_since=ago(days=5000))

    assert found(rule(lookback_hours=hours), log) is VerdictKind.OK


@pytest.mark.parametrize("hours", [0.02, 1, 1.5, 25, 87_600], ids=str)
def test_a_start_a_microsecond_before_the_window_does_not_count(hours: float) -> None:
    log = evidence(execution(started_at=ago(hours=hours, microseconds=1)))

    assert found(rule(lookback_hours=hours), log) is VerdictKind.NO_EXECUTION


def test_a_start_at_the_instant_of_the_check_counts() -> None:
    assert found(rule(), evidence(execution(started_at=NOW))) is VerdictKind.OK


def test_a_start_within_the_tolerated_clock_skew_counts() -> None:
    ahead = execution(started_at=NOW + timedelta(seconds=300))

    assert found(rule(), evidence(ahead)) is VerdictKind.OK


def test_the_window_is_measured_across_time_zones() -> None:
    kathmandu = timezone(timedelta(hours=5, minutes=45))
    at_the_edge = execution(started_at=ago(hours=1).astimezone(kathmandu))

    assert found(rule(), evidence(at_the_edge)) is VerdictKind.OK


def test_a_naive_now_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^judge\(\) needs an aware `now`, got a naive one$"):
        judge(rule(), evidence(), NOW.replace(tzinfo=None))


# Executions that wait in the queue


@pytest.mark.parametrize("status", sorted(NOT_STARTED), ids=str)
def test_a_rule_that_expects_to_wait_accepts_what_was_submitted_in_the_window(
    status: Status,
) -> None:
    queue = waiting(status, ago(minutes=5))

    assert judge(rule(status), evidence(waiting=queue), NOW) == Verdict(
        kind=VerdictKind.OK, current_status=status.value, waiting=queue
    )


@pytest.mark.parametrize("status", sorted(NOT_STARTED), ids=str)
def test_a_submission_exactly_at_the_start_of_the_window_is_accepted(status: Status) -> None:
    queue = waiting(status, ago(hours=1))

    assert found(rule(status), evidence(waiting=queue)) is VerdictKind.OK


@pytest.mark.parametrize("status", sorted(NOT_STARTED), ids=str)
def test_a_submission_before_the_window_is_not_accepted(status: Status) -> None:
    queue = waiting(status, ago(hours=1, microseconds=1))

    assert found(rule(status), evidence(waiting=queue)) is VerdictKind.NO_EXECUTION


@pytest.mark.parametrize(
    ("expected", "queued"),
    [(Status.PENDING, Status.QUEUED), (Status.QUEUED, Status.PENDING)],
    ids=["pending is not queued", "queued is not pending"],
)
def test_a_rule_accepts_only_the_waiting_status_it_names(expected: Status, queued: Status) -> None:
    queue = waiting(queued, ago(minutes=5))

    assert found(rule(expected), evidence(waiting=queue)) is VerdictKind.NO_EXECUTION


@pytest.mark.parametrize("expected", STARTED, ids=str)
def test_other_rules_do_not_see_what_waits_but_tell_of_it(expected: Status) -> None:
    queue = Waiting(count=3, since=ago(hours=5), newest={Status.PENDING: ago(minutes=1)})

    outcome = judge(rule(expected), evidence(waiting=queue), NOW)

    assert outcome.kind is VerdictKind.NO_EXECUTION
    assert outcome.waiting == queue


def test_a_failed_execution_is_accepted_while_an_expected_one_waits() -> None:
    log = evidence(execution(Status.STOPPED), waiting=waiting(Status.QUEUED, ago(minutes=1)))

    assert found(rule(Status.COMPLETED, Status.QUEUED), log) is VerdictKind.OK


def test_a_mismatch_tells_what_waits() -> None:
    queue = waiting(Status.QUEUED, ago(minutes=1))

    assert judge(rule(), evidence(execution(Status.STOPPED), waiting=queue), NOW).waiting == queue


# The longest runtime


def test_running_past_the_longest_runtime_is_overrunning() -> None:
    hung = execution(Status.RUNNING, ago(minutes=31))
    queue = waiting(Status.QUEUED, ago(minutes=1))
    log = evidence(hung, latest_running=hung, waiting=queue)

    assert judge(rule(max_runtime_minutes=30), log, NOW) == Verdict(
        kind=VerdictKind.OVERRUNNING,
        current_status="Running",
        reason="running for longer than 30 min",
        execution=hung,
        waiting=queue,
    )


@pytest.mark.parametrize(
    "expected",
    [(Status.RUNNING,), (Status.COMPLETED, Status.RUNNING), tuple(Status)],
    ids=["running", "completed or running", "anything"],
)
@pytest.mark.parametrize("mode", WhileRunning, ids=str)
def test_it_is_overrunning_even_if_running_is_expected(
    expected: tuple[Status, ...], mode: WhileRunning
) -> None:
    hung = execution(Status.RUNNING, ago(minutes=31))
    limited = rule(*expected, max_runtime_minutes=30, while_running=mode)

    assert found(limited, evidence(hung, latest_running=hung)) is VerdictKind.OVERRUNNING


def test_running_for_exactly_the_longest_runtime_is_not_overrunning() -> None:
    running = execution(Status.RUNNING, ago(minutes=30))
    limited = rule(Status.RUNNING, max_runtime_minutes=30)

    assert found(limited, evidence(running, latest_running=running)) is VerdictKind.OK


def test_running_a_microsecond_longer_is_overrunning() -> None:
    running = execution(Status.RUNNING, ago(minutes=30, microseconds=1))
    limited = rule(Status.RUNNING, max_runtime_minutes=30)

    assert found(limited, evidence(running, latest_running=running)) is VerdictKind.OVERRUNNING


@pytest.mark.parametrize("status", [s for s in STARTED if s is not Status.RUNNING], ids=str)
def test_only_a_running_execution_overruns(status: Status) -> None:
    long_ago = execution(status, ago(minutes=59))

    assert found(rule(status, max_runtime_minutes=1), evidence(long_ago)) is VerdictKind.OK


def test_a_hung_execution_from_before_the_window_is_overrunning_not_missing() -> None:
    hung = execution(Status.RUNNING, ago(hours=40))
    limited = rule(Status.COMPLETED, Status.RUNNING, max_runtime_minutes=120)

    assert found(limited, evidence(hung, latest_running=hung)) is VerdictKind.OVERRUNNING


def test_running_within_its_limit_counts_whatever_its_start() -> None:
    running = execution(Status.RUNNING, ago(hours=40))
    limited = rule(Status.COMPLETED, Status.RUNNING, max_runtime_minutes=60 * 48)

    assert found(limited, evidence(running, latest_running=running)) is VerdictKind.OK


def test_a_hung_execution_counts_although_a_later_one_ended_before_the_window() -> None:
    hung = execution(Status.RUNNING, ago(hours=40))
    log = evidence(execution(Status.COMPLETED, ago(hours=2)), latest_running=hung)

    assert found(rule(max_runtime_minutes=30), log) is VerdictKind.OVERRUNNING


def test_an_execution_in_the_window_is_judged_rather_than_an_older_running_one() -> None:
    hung = execution(Status.RUNNING, ago(hours=40))

    log = evidence(execution(Status.COMPLETED), latest_running=hung)

    assert found(rule(max_runtime_minutes=30), log) is VerdictKind.OK


def test_without_a_longest_runtime_an_older_running_execution_is_not_judged() -> None:
    old = execution(Status.RUNNING, ago(hours=40))

    log = evidence(old, latest_running=old)

    assert found(rule(Status.RUNNING), log) is VerdictKind.NO_EXECUTION


@pytest.mark.parametrize("minutes", [1e13, 1e300, float("inf"), float("nan")], ids=str)
def test_a_limit_beyond_every_duration_is_never_overrun(minutes: float) -> None:
    running = execution(Status.RUNNING)

    assert found(rule(Status.RUNNING, max_runtime_minutes=minutes), evidence(running)) is (
        VerdictKind.OK
    )


# While it runs: judge as it stands, or wait


@pytest.mark.parametrize("status", sorted(IN_PROGRESS), ids=str)
def test_a_rule_that_judges_takes_an_unfinished_execution_as_it_stands(status: Status) -> None:
    log = evidence_of([execution(status), execution(Status.COMPLETED, ago(minutes=30))])

    assert found(rule(), log) is VerdictKind.STATUS_MISMATCH


@pytest.mark.parametrize(
    ("finished", "kind"),
    [
        (Status.COMPLETED, VerdictKind.OK),
        (Status.STOPPED, VerdictKind.STATUS_MISMATCH),
        (Status.CANCELLED, VerdictKind.STATUS_MISMATCH),
    ],
    ids=str,
)
@pytest.mark.parametrize("unfinished", [s for s in Status if s not in FINISHED], ids=str)
def test_a_rule_that_waits_judges_the_newest_finished_execution(
    unfinished: Status, finished: Status, kind: VerdictKind
) -> None:
    before = execution(finished, ago(minutes=30))

    outcome = judge(rule(while_running=WAIT), evidence_of([execution(unfinished), before]), NOW)

    assert (outcome.kind, outcome.execution) == (kind, before)


@pytest.mark.parametrize("unfinished", [s for s in Status if s not in FINISHED], ids=str)
def test_a_rule_that_waits_decides_nothing_until_something_has_finished(
    unfinished: Status,
) -> None:
    current = execution(unfinished)

    assert judge(rule(while_running=WAIT), evidence_of([current]), NOW) == Verdict(
        kind=VerdictKind.IN_PROGRESS,
        current_status="Running",
        reason="still in progress; nothing has finished in the window yet",
        execution=current,
    )


def test_a_finished_execution_from_before_the_window_does_not_end_the_wait() -> None:
    log = evidence_of([execution(Status.RUNNING), execution(Status.COMPLETED, ago(hours=2))])

    assert found(rule(while_running=WAIT), log) is VerdictKind.IN_PROGRESS


def test_a_finished_execution_exactly_at_the_start_of_the_window_ends_the_wait() -> None:
    log = evidence_of([execution(Status.RUNNING), execution(Status.COMPLETED, ago(hours=1))])

    assert found(rule(while_running=WAIT), log) is VerdictKind.OK


def test_a_rule_that_waits_does_not_take_running_for_an_answer_even_if_it_is_expected() -> None:
    expects = rule(Status.COMPLETED, Status.RUNNING, while_running=WAIT)

    assert found(expects, evidence_of([execution(Status.RUNNING)])) is VerdictKind.IN_PROGRESS


@pytest.mark.parametrize(
    "expected",
    [(Status.RUNNING,), (Status.INVALIDATED, Status.RUNNING)],
    ids=["running", "invalidated or running"],
)
def test_a_rule_that_expects_nothing_finished_has_nothing_to_wait_for(
    expected: tuple[Status, ...],
) -> None:
    log = evidence_of([execution(Status.RUNNING)])

    assert found(rule(*expected, while_running=WAIT), log) is VerdictKind.OK


@pytest.mark.parametrize("status", sorted(NOT_STARTED), ids=str)
def test_a_rule_that_waits_decides_nothing_while_an_expected_execution_is_queued(
    status: Status,
) -> None:
    queue = waiting(status, ago(minutes=5))
    expects = rule(Status.COMPLETED, status, while_running=WAIT)

    assert judge(expects, evidence(waiting=queue), NOW) == Verdict(
        kind=VerdictKind.IN_PROGRESS, current_status=status.value, waiting=queue
    )


def test_a_rule_that_waits_and_expects_only_queued_is_ok_when_it_is() -> None:
    log = evidence(waiting=waiting(Status.QUEUED, ago(minutes=5)))

    assert found(rule(Status.QUEUED, while_running=WAIT), log) is VerdictKind.OK


def test_a_rule_that_waits_still_misses_what_never_ran() -> None:
    assert found(rule(while_running=WAIT), evidence()) is VerdictKind.NO_EXECUTION


def test_a_rule_that_waits_misses_an_execution_still_running_from_before_the_window() -> None:
    old = execution(Status.RUNNING, ago(hours=2))

    outcome = judge(rule(while_running=WAIT), evidence_of([old]), NOW)

    assert (outcome.kind, outcome.still_running) == (VerdictKind.NO_EXECUTION, old)


def test_a_rule_that_waits_waits_for_it_if_it_limits_the_runtime() -> None:
    log = evidence_of([execution(Status.RUNNING, ago(hours=2))])

    limited = rule(while_running=WAIT, max_runtime_minutes=180)

    assert found(limited, log) is VerdictKind.IN_PROGRESS


# A young log


def test_a_stored_rule_does_not_miss_what_a_young_log_cannot_show() -> None:
    log = evidence(log_since=ago(hours=3))

    assert judge(stored_rule(lookback_hours=25), log, NOW) == Verdict(
        kind=VerdictKind.UNKNOWN,
        current_status="Unknown",
        reason="log covers 3 of 25 h",
        young_log=True,
    )


def test_a_rule_younger_than_its_window_is_not_failing_either() -> None:
    young = stored_rule(lookback_hours=25, watched_since=ago(hours=4))

    outcome = judge(young, evidence(log_since=ago(days=30)), NOW)

    assert (outcome.reason, outcome.young_log) == ("rule has watched for 4 of 25 h", True)


def test_a_log_that_never_recorded_covers_nothing() -> None:
    outcome = judge(stored_rule(), evidence(log_since=None), NOW)

    assert (outcome.kind, outcome.reason) == (VerdictKind.UNKNOWN, "log covers 0 of 1 h")


@pytest.mark.parametrize("youngest", ["log_since", "watched_since"])
def test_a_log_that_covers_exactly_the_window_is_old_enough(youngest: str) -> None:
    since = {"log_since": ago(days=30), "watched_since": ago(days=30)} | {youngest: ago(hours=1)}
    old_enough = stored_rule(watched_since=since["watched_since"])

    assert found(old_enough, evidence(log_since=since["log_since"])) is VerdictKind.NO_EXECUTION


@pytest.mark.parametrize("youngest", ["log_since", "watched_since"])
def test_a_microsecond_less_is_too_young(youngest: str) -> None:
    edge = ago(hours=1) + timedelta(microseconds=1)
    since = {"log_since": ago(days=30), "watched_since": ago(days=30)} | {youngest: edge}
    young = stored_rule(watched_since=since["watched_since"])

    assert found(young, evidence(log_since=since["log_since"])) is VerdictKind.UNKNOWN


@pytest.mark.parametrize(
    "log_since", [ago(hours=3), None], ids=["recording for 3 h", "never recorded"]
)
def test_json_arguments_call_it_no_execution_however_young_the_log(
    log_since: datetime | None,
) -> None:
    log = evidence(log_since=log_since)

    assert found(rule(lookback_hours=25), log) is VerdictKind.NO_EXECUTION


@pytest.mark.parametrize("status", STARTED, ids=str)
def test_what_a_young_log_does_show_is_judged(status: Status) -> None:
    log = evidence(execution(status), log_since=ago(minutes=5))
    kind = VerdictKind.OK if status is Status.COMPLETED else VerdictKind.STATUS_MISMATCH

    assert found(stored_rule(lookback_hours=25), log) is kind


# What cannot be judged


def test_an_unusable_log_is_unknown_with_its_reason() -> None:
    log = evidence(execution(), unusable='context_model "gap.Gone" is not an installed model')

    assert judge(rule(), log, NOW) == Verdict(
        kind=VerdictKind.UNKNOWN,
        current_status="Unknown",
        reason='context_model "gap.Gone" is not an installed model',
    )


@pytest.mark.parametrize(
    "log",
    [evidence(), evidence(execution()), evidence(execution(Status.STOPPED))],
    ids=["empty", "good", "bad"],
)
def test_an_unusable_log_is_never_an_alert_nor_an_ok(log: Evidence) -> None:
    assert found(rule(), log._replace(unusable="it failed")) is VerdictKind.UNKNOWN


@pytest.mark.parametrize(
    ("kind", "is_failing"),
    [
        (VerdictKind.OK, False),
        (VerdictKind.STATUS_MISMATCH, True),
        (VerdictKind.NO_EXECUTION, True),
        (VerdictKind.OVERRUNNING, True),
        (VerdictKind.SLOW, True),
        (VerdictKind.LOW_SUCCESS_RATE, True),
        (VerdictKind.UNKNOWN, False),
        (VerdictKind.IN_PROGRESS, False),
    ],
    ids=str,
)
def test_five_kinds_of_verdict_are_failing(kind: VerdictKind, is_failing: bool) -> None:
    assert verdict(kind).is_failing is is_failing


def test_every_kind_of_verdict_has_been_given_a_meaning() -> None:
    assert {
        VerdictKind.OK,
        VerdictKind.UNKNOWN,
        VerdictKind.IN_PROGRESS,
    } | FAILING == set(VerdictKind)


# Everything at once


@given(strategies.rules, strategies.any_evidence)
def test_every_rule_gets_one_verdict_whatever_the_evidence(rule_: Rule, log: Evidence) -> None:
    once, again = judge(rule_, log, NOW), judge(rule_, log, NOW)

    assert once == again
    assert once.is_failing == (once.kind in FAILING)
    assert (once.kind is VerdictKind.UNKNOWN) >= once.young_log
    assert (once.kind is VerdictKind.UNKNOWN) >= bool(log.unusable)
    if once.kind is VerdictKind.OK:
        assert once.current_status in rule_.expected_statuses
    else:
        assert once.reason or once.waiting.count or once.waiting.newest
    if once.kind is VerdictKind.NO_EXECUTION:
        assert (once.current_status, once.execution) == (NO_EXECUTION, None)
    if once.kind is VerdictKind.OVERRUNNING:
        assert rule_.max_runtime_minutes is not None
        assert once.current_status == Status.RUNNING


@given(
    st.lists(strategies.statuses, min_size=1, unique=True),
    strategies.lookbacks,
    st.lists(strategies.executions(), max_size=4),
)
def test_a_plain_rule_does_what_the_documentation_says_in_four_steps(
    expected: list[Status], hours: float, log: list[Execution]
) -> None:
    threshold = NOW - timedelta(hours=hours)
    in_window = [one for one in log if one.started_at >= threshold]
    if not in_window:
        documented = "no_execution"
    else:
        latest = max(in_window, key=lambda one: (one.started_at, one.pk))
        documented = "ok" if latest.status in expected else "status_mismatch"

    assert found(rule(*expected, lookback_hours=hours), evidence_of(log)) == documented


@given(strategies.rules, st.lists(strategies.executions(), max_size=4), strategies.waiting)
def test_what_is_plainly_ok_is_judged_ok_on_the_latest_execution(
    some: Rule, log: list[Execution], queue: Waiting
) -> None:
    told = evidence_of(log, queue)

    if is_plainly_ok(some, told.latest, NOW):
        outcome = judge(some, told, NOW)
        assert (outcome.kind, outcome.execution) == (VerdictKind.OK, told.latest)


@pytest.mark.parametrize("status", STARTED, ids=str)
def test_only_a_finished_and_expected_execution_is_plainly_ok(status: Status) -> None:
    expects_all, latest = rule(*Status), execution(status)

    assert is_plainly_ok(expects_all, latest, NOW) == (status in FINISHED)
    assert not is_plainly_ok(rule(*(set(Status) - {status})), latest, NOW)
    assert not is_plainly_ok(expects_all, None, NOW)


def test_an_execution_is_plainly_ok_up_to_the_very_edge_of_the_window() -> None:
    at_the_edge = execution(Status.COMPLETED, started_at=NOW - timedelta(hours=1))
    before_it = at_the_edge._replace(started_at=at_the_edge.started_at - timedelta(microseconds=1))

    assert is_plainly_ok(rule(), at_the_edge, NOW)
    assert not is_plainly_ok(rule(), before_it, NOW)


@given(strategies.rules, st.lists(strategies.executions(), max_size=4), strategies.waiting)
def test_a_rule_that_waits_for_a_finish_is_ok_only_because_of_one(
    some: Rule, log: list[Execution], queue: Waiting
) -> None:
    waits = replace(some, while_running=WAIT)
    outcome = judge(waits, evidence_of(log, queue), NOW)

    if outcome.kind is VerdictKind.OK and FINISHED.intersection(some.expected_statuses):
        assert outcome.execution is not None
        assert outcome.execution.status in FINISHED


@pytest.mark.parametrize(("status", "mode"), list(product(STARTED, WhileRunning)), ids=str)
def test_a_longest_runtime_changes_nothing_before_it_is_over(
    status: Status, mode: WhileRunning
) -> None:
    log = evidence_of([execution(status)])

    free = judge(rule(while_running=mode), log, NOW)
    limited = judge(rule(while_running=mode, max_runtime_minutes=6), log, NOW)

    assert free == limited
