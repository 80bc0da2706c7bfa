"""What the database alone takes for fine, so that nobody looks at it."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection, connections, transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring import sieve
from monitoring.checker import run_check
from monitoring.core.arguments import Arguments
from monitoring.models import MonitorRule, RuleState
from monitoring.rule_rows import key_of
from monitoring.rulesets import select
from monitoring.sieve import Sifted, sift
from tests.factories import NOW, ago, execution, rule
from tests.gap.models import IngestorSession
from tests.shell.conftest import Monitor

# In SQLite the times of another log are whatever text a host has written, and not compared.
LOGS = ("clock",) if connection.vendor == "sqlite" else ("clock", "source")
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures(*LOGS)]

RECENTLY = ago(minutes=5)


def was_fine(task_name: str = "sync", at: datetime = RECENTLY, **fields: Any) -> MonitorRule:
    """Store a rule that was fine at the last check."""
    row = rule(task_name, **fields)
    remember(row, last_checked_at=at)
    return row


def remember(row: MonitorRule, **columns: Any) -> None:
    values = {
        "key": key_of(row),
        "rule": row,
        "has_context": bool(row.context_model),
        "task_name": row.task_name,
        "verdict": "ok",
        "last_checked_at": RECENTLY,
    }
    RuleState.objects.create(**(values | columns))


def found() -> Sifted:
    """Return what the database finds, which it must be able to."""
    sifted = sift(NOW)
    assert sifted is not None
    return sifted


def looked_at(row: MonitorRule) -> bool:
    sifted = found()
    assert sifted.fine + len(sifted.rest) == 1
    return sifted.rest == [row.pk]


class TestARuleThatIsFineAsItWas:
    def test_it_is_counted_and_not_looked_at(self) -> None:
        was_fine()
        execution("sync")

        assert found() == Sifted(fine=1, stale=[], rest=[])

    @pytest.mark.parametrize(
        "fields",
        [
            {"expected_statuses": ["Running", "completed"]},
            {"expected_statuses": ["Stopped", "Cancelled", "Completed", "Queued"]},
            {"dependent_tasks": ["report", "Ünïcode → 表"]},
            {"while_running": "judge"},
            {"max_runtime_minutes": 5},
            {"alert_after": 3, "remind_hours": 0, "channels": ["hook"]},
            {"lookback_hours": 87_600},
            {"lookback_hours": 0.0837},
        ],
        ids=str,
    )
    def test_whatever_else_it_says(self, fields: dict[str, Any]) -> None:
        row = was_fine(**fields)
        execution("sync")

        assert not looked_at(row)

    def test_one_execution_may_settle_several_rules(self) -> None:
        first, second = was_fine(), was_fine(name="again", lookback_hours=9)
        third = was_fine(name="ended either way", expected_statuses=["Stopped", "Cancelled"])
        execution("sync")

        assert found() == Sifted(fine=2, stale=[], rest=[third.pk])
        assert {first.pk, second.pk}.isdisjoint(found().rest)

    def test_older_executions_do_not_matter(self) -> None:
        row = was_fine()
        execution("sync", "Stopped", started=ago(minutes=6))
        execution("sync", started=ago(minutes=5))

        assert not looked_at(row)

    def test_its_state_is_named_when_that_gets_old(self) -> None:
        row = was_fine(at=NOW - sieve.NOTE_FINE_EVERY - timedelta(seconds=1))
        execution("sync")

        assert found() == Sifted(fine=1, stale=[row.states.get().pk], rest=[])

    def test_a_check_notes_then_that_it_was_checked(self, monitor: Monitor) -> None:
        old, young = was_fine(at=ago(minutes=16)), was_fine("report", at=ago(minutes=14))
        execution("sync")
        execution("report")

        assert monitor()["ok"] == 2
        assert old.states.get().last_checked_at == NOW
        assert young.states.get().last_checked_at == ago(minutes=14)

    def test_a_disabled_one_is_not_counted(self) -> None:
        was_fine(enabled=False)
        was_fine("report")
        execution("report")

        assert found() == Sifted(fine=1, stale=[], rest=[])

    def test_nothing_is_read_of_it(self) -> None:
        was_fine()
        fails = was_fine("report")
        execution("sync")
        execution("report", "Stopped")

        batches = select(Arguments(all_rules=True)).batches(NOW)

        assert [[one.rule_id for one in batch.rules] for batch in batches] == [[], [fails.pk]]


class TestWhatIsLeftToJudging:
    @pytest.mark.parametrize(
        "fields",
        [
            {"max_duration_factor": 2},
            {"min_success_rate": 90},
            {"context_model": "gap.IngestorSession", "context_type": "files"},
            {"expected_statuses": ["Running"]},
            {"expected_statuses": ["Stopped"]},
        ],
        ids=str,
    )
    def test_a_rule_that_turns_on_more_than_that(self, fields: dict[str, Any]) -> None:
        row = was_fine(**fields)
        execution("sync")

        assert looked_at(row)

    @pytest.mark.parametrize(
        "columns",
        [
            {"expected_statuses": []},
            {"expected_statuses": ["Completed", "Complete"]},
            {"expected_statuses": "Completed"},
            {"dependent_tasks": [""]},
            {"dependent_tasks": {"a": 1}},
            {"dependent_tasks": ["long name " * 30]},
            {"context_model": "gap", "context_type": "x"},
        ],
        ids=str,
    )
    def test_a_rule_that_holds_what_none_may(self, columns: dict[str, Any]) -> None:
        row = was_fine()
        execution("sync")
        MonitorRule.objects.update(**columns)

        assert looked_at(row)

    @pytest.mark.parametrize(
        "columns",
        [
            {"verdict": "status_mismatch", "failing_checks": 1},
            {"verdict": ""},
            {"verdict": "in_progress"},
            {"failing_checks": 1},
            {"unknown_checks": 1},
            {"last_checked_at": None},
        ],
        ids=str,
    )
    def test_a_rule_that_was_not_fine(self, columns: dict[str, Any]) -> None:
        row = was_fine()
        execution("sync")
        RuleState.objects.update(**columns)

        assert looked_at(row)

    def test_a_rule_that_was_never_checked(self) -> None:
        row = rule("sync")
        execution("sync")

        assert looked_at(row)

    def test_a_rule_that_was_fine_for_another_task(self) -> None:
        row = was_fine("before")
        execution("sync")
        MonitorRule.objects.update(task_name="sync")

        assert looked_at(row)

    def test_a_rule_that_was_fine_with_a_context(self) -> None:
        row = was_fine(context_model="gap.IngestorSession", context_type="files")
        execution("sync")
        MonitorRule.objects.update(context_model="", context_type="")

        assert looked_at(row)

    def test_a_rule_that_was_fine_without_a_context(self) -> None:
        row = was_fine()
        execution("sync")
        MonitorRule.objects.update(context_model="gap.IngestorSession", context_type="files")

        assert looked_at(row)

    def test_an_execution_that_still_runs_though_that_is_expected(self) -> None:
        row = was_fine(expected_statuses=["Running", "Completed"], max_runtime_minutes=1)
        execution("sync", "Running")

        assert looked_at(row)

    def test_a_state_of_before_beside_the_one_that_counts(self) -> None:
        row = was_fine()
        remember(row, key="rule:before", task_name="before", verdict="status_mismatch")
        execution("sync")

        assert found() == Sifted(fine=1, stale=[], rest=[])

    @pytest.mark.parametrize("status", ["Running", "Stopped", "Cancelled", "Invalidated"])
    def test_an_execution_that_did_not_end_as_expected(self, status: str) -> None:
        row = was_fine()
        execution("sync", started=ago(minutes=9))
        execution("sync", status)

        assert looked_at(row)

    def test_nothing_at_all(self) -> None:
        assert looked_at(was_fine())

    @pytest.mark.parametrize(("seconds", "expected"), [(-1, True), (0.5, True), (1.5, False)])
    def test_an_execution_as_old_as_the_window_or_a_little_younger(
        self, seconds: float, expected: bool
    ) -> None:
        row = was_fine(lookback_hours=1)
        execution("sync", started=ago(hours=1) + timedelta(seconds=seconds))

        assert looked_at(row) is expected

    @pytest.mark.parametrize(("seconds", "expected"), [(300, False), (301, True)])
    def test_an_execution_that_is_ahead_of_every_clock(self, seconds: int, expected: bool) -> None:
        row = was_fine()
        execution("sync", started=NOW + timedelta(seconds=seconds))
        execution("sync", started=ago(minutes=1))

        assert looked_at(row) is expected

    def test_a_task_of_another_spelling(self) -> None:
        row = was_fine("sync")
        execution("Sync")

        assert looked_at(row)


class TestAState:
    def test_of_a_rule_that_cannot_be_judged_says_that_it_has_a_context(self) -> None:
        row = rule("sync", context_model="gap.IngestorSession", context_type="files")
        MonitorRule.objects.filter(pk=row.pk).update(expected_statuses=["Complete"])

        checked(dry_run=False)

        assert list(RuleState.objects.values_list("rule", "has_context")) == [(row.pk, True)]

    def test_that_does_not_name_its_rule_is_made_anew_while_that_is_fine(self) -> None:
        row = was_fine()
        execution("sync")
        RuleState.objects.update(rule=None)

        checked(dry_run=False)
        checked(dry_run=False)

        assert not looked_at(row)

    def test_that_does_not_name_its_rule_is_completed_while_that_is_not_fine(self) -> None:
        row = was_fine()
        execution("sync", "Stopped")
        RuleState.objects.update(rule=None)

        checked(dry_run=False)

        state = RuleState.objects.get()
        assert (state.rule, state.verdict, state.failing_checks) == (row, "status_mismatch", 1)


class TestWhereTheDatabaseCannotTell:
    @staticmethod
    def one_fine_one_failing() -> None:
        was_fine()
        was_fine("report")
        execution("sync")
        execution("report", "Stopped")

    def test_all_rules_are_read_if_it_refuses(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        self.one_fine_one_failing()

        def refuse(*_: object) -> None:
            with connection.cursor() as cursor:
                cursor.execute("SELECT nothing FROM nowhere")

        monkeypatch.setattr(sieve, "_ended_as_expected", refuse)

        with caplog.at_level(logging.WARNING, logger="monitoring"):
            report = checked()

        assert (report["ok"], report["failing"]) == (1, 1)
        assert "the database could not sift them" in caplog.text

    def test_all_rules_are_read_where_an_hour_may_be_missing(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if connection.vendor == "postgresql":
            pytest.skip("PostgreSQL knows points in time")
        monkeypatch.setitem(vars(connections["default"]), "timezone", ZoneInfo("Europe/Berlin"))

        assert sift(NOW) is None

    def test_named_rules_are_read(self) -> None:
        self.one_fine_one_failing()

        batches = select(Arguments(rule_names=("sync rule",))).batches(NOW)

        assert [len(batch.rules) for batch in batches] == [1]


DURATIONS = st.sampled_from(
    [-3600, -301, -300, -299, -1, 0, 1, 299, 1799, 1800, 1801, 3598, 3599, 3600, 3601, 7200]
)
EXECUTIONS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "A"]),
        st.sampled_from(["Completed", "Completed", "Stopped", "Running", "Cancelled", "Queued"]),
        DURATIONS,
        st.sampled_from(["", "1", "2"]),
    ),
    max_size=8,
)
RULES = st.lists(
    st.fixed_dictionaries(
        {
            "task_name": st.sampled_from(["a", "b", "A"]),
            "lookback_hours": st.sampled_from([0.5, 1, 1.0000001, 2]),
            "expected_statuses": st.sampled_from(
                [["Completed"], ["Completed", "Running"], ["stopped"], ["Queued"], ["Complete"]]
            ),
        },
        optional={
            "max_runtime_minutes": st.sampled_from([1, 30]),
            "while_running": st.sampled_from(["judge", "wait"]),
            "dependent_tasks": st.sampled_from([["a"], [""]]),
            "context": st.just({"context_model": "gap.IngestorSession", "context_type": "files"}),
            "min_success_rate": st.just(60),
            "enabled": st.just(False),
        },
    ),
    min_size=1,
    max_size=5,
)


@pytest.mark.matrix
@settings(max_examples=60, deadline=None)
@given(rules=RULES, before=EXECUTIONS, since=EXECUTIONS)
def test_a_check_finds_the_same_without_it(
    rules: list[dict[str, Any]], before: list[Any], since: list[Any]
) -> None:
    with transaction.atomic():
        IngestorSession.objects.create(pk=1, ingestor_type="files")
        for number, fields in enumerate(rules):
            context = fields.get("context", {})
            plain = {name: value for name, value in fields.items() if name != "context"}
            rule(**plain, **context, name=f"rule {number}")
        store(before)
        run_check(select(Arguments(all_rules=True)), ago(minutes=4))
        store(since)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("monitoring.rulesets.sift", lambda _: None)
            expected = checked()

        assert checked() == expected
        transaction.set_rollback(True)


def store(executions: list[Any]) -> None:
    for name, status, age, context_id in executions:
        started = None if status == "Queued" else ago(seconds=age)
        submitted = ago(seconds=max(age, 0))
        execution(name, status, started_at=started, submitted_at=submitted, context_id=context_id)


def checked(*, dry_run: bool = True) -> dict[str, Any]:
    """Return what a check of all rules finds."""
    return run_check(select(Arguments(all_rules=True)), NOW, dry_run=dry_run).as_dict()
