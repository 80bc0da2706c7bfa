"""Suggested windows against the documented ones, on a year of which everything is known."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from tests.scoring.scorers import guideline_least, guideline_most, suggestion
from tests.scoring.scoring import Score, Scorer, score, table
from tests.scoring.year import DAY, HOUR, simulate

SCORERS: dict[str, Scorer] = {
    "guideline, least": guideline_least,
    "guideline, most": guideline_most,
    "suggested": suggestion,
}
IN_GUIDELINE = "in the guideline's table"
OTHERS = "others"
ALL = "all"

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
    print(f"\n{table({one.name: found for one, found in by_task.items()})}\n\n{table(groups)}")
    return groups


GUIDELINES = [name for name in SCORERS if name != "suggested"]


@pytest.mark.parametrize("group", [OTHERS, ALL])
@pytest.mark.parametrize("guideline", GUIDELINES)
def test_suggested_windows_beat_the_documented_ones(
    scores: Scores, group: str, guideline: str
) -> None:
    assert scores[group]["suggested"].f1 > scores[group][guideline].f1
    assert scores[group]["suggested"].precision > scores[group][guideline].precision


@pytest.mark.parametrize("guideline", GUIDELINES)
def test_they_are_no_worse_where_the_documented_table_has_a_row(
    scores: Scores, guideline: str
) -> None:
    suggested, documented = scores[IN_GUIDELINE]["suggested"], scores[IN_GUIDELINE][guideline]

    assert suggested.f1 >= documented.f1
    assert suggested.precision >= documented.precision
    assert suggested.recall >= documented.recall


def test_the_table_in_the_documentation_is_this_one(scores: Scores) -> None:
    page = (Path(__file__).parents[2] / "docs" / "rules.md").read_text()

    assert table(scores) in page


def test_a_year_holds_what_it_says() -> None:
    told = simulate()

    assert told == simulate()
    assert told != simulate(seed=2)
    kinds = {one.kind for task in told for one in task.incidents}
    assert kinds == {"failed", "missed", "outage"}
    (daily,) = (task for task in told if task.schedule.name == "daily at eight")
    due = list(daily.schedule.due())
    assert {later - earlier for earlier, later in pairwise(due)} == {23 * HOUR, DAY, 25 * HOUR}
