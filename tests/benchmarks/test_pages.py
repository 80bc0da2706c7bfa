"""Pages of a large installation beside the same pages of a small one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import time_machine
from django.db import connections

from tests.admin.conftest import client_of
from tests.benchmarks import data, situations
from tests.benchmarks.conftest import Filled, database
from tests.benchmarks.measuring import Side, measure, publish
from tests.benchmarks.pages import PAGES, Page
from tests.benchmarks.sizes import SIZES
from tests.factories import NOW, superuser

pytestmark = pytest.mark.bench

SMALL = {"rules": 1_200, "executions": 20_000, "events": 5_000}
"""Enough to fill each page with as many rows as the large one shows."""


class Installation:
    """A filled database, and somebody who looks at its pages."""

    def __init__(self, events: int) -> None:
        situations.everything_was_fine()
        data.fill_history(events)
        data.fill_schedules()
        situations.let_fail(one_in=10)
        situations.check()  # so that some events are open
        self._connection = connections["default"]
        self._client = client_of(superuser())

    def use(self) -> None:
        """Let the pages show it."""
        connections["default"] = self._connection

    def opens(self, page: Page) -> Callable[[], None]:
        def opened() -> None:
            response = page.open(self._client)
            assert response.status_code == page.answers, (page.name, response.status_code)

        return opened


@pytest.fixture(scope="module")
def small_ones(
    tmp_path_factory: pytest.TempPathFactory, django_db_blocker: Any
) -> Iterator[Callable[[str], Installation]]:
    """Return the small installation on the same kind of database."""
    known: dict[str, Installation] = {}
    with django_db_blocker.unblock(), ExitStack() as places:

        def of(kind: str) -> Installation:
            if kind not in known:
                large = connections["default"]
                places.enter_context(database(kind, tmp_path_factory))
                data.fill(SMALL["rules"], SMALL["executions"])
                known[kind] = Installation(SMALL["events"])
                places.callback(known[kind].use)  # what is left must be in use
                connections["default"] = large
            return known[kind]

        yield of
        theirs = connections["default"]
    connections["default"] = theirs


def test_pages(filled: Filled, small_ones: Callable[[str], Installation]) -> None:
    small, large = small_ones(filled.kind), Installation(SIZES.events)
    figures, few = [], {}
    # The executions end then, and what has no recent ones is soon replayed.
    with time_machine.travel(NOW):
        for page in PAGES:  # in turns, page by page: a machine is not as fast at all times
            sides = (
                Side(name=f"{page.name}, small", prepare=small.use, run=small.opens(page)),
                Side(name=page.name, prepare=large.use, run=large.opens(page)),
            )
            of_small, of_large = measure(sides, SIZES.runs)
            figures.append(of_large)
            few[page.name] = (of_small.median, of_small.queries)

    publish("pages", filled.name, figures, **filled.facts, events=SIZES.events, small=few)
    for one in figures:
        print(f"{one.name}: {one.median / few[one.name][0]:.2f} times the small one")
