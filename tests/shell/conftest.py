"""The clock, the door and the mailbox that most tests of the shell use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import time_machine

from monitoring.tasks import monitor_task_status
from tests.factories import NOW, ago, execution, log
from tests.sources import SOURCES, Source

Monitor = Callable[..., dict[str, Any]]


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    """Stop the clock at `NOW`; `clock.shift(seconds)` moves it."""
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def monitor(
    db: None, clock: time_machine.Traveller, django_capture_on_commit_callbacks: Any
) -> Monitor:
    """Call the task as a person in a shell does, and let its transaction commit."""

    def call(*args: object, **kwargs: object) -> dict[str, Any]:
        with django_capture_on_commit_callbacks(execute=True):
            return monitor_task_status(*args, **kwargs)

    return call


def each_source(*marks: pytest.MarkDecorator) -> Any:
    """Return a fixture that runs a test once for each task log, all but our own with these marks.

    `execution` stores into it.
    """
    own, *others = SOURCES

    @pytest.fixture(
        name="source", params=[own, *(pytest.param(one, marks=marks) for one in others)]
    )
    def choose(
        request: pytest.FixtureRequest, settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> Source:
        found = SOURCES[request.param]
        settings.MONITORING = settings.MONITORING | found.settings
        monkeypatch.setattr(log, "source", found)
        return found

    return choose


source = each_source(pytest.mark.matrix)


@pytest.fixture
def old_log(db: None) -> None:
    """Make the log long enough to tell "did not run" from "not recorded yet"."""
    execution("heartbeat", started=ago(days=30))
