"""A million executions are deleted while others record."""

from __future__ import annotations

import gc
import resource
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, connections

from monitoring import pruning, retention
from monitoring.core.lifecycle import Record, position
from monitoring.core.statuses import Status
from monitoring.models import BackgroundTask
from monitoring.tasklogs.upsert import upsert
from tests.benchmarks import data
from tests.benchmarks.sizes import IS_FULL, SIZES
from tests.factories import NOW

pytestmark = pytest.mark.bench

LATER = NOW + timedelta(days=200)
"""When everything in the log is older than anybody wants to keep it."""
EVERY = 0.01
"""Seconds between what is recorded meanwhile."""
MOST_SECONDS = 0.1
MOST_MEGABYTES = 10

_RANDOM = {
    "sqlite": "lower(hex(randomblob(16)))",
    "postgresql": "md5(id::text)",
    "mysql": "MD5(id)",
}


def test_a_million_executions_go_without_holding_up_the_recorder(
    empty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data.fill(SIZES.rules, SIZES.executions)
    _give_ids_as_celery_does()
    batches: list[tuple[int, float]] = []
    monkeypatch.setattr(pruning, "next_size", _listening(pruning.next_size, batches))
    gc.collect()
    before = _megabytes()
    with recording() as (waits, megabytes):
        began = time.perf_counter()
        done, is_all = retention.prune(LATER)
        seconds = time.perf_counter() - began
    grown = max(megabytes) - before

    left = BackgroundTask.objects.count()
    took = sorted(seconds for _, seconds in batches)
    print(
        f"\n\n{empty}: {done['executions']:,} executions in {seconds:.0f} s, "
        f"{len(took):,} batches, of {batches[-1][0]} rows at last\n"
        f"batch: median {took[len(took) // 2] * 1000:.0f} ms, 99 of 100 within "
        f"{took[len(took) * 99 // 100] * 1000:.0f} ms, longest {took[-1] * 1000:.0f} ms\n"
        f"recorder: {len(waits):,} signals, median {sorted(waits)[len(waits) // 2] * 1000:.1f} ms, "
        f"longest {max(waits) * 1000:.0f} ms\n"
        f"memory: {grown:.1f} MB more at most"
    )
    assert is_all
    assert done["executions"] == SIZES.executions
    assert left == len({f"recorded-{number % 1000}" for number in range(len(waits))})
    assert grown < MOST_MEGABYTES
    if not IS_FULL:
        return
    # Not the longest: on a busy machine it says how long this process had to wait for its turn.
    assert took[len(took) * 99 // 100] < MOST_SECONDS


def _give_ids_as_celery_does() -> None:
    """Ids in no order: each deleted row then touches another page of their index."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {BackgroundTask._meta.db_table} SET task_id = {_RANDOM[connection.vendor]}"
        )
        if connection.vendor == "postgresql":
            cursor.execute("VACUUM ANALYZE")


def _megabytes() -> float:
    """Return the memory that the process has now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def _listening(next_size: Any, batches: list[tuple[int, float]]) -> Any:
    def listen(size: int, seconds: float) -> int:
        batches.append((size, seconds))
        return int(next_size(size, seconds))

    return listen


@contextmanager
def recording() -> Iterator[tuple[list[float], list[float]]]:
    """Record a signal every few milliseconds on a connection of its own.

    Yield how many seconds each took, and how much memory the process had then.
    """
    waits: list[float] = []
    megabytes: list[float] = []
    is_over = threading.Event()
    theirs: Any = connections["default"]

    def record() -> None:
        mine = connections["default"] = theirs.copy()
        number = 0
        try:
            while not is_over.wait(EVERY):
                began = time.perf_counter()
                upsert(_signal(number % 1000), "default")
                waits.append(time.perf_counter() - began)
                megabytes.append(_megabytes())
                number += 1
        finally:
            mine.close()

    thread = threading.Thread(target=record)
    thread.start()
    try:
        yield waits, megabytes
    finally:
        is_over.set()
        thread.join()


def _signal(number: int) -> Record:
    return Record(
        task_id=f"recorded-{number}",
        task_name="recorded",
        status=Status.RUNNING,
        position=position(Status.RUNNING, 0),
        last_update=LATER,
        started_at=LATER,
        first_started_at=LATER,
        worker="celery@worker-1",
    )
