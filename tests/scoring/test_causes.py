"""Probable causes, against what is known to have gone wrong in a year."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from monitoring.core.backtest import Incident
from monitoring.core.causes import probable_cause
from monitoring.core.values import Rule
from tests.scoring.decline import decline
from tests.scoring.faults import CONTEXT, FAULTS, NOTHING, TRUE_OF_NOTHING, World
from tests.scoring.scorers import discovery, guideline_least
from tests.scoring.scoring import Scorer, tells, watch
from tests.scoring.year import Told, simulate

pytestmark = [pytest.mark.matrix, pytest.mark.xdist_group("scoring")]

NEVER_TOLD_RIGHT = {
    ("the broker lost its message", "queued"),
    ("who calls it, not beat, had stopped", "before_window"),
}
"""What only somebody outside could know; the documentation says what is told instead."""

Scored = Sequence[tuple[Scorer, bool]]
Confusion = Counter[tuple[str, str, bool]]
"""How often what went wrong was told as which cause (empty: as none), and whether that is true."""


def told_as(world: World, rule: Rule, event: Incident, *, is_real: bool) -> tuple[str, str, bool]:
    """Return what had gone wrong, the cause in the first message of an event, and if it is true."""
    facts = world.facts(replace(rule, context=CONTEXT), event.opened_at)
    assert facts.verdict.kind is event.verdict
    cause = probable_cause(facts)
    truth, true = world.true_causes(event.opened_at) if is_real else (NOTHING, TRUE_OF_NOTHING)
    return truth, cause.id if cause else "", cause is not None and cause.id in true


SCORED: Scored = ((discovery, True), (guideline_least, False))
"""Scorers, and whether their real events count or their false alarms.

There are none of these with discovered rules; the least windows of the guideline have plenty.
"""


def score(told: Told, scorers: Scored = SCORED) -> Confusion:
    """Count what is told of the events of discovered rules, and of false alarms."""
    world, found = World(told), Confusion()
    for scorer, counts_real in scorers:
        for rule, events in watch(told, scorer):
            for event in events:
                is_real = any(tells(event, one) for one in told.incidents)
                if is_real is counts_real:
                    found[told_as(world, rule, event, is_real=is_real)] += 1
    return found


def table(found: Confusion) -> str:
    lines = [
        "| what had gone wrong | events | true cause | none | untrue cause |",
        "|---|---|---|---|---|",
    ]
    for truth in (*FAULTS, NOTHING):
        of_it = {key[1:]: count for key, count in sorted(found.items()) if key[0] == truth}
        right = ", ".join(f"`{told}` {n}" for (told, is_true), n in of_it.items() if is_true)
        wrong = ", ".join(
            f"`{told}` {n}" for (told, is_true), n in of_it.items() if told and not is_true
        )
        silent = of_it.get(("", False), 0)
        lines.append(f"| {truth} | {sum(of_it.values())} | {right} | {silent or ''} | {wrong} |")
    return "\n".join(lines)


def summary(found: Confusion) -> str:
    total, right, silent = found.total(), _right(found), _silent(found)
    return (
        f"Of {total} first messages about an incident {right} name a true cause "
        f"({right / total:.0%}), {silent} name none and {total - right - silent} an untrue one."
    )


def _right(found: Confusion) -> int:
    return sum(count for (_truth, _told, is_true), count in found.items() if is_true)


def _silent(found: Confusion) -> int:
    return sum(count for (_truth, told, _is_true), count in found.items() if not told)


@pytest.fixture(scope="module")
def found() -> Confusion:
    total = sum(map(score, simulate()), Confusion())
    # Its windows are scored elsewhere: false alarms are counted of the ten tasks alone.
    total += score(decline()["retired"], ((discovery, True),))
    print(f"\n{table(total)}\n\n{summary(_incidents(total))}")
    return total


def _incidents(found: Confusion) -> Confusion:
    return Confusion({key: count for key, count in found.items() if key[0] != NOTHING})


def test_no_untrue_cause_is_claimed_but_those_that_are_documented(found: Confusion) -> None:
    untrue = {(truth, told) for truth, told, is_true in found if told and not is_true}

    assert untrue <= NEVER_TOLD_RIGHT


def test_nearly_every_incident_is_told_with_its_true_cause(found: Confusion) -> None:
    incidents = _incidents(found)

    assert _right(incidents) >= 0.95 * incidents.total()


def test_each_incident_whose_cause_can_be_known_is(found: Confusion) -> None:
    known = {key: count for key, count in _incidents(found).items() if FAULTS[key[0]].causes}

    assert _right(Confusion(known)) == sum(known.values())


def test_each_kind_of_fault_was_told_of(found: Confusion) -> None:
    assert {truth for truth, _told, _is_true in found} == {*FAULTS, NOTHING}


def test_the_table_of_causes_in_the_documentation_is_this_one(found: Confusion) -> None:
    page = (Path(__file__).parents[2] / "docs" / "causes.md").read_text()

    assert table(found) in page
    assert summary(_incidents(found)) in " ".join(page.split())
