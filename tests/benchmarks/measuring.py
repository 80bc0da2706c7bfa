"""Medians, queries and memory of several ways to do the same, as a table and as JSON."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
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
    runs: int = 0
    """How often, if it takes too long for a run that warms up and one that traces memory."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """What was measured of one side."""

    name: str
    seconds: list[float]
    queries: int
    """Statements, the begin and end of transactions not counted."""
    peak_megabytes: float | None
    """Most memory that Python held at once on top of what it held before; None: not traced."""

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def measure(sides: Sequence[Side], runs: int) -> list[Figures]:
    """Measure all sides in turn, `runs` times: what slows the machine down hits every side."""
    queries: dict[str, int] = {}
    memory: dict[str, float | None] = {}
    for side in sides:  # also warms up the database and the process
        if side.runs:
            continue
        side.prepare()
        with counted_queries() as count:
            memory[side.name] = _peak_megabytes(side.run)
        queries[side.name] = count()
    seconds: dict[str, list[float]] = {side.name: [] for side in sides}
    for number in range(max(runs, *(side.runs for side in sides))):
        for side in sides:
            if number >= (side.runs or runs):
                continue
            side.prepare()
            with counted_queries() if side.runs else nullcontext() as count:
                began = time.perf_counter()
                side.run()
                seconds[side.name].append(time.perf_counter() - began)
            if count:
                queries[side.name] = count()
    return [
        Figures(
            name=side.name,
            seconds=seconds[side.name],
            queries=queries[side.name],
            peak_megabytes=memory.get(side.name),
        )
        for side in sides
    ]


@contextmanager
def counted_queries() -> Iterator[Callable[[], int]]:
    """Count the statements that go to the database, raw ones included; call the value to ask."""
    statements = 0
    not_counted = ("BEGIN", "SAVEPOINT", "RELEASE SAVEPOINT")

    def count(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        nonlocal statements
        statements += not sql.startswith(not_counted)
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


def table(title: str, figures: Sequence[Figures]) -> str:
    """Return the figures as a Markdown table; ratios are times the first side takes longer."""
    lines = [
        f"### {title}",
        "",
        "| | median | fastest to slowest | times as fast | queries | memory |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for one in figures:
        ratio = "1" if one is figures[0] else f"{figures[0].median / one.median:.1f}"
        lines.append(
            f"| {one.name} | {one.median:.4f} s | {min(one.seconds):.4f} to {max(one.seconds):.4f}"
            f" s | {ratio} | {one.queries:,} | {one.peak_megabytes or 0:.1f} MB |"
        )
    return "\n".join(lines)


def publish(name: str, database: str, figures: Sequence[Figures], **facts: Any) -> None:
    """Print the figures, and keep them in `.bench/` with what they were measured on."""
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{name}-{database}.json"
    on = {
        "python": platform.python_version(),
        "django": django.__version__,
        "version": ".".join(str(part) for part in connection.get_database_version()),
        "processors": os.cpu_count(),
    }
    found = [{**asdict(one), "median": one.median} for one in figures]
    content = {"name": name, "database": database, **facts, **on, "figures": found}
    path.write_text(json.dumps(content, indent=2) + "\n")
    print(f"\n\n{table(f'{name}, {database}', figures)}\n\n{facts}\n{path}")
