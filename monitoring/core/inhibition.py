"""Which failing task explains that another one fails.

A rule names the tasks that depend on its own. When such a task fails while the one it depends on
has alerted already, a second message says nothing new.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Upstream:
    """An open alert event of a task that others depend on."""

    event_id: int
    task_name: str
    dependents: frozenset[str]
    has_told: bool
    """Its alert was sent to somebody."""
    since: datetime


class Upstreams:
    """The open events that may hold the alerts of others."""

    def __init__(self, events: Iterable[Upstream]) -> None:
        self._above: dict[str, list[Upstream]] = {}
        for event in sorted(events, key=lambda event: (event.since, event.event_id)):
            for name in event.dependents:
                self._above.setdefault(name, []).append(event)

    def of(self, task_name: str) -> Upstream | None:
        """Return the nearest failing task above this one that has told somebody.

        Goes up through tasks that fail without having told, and never twice through one task, so
        that tasks which depend on each other in a circle are safe. A task does not hold itself.
        """
        waiting, seen = deque([task_name]), {task_name}
        while waiting:
            for event in self._above.get(waiting.popleft(), ()):
                if event.task_name in seen:
                    continue
                if event.has_told:
                    return event
                seen.add(event.task_name)
                waiting.append(event.task_name)
        return None
