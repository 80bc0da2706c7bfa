"""What a warning about a rule consists of, and what is known of the world it is told from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from monitoring.core.names import did_you_mean
from monitoring.core.statuses import Status
from monitoring.core.texts import one_line
from monitoring.core.values import Rule
from monitoring.core.wording import Text
from monitoring.core.wording import Text as _

WARNING = "warning"
_MOST_COMPARED = 2000
"""Names that an unknown one is compared with."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that is odd about a rule."""

    id: str
    """The same for the same kind of thing in every release."""
    rule: Rule
    message: Text
    fix: Text
    severity: str = WARNING


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    """What is known beside the rules; what nobody may know of is left out, and says nothing."""

    now: datetime
    gaps: Mapping[str, timedelta] = field(default_factory=dict)
    """Task to the longest that its schedules leave between two runs."""
    check_interval: timedelta | None = None
    switched_off: frozenset[str] = frozenset()
    """Tasks that only disabled periodic tasks would run."""
    scheduled: frozenset[str] = frozenset()
    in_code: frozenset[str] = frozenset()
    seen: frozenset[str] | None = None
    """Tasks that the log holds; None: nobody looked.

    Of those that rules name only what has started: what every worker refuses is in the log too.
    """
    ends: Mapping[str, Sequence[Status]] = field(default_factory=dict)
    """Task to the statuses of its last executions."""
    days_kept: int | None = None
    """Days that executions are kept; 0 or None: for ever."""
    results_kept: timedelta | None = None
    """How long Celery keeps results, where they are the task log."""
    bounced: frozenset[str] = frozenset()
    """Addresses whose last message was refused for good."""
    open_since: Mapping[str, datetime] = field(default_factory=dict)
    """Key of a rule to when its open alert event was opened."""
    snoozed_since: Mapping[int, datetime] = field(default_factory=dict)
    """Primary key of a rule to when it was written last."""

    def has_run(self, task_name: str) -> bool:
        """Say whether a task has started at least once, or nobody looked."""
        return self.seen is None or task_name in self.seen

    def knows(self, task_name: str) -> bool:
        """Say whether a task was found anywhere, or not all places were looked at."""
        places = (self.in_code, self.scheduled, self.switched_off)
        return self.has_run(task_name) or any(task_name in names for names in places)

    def nowhere(self, task_name: str) -> Text:
        """Return what is said of a task that is nowhere known, with the nearest names."""
        return _(
            'no task "{task}" is in the code, scheduled, or has ever run{hint}',
            task=one_line(task_name),
            hint=self.hint(task_name),
        )

    def hint(self, task_name: str) -> str:
        """Return the nearest known names of tasks; none where there are too many to compare."""
        known = {one_line(name) for name in (*self.in_code, *self.scheduled, *(self.seen or ()))}
        return did_you_mean(task_name, known) if len(known) <= _MOST_COMPARED else ""
