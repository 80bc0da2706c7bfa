"""A check of 10,000 rules over 1,000,000 executions beside the obvious loop."""

from __future__ import annotations

import pytest

from tests.benchmarks import obvious, situations
from tests.benchmarks.data import EXECUTIONS, RULES
from tests.benchmarks.measuring import Side, measure, table, write_json
from tests.factories import NOW

pytestmark = pytest.mark.bench

RUNS = 5
WANTED_RATIO = {"sqlite": 25, "postgresql": 25, "mariadb": 15}

LOOP = Side(name="the obvious loop", run=lambda: obvious.failing_rules(NOW))
ALL_OK = Side(name="check, all ok", run=situations.check)
WITH_ALL_OK = (
    LOOP,
    Side(name="verdicts alone (dry run), all ok", run=lambda: situations.check(dry_run=True)),
    ALL_OK,
    Side(
        name="check, all ok, noted on every rule",
        prepare=situations.last_noted_long_ago,
        run=situations.check,
    ),
    Side(
        name="check, all ok, in a new process",
        prepare=situations.in_a_new_process,
        run=situations.check,
    ),
    Side(name="the very first check", prepare=situations.never_checked, run=situations.check),
)
WITH_FAILURES = (
    Side(
        name="check, 10 % have just failed",
        prepare=situations.a_tenth_has_just_failed,
        run=situations.check,
    ),
    Side(name="check, 10 % still fail", run=situations.check),
)


def test_a_check_is_many_times_faster_than_the_obvious_loop(filled: str) -> None:
    situations.everything_was_fine()
    assert obvious.failing_rules(NOW) == []
    assert situations.check().counts["ok"] == RULES
    figures = measure(WITH_ALL_OK, RUNS)

    situations.a_tenth_has_just_failed()
    failures = [failure["rule"] for failure in situations.check().failures]
    assert failures == obvious.failing_rules(NOW)
    assert len(failures) == RULES / 10
    figures += measure(WITH_FAILURES, RUNS)

    loop, *ours = figures
    title = f"{filled}: {RULES:,} rules over {EXECUTIONS:,} executions, {RUNS} runs"
    path = write_json(f"check-{filled}", figures, rules=RULES, executions=EXECUTIONS)
    print(f"\n\n{table(title, loop, ours)}\n\n{path}")
    all_ok = next(one for one in ours if one.name == ALL_OK.name)
    assert loop.median / all_ok.median >= WANTED_RATIO[filled]
