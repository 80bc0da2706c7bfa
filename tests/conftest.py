"""What every test shares."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

# The table of the fault suite is printed by whoever runs it, alone or among the others.
from tests.faults.figures import pytest_configure  # noqa: F401

settings.register_profile(
    "default",
    deadline=None,  # a busy machine is not a bug
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("fast", parent=settings.get_profile("default"), max_examples=15)
settings.register_profile("thorough", parent=settings.get_profile("default"), max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

_DATABASE = {"db", "transactional_db"}


@pytest.hookimpl(tryfirst=True)  # before `-m` looks at the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what asks no database as the same on every one."""
    for item in items:
        asked = _DATABASE.intersection(getattr(item, "fixturenames", ()))
        if not asked and item.get_closest_marker("django_db") is None:
            item.add_marker(pytest.mark.any_database)


@pytest.fixture(autouse=True)
def _no_names_of_another_test() -> None:
    """A process remembers the names in its log, and each test has a log of its own."""
    from monitoring.tasklogs import names

    names.forget()
