"""Why a task probably fails: one line, with what it rests on.

`probable_cause` asks `CAUSES` from top to bottom, and the first that fits is told. What proves
most stands first: what became of an execution, then of its message, then who should have sent one.
No cause claims more than its evidence: where nobody was heard, nobody is said to be missing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from monitoring.core.causes import executions, messages, schedules
from monitoring.core.causes.facts import Facts
from monitoring.core.causes.wording import Why
from monitoring.core.wording import Text
from monitoring.core.wording import Text as _


class Cause(NamedTuple):
    """What a failure probably comes from."""

    id: str
    """Stable: the key of `CAUSES`."""
    headline: Text
    evidence: str

    @property
    def is_none_due(self) -> bool:
        """It says that no run was due, so that none can be said to have stayed away."""
        return self.id in _NONE_DUE

    @property
    def text(self) -> Text:
        """The cause on one line."""
        return _("{cause}: {evidence}", cause=self.headline, evidence=self.evidence)


CAUSES: dict[str, Callable[[Facts], Why]] = {
    "worker_lost": executions.worker_lost,
    "not_registered": executions.not_registered,
    "cancelled": executions.cancelled,
    "raised": executions.raised,
    "still_running": executions.still_running,
    "not_consumed": messages.not_consumed,
    "queued": messages.queued,
    "other_context": executions.in_other_context,
    "schedule_disabled": schedules.disabled,
    "schedule_deleted": schedules.deleted,
    "beat_silent": schedules.beat_silent,
    "schedule_missed": schedules.missed,
    "before_window": schedules.before_window,
    "task_unknown": schedules.nobody_knows,
}
"""Stable id to the function that says whether a cause fits, in the order of asking."""


_NONE_DUE = frozenset({"schedule_disabled", "schedule_deleted", "before_window", "task_unknown"})


def probable_cause(facts: Facts) -> Cause | None:
    """Return the first cause that fits; None: there is no evidence of any."""
    if not facts.verdict.is_failing:
        return None
    for name, explain in CAUSES.items():
        why = explain(facts)
        if why is not None:
            return Cause(name, *why)
    return None
