"""A check beside the obvious loop and beside SQL written by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from monitoring.models import AlertEvent, Notification
from tests.benchmarks import handwritten, obvious, situations
from tests.benchmarks.conftest import Filled
from tests.benchmarks.measuring import Side, measure, publish
from tests.benchmarks.sizes import IS_FULL, SIZES
from tests.factories import NOW

pytestmark = pytest.mark.bench

AIMED_AT = {"postgresql": 60, "sqlite": 30, "mariadb": 30}
"""How many times as fast as the loop; two thirds are asserted: a busy machine is no regression."""
LOOP = "the obvious loop"
OURS = "check"


def test_fine_rules(filled: Filled) -> None:
    situations.everything_was_fine()
    assert handwritten.failing_rules(NOW) == []
    assert situations.check().counts["ok"] == filled.rules
    loop = Side(name=LOOP, run=lambda: obvious.failing_rules(NOW), runs=2 * SIZES.slow_runs)
    new_process = situations.in_a_new_process

    figures = measure(
        (
            loop,
            Side(name="SQL written by hand", run=lambda: handwritten.failing_rules(NOW)),
            Side(name="verdicts alone", run=lambda: situations.check(dry_run=True)),
            Side(name=OURS, run=situations.check),
        ),
        2 * SIZES.runs,
    )
    # Apart from the others, whose pages of the database they would push out.
    figures += measure(
        (
            Side(
                name="check, noted on every rule",
                prepare=situations.last_noted_long_ago,
                run=situations.check,
            ),
            Side(name="check, in a new process", prepare=new_process, run=situations.check),
            Side(
                name="check, the very first", prepare=situations.never_checked, run=situations.check
            ),
        ),
        SIZES.runs,
    )

    publish("check-fine", filled.name, figures, **filled.facts)
    by_name = {one.name: one.median for one in figures}
    assert not IS_FULL or by_name[LOOP] / by_name[OURS] >= AIMED_AT[filled.kind] * 2 / 3


def test_one_rule_in_ten_fails(filled: Filled) -> None:
    skip_if_large(filled)
    situations.everything_was_fine()
    situations.let_fail(one_in=10)
    assert len(handwritten.failing_rules(NOW)) == filled.rules / 10
    assert_both_write_the_same(filled)

    figures = measure(
        (
            Side(
                name="the obvious loop, which writes the same",
                prepare=situations.just_failed,
                run=lambda: obvious.check(NOW),
                runs=SIZES.slow_runs,
            ),
            Side(name=OURS, prepare=situations.just_failed, run=situations.check),
            Side(name="check, all of them still fail", run=situations.check),
        ),
        SIZES.runs,
    )

    publish("check-failing", filled.name, figures, **filled.facts)


@pytest.fixture
def _contexts_and_thresholds(filled: Filled) -> Iterator[None]:
    situations.with_contexts_and_thresholds()
    yield
    situations.without_contexts_and_thresholds()


@pytest.mark.usefixtures("_contexts_and_thresholds")
def test_contexts_and_thresholds_and_one_in_ten_fails(filled: Filled) -> None:
    skip_if_large(filled)
    situations.everything_was_fine()
    situations.let_fail(one_in=10)
    situations.failed_once_before()
    assert_both_write_the_same(filled, situations.failed_once_before)

    figures = measure(
        (
            Side(
                name="the obvious loop, which writes the same",
                prepare=situations.failed_once_before,
                run=lambda: obvious.check(NOW),
                runs=SIZES.slow_runs,
            ),
            Side(name=OURS, prepare=situations.failed_once_before, run=situations.check),
        ),
        SIZES.runs,
    )

    publish("check-contexts", filled.name, figures, **filled.facts)


def skip_if_large(filled: Filled) -> None:
    if filled.is_large:
        pytest.skip("a check reads no more of a larger log than the benchmark of fine rules shows")


def assert_both_write_the_same(
    filled: Filled, prepare: Callable[[], None] = situations.just_failed
) -> None:
    if IS_FULL:  # seen on little data, and a loop takes half a minute
        return
    written = []
    for check in (situations.check, lambda: obvious.check(NOW)):
        prepare()
        check()
        events = AlertEvent.objects.order_by("key").values_list("key", "verdict", "open_key")
        # A storm is told by digests as well, which nobody would write as a loop.
        owed = Notification.objects.filter(is_digest=False).order_by("alert_event__key")
        written.append((list(events), list(owed.values_list("alert_event__key", "recipient"))))
    assert written[0] == written[1]
    assert len(written[0][0]) == len(written[0][1]) == filled.rules / 10
