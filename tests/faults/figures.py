"""What the faults did, counted per database and shown at the end of the run.

A plugin of its own, because under xdist the counting is done by the workers and the showing by
the process that started them.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from typing import Any

import pytest

COLUMNS = ("faults", "checks", "owed", "delivered", "repeated", "lost")
_KEY = "fault_figures"

counted: dict[str, Counter[str]] = defaultdict(Counter)
"""Database -> figure -> how many."""


def count(database: str, **figures: int) -> None:
    """Add to the figures of a database; see `COLUMNS`."""
    assert set(figures) <= set(COLUMNS), figures
    counted[database].update(figures)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand what a worker counted to the process that shows it."""
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[_KEY] = {name: dict(figures) for name, figures in counted.items()}


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    for name, figures in getattr(node, "workeroutput", {}).get(_KEY, {}).items():
        counted[name].update(figures)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if not counted:
        return
    terminalreporter.section("faults")
    terminalreporter.write_line(f"{'':<12}" + "".join(f"{name:>11}" for name in COLUMNS))
    for name in sorted(counted):
        row = "".join(f"{counted[name][column]:>11}" for column in COLUMNS)
        terminalreporter.write_line(f"{name:<12}{row}")


def pytest_configure(config: pytest.Config) -> None:
    """Register this module once, whichever conftest imports it first."""
    plugins = config.pluginmanager
    if not plugins.has_plugin(_KEY):
        plugins.register(sys.modules[__name__], _KEY)
