"""What recording a task costs its worker, beside three other ways to do it."""

from __future__ import annotations

import importlib
import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import override_settings

from monitoring.models import BackgroundTask
from tests.benchmarks import recorders
from tests.benchmarks.measuring import Side, measure, publish
from tests.benchmarks.recorders import CELERY_RESULTS, Recorder, connected
from tests.benchmarks.sizes import SIZES

pytestmark = pytest.mark.bench

WARM_UP = 5
NOTHING = "nothing recorded"
OURS = "recorder"
WITHOUT_QUEUED = {"RECORD_RECEIVED": False}


def cronwatch_store(kind: str, folder: Path) -> Any | None:
    """Return a store of cronwatch-sdk, which only `make bench` requires; None: it has none."""
    try:
        stores = importlib.import_module("cronwatch.stores")
        postgres = importlib.import_module("cronwatch.stores.postgres")
    except ImportError:
        return None
    if kind == "sqlite":
        return stores.SqliteStore(str(folder / "cronwatch.db"))
    if kind == "postgresql":
        base, _, _ = os.environ["TEST_POSTGRES_URL"].rpartition("/")
        return postgres.PostgresStore(f"{base}/{connection.settings_dict['NAME']}")
    return None


def test_recording_a_task(empty: str, tmp_path: Path, settings: Any) -> None:
    kinds = [
        Recorder(name=NOTHING, connect=recorders.without),
        Recorder(name="the obvious handlers", connect=recorders.obvious),
        Recorder(name=OURS, connect=recorders.ours),
        Recorder(
            name="the obvious handlers, without Queued", connect=recorders.obvious_without_queued
        ),
        Recorder(name=f"{OURS}, without Queued", connect=recorders.ours),
        Recorder(name="django-celery-results", connect=recorders.without, settings=CELERY_RESULTS),
    ]
    store = cronwatch_store(empty, tmp_path)
    if store is not None:
        kinds += [Recorder(name="cronwatch-sdk", connect=recorders.cronwatch_with(store))]
    try:
        figures = measure([_side(one, settings.MONITORING) for one in kinds], SIZES.runs)
    finally:
        if store is not None:
            store.close()

    rows = BackgroundTask.objects.filter(status="Completed").count()
    assert rows == 4 * (SIZES.tasks + WARM_UP) * (SIZES.runs + 1)
    publish("recorder", empty, figures, tasks=SIZES.tasks)


def _side(one: Recorder, monitoring: dict[str, Any]) -> Side:
    held = ExitStack()
    run: list[Any] = []

    def prepare() -> None:
        held.close()
        if one.name == f"{OURS}, without Queued":
            held.enter_context(override_settings(MONITORING=monitoring | WITHOUT_QUEUED))
        run[:] = [held.enter_context(connected(one))]
        run[0](WARM_UP)  # connections, the first look at the schedule

    def measured() -> None:
        run[0](SIZES.tasks)
        held.close()

    return Side(name=one.name, prepare=prepare, run=measured)
