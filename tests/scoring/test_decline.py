"""Rules with limits on durations and successes beside rules without, on tasks that get worse."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from statistics import median

import pytest

from monitoring.core.backtest import check_times
from monitoring.core.durations import duration
from monitoring.core.suggestion import Suggestion, suggest
from monitoring.core.values import Rule
from tests.scoring.decline import decline
from tests.scoring.scorers import discovery, rule_of
from tests.scoring.scoring import EVERY, FIRST, Past, Scorer, tells, watch
from tests.scoring.year import Told

pytestmark = [pytest.mark.matrix, pytest.mark.xdist_group("scoring")]

WANTED = 85
"""Percent of the runs that must end well, where a rule wants that."""
CHECKS_IN_A_ROW = 3
"""No single failed run of that task is the newest for so long."""


def changed(change: Callable[[Past, Rule], Rule]) -> Scorer:
    """Make a scorer that takes what discovery proposes and changes it."""

    def scorer(past: Past) -> Rule | None:
        found = discovery(past) or past.rule
        return None if found is None else change(past, found)

    return scorer


def patient(_past: Past, rule: Rule) -> Rule:
    return replace(rule, alert_after=CHECKS_IN_A_ROW)


def suggested(past: Past, **limits: float) -> Suggestion | None:
    rule = replace(rule_of(past, 1), **limits)
    checks = list(check_times(past.start, past.now, EVERY))
    found = suggest(rule, past.executions, checks, past.start)
    return found if isinstance(found, Suggestion) else None


def limited_duration(past: Past, rule: Rule) -> Rule:
    """Take the limit on durations that is suggested, and keep the one it has if none is."""
    stands = past.rule and past.rule.max_duration_factor
    found = suggested(past)
    return replace(rule, max_duration_factor=found.max_duration_factor if found else stands)


def limited_share(past: Past, rule: Rule) -> Rule:
    """Take the window that is suggested for a success rate, and the discovered one if none is."""
    found = suggested(past, min_success_rate=WANTED)
    hours = found.lookback_hours if found else rule.lookback_hours
    return replace(patient(past, rule), min_success_rate=WANTED, lookback_hours=hours)


DURATION = "`max_duration_factor` as suggested"
PATIENT = f"alert after {CHECKS_IN_A_ROW}"
SHARE = f"{PATIENT}, `min_success_rate` {WANTED}, window as suggested"
RULES: dict[str, dict[str, Scorer]] = {
    "slower": {"as discovered": discovery, DURATION: changed(limited_duration)},
    "failing": {
        "as discovered": discovery,
        PATIENT: changed(patient),
        SHARE: changed(limited_share),
    },
    "retired": {"as discovered": discovery, DURATION: changed(limited_duration)},
}
KINDS = {
    "slower": "it takes four times as long",
    "failing": "three runs in ten fail, not one in fifty",
    "retired": "it was retired in the code, not in beat",
}


@dataclass(frozen=True)
class Outcome:
    """What the rules of a scorer tell of one task."""

    known: int
    delays: tuple[timedelta, ...]
    """How long it took to tell of each incident that was told of."""
    events: int
    wrong: int

    @property
    def missed(self) -> int:
        return self.known - len(self.delays)


def outcome(told: Told, scorer: Scorer) -> Outcome:
    events = [one for _rule, found in watch(told, scorer) for one in found]
    known = [one for one in told.incidents if one.end >= FIRST]
    delays = []
    for one in known:
        telling = [event.opened_at for event in events if tells(event, one)]
        if telling:
            delays.append(max(min(telling) - one.start, timedelta(0)))
    wrong = sum(not any(tells(event, one) for one in known) for event in events)
    return Outcome(len(known), tuple(delays), len(events), wrong)


Outcomes = dict[str, dict[str, Outcome]]


def table(outcomes: Outcomes) -> str:
    lines = [
        "| what happens | rule | found | told within | events | false alarms |",
        "|---|---|---|---|---|---|",
    ]
    for kind, by_rule in outcomes.items():
        for name, one in by_rule.items():
            within = duration(median(one.delays)) if one.delays else ""
            lines.append(
                f"| {KINDS[kind]} | {name} | {len(one.delays)} of {one.known} | {within} "
                f"| {one.events} | {one.wrong} |"
            )
    return "\n".join(lines)


@pytest.fixture(scope="module")
def outcomes() -> Outcomes:
    """Score everything once; `pytest -s` shows the table."""
    found = {
        kind: {name: outcome(decline()[kind], scorer) for name, scorer in rules.items()}
        for kind, rules in RULES.items()
    }
    print(f"\n{table(found)}")
    return found


def test_a_task_that_becomes_slower_is_told_of_only_by_a_limit(outcomes: Outcomes) -> None:
    by_rule = outcomes["slower"]

    assert by_rule["as discovered"].events == 0
    assert by_rule[DURATION].missed == 0


def test_a_share_tells_of_more_failures_and_not_of_each(outcomes: Outcomes) -> None:
    at_once, by_patience, by_share = outcomes["failing"].values()

    assert (by_share.missed, by_share.wrong) == (0, 0)
    assert by_share.events == by_share.known < by_patience.events < at_once.events
    assert median(by_share.delays) < median(by_patience.delays)


@pytest.mark.parametrize("rule", ["as discovered", DURATION])
def test_a_task_that_was_retired_in_the_code_is_told_of_by_each_rule(
    outcomes: Outcomes, rule: str
) -> None:
    found = outcomes["retired"][rule]

    assert found.missed == 0
    assert max(found.delays) <= timedelta(hours=1.25) + EVERY


@pytest.mark.parametrize("kind", ["slower", "retired"])
def test_suggested_limits_on_durations_raise_few_false_alarms(
    outcomes: Outcomes, kind: str
) -> None:
    found = outcomes[kind][DURATION]

    assert found.wrong <= found.known / 2


def test_the_table_in_the_documentation_is_this_one(outcomes: Outcomes) -> None:
    page = (Path(__file__).parents[2] / "docs" / "rules.md").read_text()

    assert table(outcomes) in page


def test_the_year_of_these_tasks_holds_what_it_says() -> None:
    found = decline()

    assert found == decline(seed=1)
    assert found["failing"] != decline(seed=2)["failing"]
    assert {one.kind for told in found.values() for one in told.incidents} == set(KINDS)
    assert {len(told.incidents) for told in found.values()} == {6}
