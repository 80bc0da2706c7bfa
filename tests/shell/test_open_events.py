"""SQLite finds the open events by their index, where it would read a million that are over."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from monitoring import dependents, retention
from monitoring.checker import run_check
from monitoring.core.arguments import Arguments
from monitoring.linting import lint_all
from monitoring.rulesets import select
from tests.factories import NOW, rule

_OPEN = """"monitoring_alertevent"."open_key" > ''"""


def check() -> None:
    run_check(select(Arguments(all_rules=True)), NOW)


def prune() -> None:
    retention.would_prune(NOW + timedelta(days=400))


def lint() -> None:
    lint_all(NOW)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "run", [check, prune, lint, dependents.read_upstreams], ids=lambda run: run.__name__
)
def test_whoever_asks_for_open_events_seeks_them(run: Callable[[], Any]) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("the plans are those of SQLite")
    rule("sync")

    with CaptureQueriesContext(connection) as queries:
        run()

    asked = [
        query["sql"]
        for query in queries
        if query["sql"].startswith("SELECT") and _OPEN in query["sql"]
    ]
    assert asked
    for sql in asked:
        with connection.cursor() as cursor:
            cursor.execute("EXPLAIN QUERY PLAN " + sql.replace("%", "%%"))
            plan = " ".join(str(row[3]) for row in cursor.fetchall())
        assert "SCAN monitoring_alertevent" not in plan, (sql, plan)
