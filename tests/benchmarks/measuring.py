"""Medians, queries and memory of several ways to do the same, as a table and as JSON."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import django
from django.db import connection

FOLDER = Path(__file__).resolve().parents[2] / ".bench"


@dataclass(frozen=True, kw_only=True, slots=True)
class Side:
    """One thing to measure."""

    name: str
    run: Callable[[], Any]
    prepare: Callable[[], Any] = lambda: None
    """Called before each run, outside of what is measured."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """What was measured of one side."""

    name: str
    seconds: list[float]
    queries: int
    """Statements, the begin and end of transactions not counted."""
    peak_megabytes: float
    """Most memory that Python held at once on top of what it held before."""

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def measure(sides: Sequence[Side], runs: int) -> list[Figures]:
    """Measure all sides in turn, `runs` times: what slows the machine down hits every side."""
    queries, memory = {}, {}
    for side in sides:  # also warms up the database and the process
        side.prepare()
        with counted_queries() as count:
            memory[side.name] = _peak_megabytes(side.run)
        queries[side.name] = count()
    seconds: dict[str, list[float]] = {side.name: [] for side in sides}
    for _ in range(runs):
        for side in sides:
            side.prepare()
            began = time.perf_counter()
            side.run()
            seconds[side.name].append(time.perf_counter() - began)
    return [
        Figures(
            name=side.name,
            seconds=seconds[side.name],
            queries=queries[side.name],
            peak_megabytes=memory[side.name],
        )
        for side in sides
    ]


@contextmanager
def counted_queries() -> Iterator[Callable[[], int]]:
    """Count the statements that go to the database, raw ones included; call the value to ask."""
    statements = 0

    def count(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        nonlocal statements
        statements += sql != "BEGIN IMMEDIATE"  # SQLite alone tells of it
        return execute(sql, params, many, context)

    with connection.execute_wrapper(count):
        yield lambda: statements


def _peak_megabytes(run: Callable[[], Any]) -> float:
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    run()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return (peak - before) / 1e6


def table(title: str, baseline: Figures, others: Sequence[Figures]) -> str:
    """Return the figures as a Markdown table; ratios are times the baseline takes longer."""
    lines = [
        f"### {title}",
        "",
        "| | median | fastest to slowest | times as fast | queries | memory |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for one in (baseline, *others):
        ratio = "1" if one is baseline else f"{baseline.median / one.median:.0f}"
        lines.append(
            f"| {one.name} | {one.median:.3f} s | {min(one.seconds):.3f} to {max(one.seconds):.3f}"
            f" s | {ratio} | {one.queries:,} | {one.peak_megabytes:.1f} MB |"
        )
    return "\n".join(lines)


def write_json(name: str, figures: Sequence[Figures], **facts: Any) -> Path:
    """Keep the figures in `.bench/`, with what they were measured on."""
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{name}.json"
    on = {
        "python": platform.python_version(),
        "django": django.__version__,
        "database": ".".join(str(part) for part in connection.get_database_version()),
        "processors": os.cpu_count(),
    }
    found = [{**asdict(one), "median": one.median} for one in figures]
    path.write_text(json.dumps({**facts, **on, "figures": found}, indent=2) + "\n")
    return path
