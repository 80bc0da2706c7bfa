"""Which databases and brokers the door tests run on, and what is shown when one fails."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.doors.harness import System


@pytest.fixture
def system(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    django_db_blocker: Any,
) -> Iterator[System]:
    """A system without a worker, of the database and the broker that the test names."""
    folder = tmp_path_factory.mktemp("system")
    with django_db_blocker.unblock(), System(folder, *request.param) as system:
        yield system


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Show the end of every process's output under a test that failed."""
    report = yield
    system = getattr(item, "funcargs", {}).get("system")
    if report.failed and isinstance(system, System):
        for process in system.processes:
            report.sections.append((f"output of {process.name}", process.output[-6000:]))
    return report
