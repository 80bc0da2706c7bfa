"""The pages of a busy installation: 10,000 rules, a million executions."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from monitoring.models import BackgroundTask, MonitorRule, RuleState
from monitoring.rule_rows import key_of
from tests.admin.conftest import client_of
from tests.admin.data import event, url
from tests.benchmarks.data import EXECUTIONS, RULES, fill
from tests.factories import NOW, superuser

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

MOST_QUERIES = 19


def store() -> None:
    """Store what `fill` does, a state of each rule, and an open event of every hundredth."""
    fill()
    rows = list(MonitorRule.objects.order_by("pk"))
    RuleState.objects.bulk_create(
        (
            RuleState(
                key=key_of(row),
                rule=row,
                task_name=row.task_name,
                verdict="ok" if number % 100 else "no_execution",
                last_checked_at=NOW,
            )
            for number, row in enumerate(rows)
        ),
        batch_size=1000,
    )
    for row in rows[::100]:
        event(row.task_name, rule=row, rule_name=row.name, open_key=key_of(row))


def test_pages_open_in_under_twenty_queries() -> None:
    store()
    assert (MonitorRule.objects.count(), BackgroundTask.objects.count()) == (RULES, EXECUTIONS)
    name = MonitorRule.objects.order_by("-pk")[0].task_name
    rules, executions = url(MonitorRule, "changelist"), url(BackgroundTask, "changelist")
    client = client_of(superuser())
    client.get(rules)  # content types are looked up once

    for address in (
        rules,
        f"{rules}?p=50",
        f"{rules}?state=ok",
        f"{rules}?state=failing",
        f"{rules}?state=never",
        f"{rules}?alert=open",
        f"{rules}?recipient=ops@example.com",
        f"{rules}?task_name={name}",
        f"{rules}timeline/?task_name={name}",
        executions,
        f"{executions}?task_name={name}",
        "/admin/monitoring/",
    ):
        with CaptureQueriesContext(connection) as queries:
            assert client.get(address).status_code == 200, address
        assert len(queries) <= MOST_QUERIES, address
