"""The values that a check reasons about: a rule, an execution, the evidence, a verdict.

Those that a check makes anew for each of ten thousand rules are named tuples: made in a third of
the time that a frozen dataclass takes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple, Protocol

from monitoring.core.statuses import Status
from monitoring.core.wording import Text, joined

MAX_LOOKBACK_HOURS = 87_600
"""Ten years of hours."""

DEFAULT_LOOKBACK_HOURS = 1.0
"""Source: documented behaviour 10.3.1."""

DURATION_FACTORS = (1, 1000)
"""Least and most times the usual duration that a rule may allow: below 1, every run is slow."""

SUCCESS_RATES = (1, 100)
"""Least and most percent that a rule may want: 0.9 was meant to be 90."""


# Most rules share a few windows, and making one takes as long as comparing with it.
_hours = lru_cache(maxsize=256)(lambda hours: timedelta(hours=hours))


class WhileRunning(StrEnum):
    """What a rule makes of an execution that has not finished yet."""

    JUDGE = "judge"
    """Judge the latest execution as it stands (documented)."""
    WAIT = "wait"
    """Judge the newest finished one, and leave an open event alone while one is in progress."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ContextFilter:
    """Watch only executions whose context row has a given value in a given field."""

    model: str
    """`app_label.Model`, or the documented `app_label.models.Model`."""
    field: str
    """Field of that model; empty: the default of the model."""
    type: str
    """The value to find there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """What is expected of one task."""

    key: str
    """Identity of what is watched: it changes when the task or the context changes."""
    task_name: str
    expected_statuses: tuple[Status, ...]
    lookback_hours: float = DEFAULT_LOOKBACK_HOURS
    name: str = ""
    """Name of the stored rule; empty for an entry of the JSON arguments."""
    rule_id: int | None = None
    """Primary key of the stored rule; None for an entry of the JSON arguments."""
    periodic_task: str = ""
    """Whose JSON arguments the entry stands in; empty for a stored rule or a direct call."""
    path: str = ""
    """Where the entry stands in the JSON arguments, for error messages."""
    description: str = ""
    notify_to: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    """Names of the channels that are told too; never for an entry of the JSON arguments."""
    dependent_tasks: tuple[str, ...] = ()
    context: ContextFilter | None = None
    alert_after: int = 1
    """Failing checks in a row before an event opens."""
    remind_hours: float | None = None
    """Hours between messages while it fails; 0: every check; None: never."""
    notify_on_recovery: bool = True
    max_runtime_minutes: float | None = None
    max_duration_factor: float | None = None
    """How many times what is usual for its task an execution may take; None: any."""
    min_success_rate: float | None = None
    """Percent of the window's finished executions that must end as expected; None: any."""
    while_running: WhileRunning = WhileRunning.JUDGE
    snoozed_until: datetime | None = None
    watched_since: datetime | None = None
    """A young log is admitted from here on; None: never (JSON arguments, as documented)."""

    @property
    def is_stored(self) -> bool:
        return self.rule_id is not None

    @property
    def measures(self) -> bool:
        """The status of the latest execution does not settle it."""
        return self.max_duration_factor is not None or self.min_success_rate is not None

    @property
    def label(self) -> str:
        """How messages and errors name this rule."""
        return self.name or self.task_name

    def window_start(self, now: datetime) -> datetime:
        """Return the start of the lookback window (documented behaviour 10.4.1)."""
        return now - _hours(self.lookback_hours)

    def is_snoozed(self, now: datetime) -> bool:
        return self.snoozed_until is not None and now < self.snoozed_until


class Execution(NamedTuple):
    """One run of a task, as the task log tells it."""

    pk: int | str
    """Primary key in the task log; the greater one is the later of two with equal start."""
    task_name: str
    status: Status
    started_at: datetime
    finished_at: datetime | None = None
    task_id: str = ""
    worker: str = ""
    error: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """Executions of a task that were sent and have not started."""

    count: int = 0
    since: datetime | None = None
    """When the oldest of them was submitted."""
    newest: Mapping[Status, datetime] = field(default_factory=dict)
    """When the newest `Pending` and the newest `Queued` were submitted."""


class Evidence(NamedTuple):
    """What the task log says about one rule."""

    latest: Execution | None = None
    """The execution with the greatest start, inside the window or before it."""
    latest_finished: Execution | None = None
    """The same among the finished ones; only read for rules that wait."""
    latest_running: Execution | None = None
    """The same among the running ones; only read for rules with a longest runtime."""
    waiting: Waiting = Waiting()
    log_since: datetime | None = None
    """When recording began; None: nothing was ever recorded."""
    successes: Sequence[Execution] = ()
    """The last that completed, the newest start first, with their finish; only read for rules with
    a duration factor."""
    finished: Mapping[Status, int] = MappingProxyType({})
    """How many of the window have finished, by status; only read for rules with a success rate."""
    unusable: str = ""
    """Why the log cannot answer for this rule; empty: it can."""


class VerdictKind(StrEnum):
    OK = "ok"
    STATUS_MISMATCH = "status_mismatch"
    NO_EXECUTION = "no_execution"
    OVERRUNNING = "overrunning"
    SLOW = "slow"
    """As expected, but it takes longer than is usual for its task."""
    LOW_SUCCESS_RATE = "low_success_rate"
    """The latest is as expected, but too few of the window are."""
    UNKNOWN = "unknown"
    IN_PROGRESS = "in_progress"
    """A waiting rule has nothing to judge yet; counts as neither ok nor failing."""


FAILING = frozenset(
    {
        VerdictKind.STATUS_MISMATCH,
        VerdictKind.NO_EXECUTION,
        VerdictKind.OVERRUNNING,
        VerdictKind.SLOW,
        VerdictKind.LOW_SUCCESS_RATE,
    }
)
MEASURED = frozenset({VerdictKind.SLOW, VerdictKind.LOW_SUCCESS_RATE})
"""Failures that rest on more than the status of one execution."""


class Measured(Protocol):
    """Something that was measured; it is put into words only where somebody reads them."""

    def in_words(self) -> Text: ...


_NOTHING = Text("")


class Verdict(NamedTuple):
    """What one check says of one rule, and on what grounds."""

    kind: VerdictKind
    current_status: str
    """Documented spelling, or "No execution found"."""
    reason: str = ""
    """One line on why, for people."""
    measured: Sequence[Measured] = ()
    """What was measured of durations and successes; of a failing rule, what failed."""
    execution: Execution | None = None
    """The execution that was judged."""
    still_running: Execution | None = None
    """An execution from before the window that still runs."""
    last_known: Execution | None = None
    """The last execution before the window, when the window is empty."""
    waiting: Waiting = Waiting()
    young_log: bool = False
    """Unknown only because recording has not lasted one window yet."""
    also_measured: Sequence[Measured] = ()
    """What the verdict does not rest on, for who writes the rule."""

    @property
    def is_failing(self) -> bool:
        return self.kind in FAILING

    @property
    def measured_in_words(self) -> Text:
        """What was measured, for people; empty: nothing."""
        return (
            joined([one.in_words() for one in self.measured], "; ") if self.measured else _NOTHING
        )

    @property
    def all_measured_in_words(self) -> Text:
        """What was measured, whether the verdict rests on it or not; empty: nothing."""
        return joined([one.in_words() for one in (*self.measured, *self.also_measured)], "; ")
