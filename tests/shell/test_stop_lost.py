"""The statements that write our task log do what `core.lifecycle` says."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.core.lifecycle import Record, lost, merge
from monitoring.core.statuses import Status
from monitoring.models import BackgroundTask
from monitoring.tasklogs.lost import mark_left_behind
from monitoring.tasklogs.upsert import upsert
from tests.core.test_lifecycle import whole_lives

pytestmark = pytest.mark.django_db

LOOK_BACK = timedelta(days=1)
"""So long after all signals that every running execution is left behind."""


def stored() -> Record:
    """Return the one row of the log."""
    row = BackgroundTask.objects.get()
    values: dict[str, Any] = {name: getattr(row, name) for name in Record.__dataclass_fields__}
    found = Record(**(values | {"status": Status(row.status)}))
    assert row.retries == found.retries
    return found


@given(whole_lives(), st.data())
@settings(max_examples=min(60, settings.default.max_examples))
def test_signals_in_any_order_add_up_in_the_table_as_in_the_specification(
    signals: list[Record], data: st.DataObject
) -> None:
    with transaction.atomic():
        row: Record | None = None
        for signal in data.draw(st.permutations(signals)):
            upsert(signal, "default")
            row = merge(row, signal)
            assert stored() == row
        transaction.set_rollback(True)


@given(whole_lives(), st.data())
@settings(max_examples=min(60, settings.default.max_examples))
def test_an_execution_is_marked_as_lost_as_in_the_specification(
    signals: list[Record], data: st.DataObject
) -> None:
    order = data.draw(st.permutations(signals))
    before = data.draw(st.integers(1, len(order)))
    now = max(signal.last_update for signal in signals) + LOOK_BACK
    with transaction.atomic():
        row: Record | None = None
        for signal in order[:before]:
            upsert(signal, "default")
            row = merge(row, signal)
        assert row is not None
        is_running = row.status is Status.RUNNING

        marked = mark_left_behind(row.worker, now, now)

        row = lost(row, now)
        assert (marked, stored()) == (is_running, row)
        for signal in order[before:]:
            upsert(signal, "default")
            row = merge(row, signal)
        assert stored() == row
        transaction.set_rollback(True)
