"""Discovered and suggested windows against the documented ones, on a year that is known."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from monitoring import schedules
from tests.scoring.scorers import discovery, guideline_least, guideline_most, suggestion
from tests.scoring.scoring import Score, Scorer, score, table
from tests.scoring.year import DAY, HOUR, SCHEDULE_CHANGES, START, simulate

# Whoever makes the year and its events makes them once.
pytestmark = [pytest.mark.matrix, pytest.mark.xdist_group("scoring")]

SCORERS: dict[str, Scorer] = {
    "guideline, least": guideline_least,
    "guideline, most": guideline_most,
    "discovered": discovery,
    "suggested": suggestion,
}
IN_GUIDELINE = "in the guideline's table"
OTHERS = "others"
ALL = "all"
GROUPS = (IN_GUIDELINE, OTHERS, ALL)
CHANGED = "two-hourly, later six-hourly"

Scores = dict[str, dict[str, Score]]


@pytest.fixture(scope="module")
def scores() -> Scores:
    """Score everything once; `pytest -s` shows the tables."""
    by_task = {
        told.schedule: {name: score(told, scorer) for name, scorer in SCORERS.items()}
        for told in simulate()
    }
    groups = {
        group: {
            name: sum(
                (found[name] for schedule, found in by_task.items() if is_in(schedule)), Score()
            )
            for name in SCORERS
        }
        for group, is_in in (
            (IN_GUIDELINE, lambda one: one.in_guideline),
            (OTHERS, lambda one: not one.in_guideline),
            (ALL, lambda one: True),
        )
    }
    tasks = {one.name: found for one, found in by_task.items()}
    print(f"\n{table(tasks)}\n\n{table(groups)}")
    return tasks | groups


GUIDELINES = ["guideline, least", "guideline, most"]
OURS = ["discovered", "suggested"]


@pytest.mark.parametrize("group", [OTHERS, ALL])
@pytest.mark.parametrize("guideline", GUIDELINES)
@pytest.mark.parametrize("ours", OURS)
def test_our_windows_beat_the_documented_ones(
    scores: Scores, group: str, guideline: str, ours: str
) -> None:
    assert scores[group][ours].f1 > scores[group][guideline].f1
    assert scores[group][ours].precision > scores[group][guideline].precision


@pytest.mark.parametrize("guideline", GUIDELINES)
@pytest.mark.parametrize("ours", OURS)
def test_they_are_no_worse_where_the_documented_table_has_a_row(
    scores: Scores, guideline: str, ours: str
) -> None:
    found, documented = scores[IN_GUIDELINE][ours], scores[IN_GUIDELINE][guideline]

    assert found.f1 >= documented.f1
    assert found.precision >= documented.precision
    assert found.recall >= documented.recall


def test_discovered_windows_raise_no_false_alarm_at_all(scores: Scores) -> None:
    assert scores[ALL]["discovered"].wrong == 0


def test_where_runs_come_evenly_they_miss_nothing_either(scores: Scores) -> None:
    assert scores[IN_GUIDELINE]["discovered"].missed == 0


def test_a_changed_schedule_costs_them_nothing(scores: Scores) -> None:
    found = scores[CHANGED]["discovered"]

    assert (found.wrong, found.missed) == (0, 0)


def test_the_table_in_the_documentation_is_this_one(scores: Scores) -> None:
    page = (Path(__file__).parents[2] / "docs" / "rules.md").read_text()

    assert table({group: scores[group] for group in GROUPS}) in page


def test_a_year_holds_what_it_says() -> None:
    told = simulate()

    assert told == simulate()
    assert told != simulate(seed=2)
    kinds = {one.kind for task in told for one in task.incidents}
    assert kinds == {"failed", "missed", "hung", "outage"}
    for task in told:
        before = START + 9 * DAY
        assert schedules.coming_gap([task.schedule.in_force(before)], before) == max(
            later - earlier
            for earlier, later in pairwise(task.due)
            if task.schedule.beat_later is None or later < SCHEDULE_CHANGES
        )
    (daily,) = (task for task in told if task.schedule.name == "daily at eight")
    due = list(daily.schedule.due())
    assert {later - earlier for earlier, later in pairwise(due)} == {23 * HOUR, DAY, 25 * HOUR}
