"""Pages of a large installation beside the same pages of a small one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import time_machine

from tests.admin.conftest import client_of
from tests.benchmarks import data, situations
from tests.benchmarks.conftest import Filled, database
from tests.benchmarks.measuring import Figures, Side, measure, publish
from tests.benchmarks.pages import PAGES, Page
from tests.benchmarks.sizes import SIZES
from tests.factories import NOW, superuser

pytestmark = pytest.mark.bench

SMALL = {"rules": 1_200, "executions": 20_000, "events": 5_000}
"""Enough to fill each page with as many rows as the large one shows."""


def measured() -> list[Figures]:
    client = client_of(superuser())
    data.fill_schedules()

    def opened(page: Page) -> None:
        response = page.open(client)
        assert response.status_code == page.answers, (page.name, response.status_code)

    situations.let_fail(one_in=10)
    situations.check()  # so that some events are open
    sides = [Side(name=page.name, run=lambda page=page: opened(page)) for page in PAGES]
    # The executions end then, and what has no recent ones is soon replayed.
    with time_machine.travel(NOW):
        return measure(sides, SIZES.runs)


@pytest.fixture(scope="module")
def small_figures(
    tmp_path_factory: pytest.TempPathFactory, django_db_blocker: Any
) -> Callable[[str], list[Figures]]:
    """Return the figures of a small installation on the same kind of database."""
    known: dict[str, list[Figures]] = {}

    def of(kind: str) -> list[Figures]:
        if kind not in known:
            with django_db_blocker.unblock(), database(kind, tmp_path_factory):
                data.fill(SMALL["rules"], SMALL["executions"])
                situations.everything_was_fine()
                data.fill_history(SMALL["events"])
                known[kind] = measured()
        return known[kind]

    return of


def test_pages(filled: Filled, small_figures: Callable[[str], list[Figures]]) -> None:
    small = small_figures(filled.kind)
    situations.everything_was_fine()
    data.fill_history(SIZES.events)
    large = measured()

    few = {one.name: (one.median, one.queries) for one in small}
    publish("pages", filled.name, large, **filled.facts, events=SIZES.events, small=few)
    for one in large:
        print(f"{one.name}: {one.median / few[one.name][0]:.2f} times the small one")
