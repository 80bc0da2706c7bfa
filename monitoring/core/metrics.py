"""What the monitor tells Prometheus of itself: facts in, families of samples out.

Every label has a few fixed values: what is watched is counted, and never named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from monitoring.core.health import PROBLEMS, problems
from monitoring.core.health import Facts as Health
from monitoring.core.statuses import Status
from monitoring.core.values import FAILING, VerdictKind

PREFIX = "task_monitoring_"
RECENT = timedelta(hours=1)
"""How far back what happens all the time is counted."""
MOST_EXECUTIONS = 10_000
"""Of these the newest are looked at, however many an hour brings."""


class RuleState(StrEnum):
    """Where something that is watched stands; each is in one of these."""

    OK = "ok"
    FAILING = "failing"
    UNKNOWN = "unknown"
    IN_PROGRESS = "in_progress"
    NEVER_CHECKED = "never_checked"
    DISABLED = "disabled"


class WorkerState(StrEnum):
    ALIVE = "alive"
    SILENT = "silent"
    """It said that it lives and stopped to, without shutting down."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What can be seen of the monitor, as numbers; counts are by the stored word."""

    health: Health
    enabled_rules: int = 0
    disabled_rules: int = 0
    snoozed_rules: int = 0
    rule_verdicts: Mapping[str, int] = field(default_factory=dict)
    """Verdicts of the last check on enabled rules; "" was never judged."""
    entries: int = 0
    """Entries of scheduled JSON arguments."""
    entry_verdicts: Mapping[str, int] = field(default_factory=dict)
    open_events: Mapping[str, int] = field(default_factory=dict)
    """Open alert events by verdict."""
    acknowledged_events: int = 0
    last_check_took: timedelta | None = None
    """From start to end of the newest complete check."""
    checks: Mapping[str, int] = field(default_factory=dict)
    """Checks that began within `RECENT`, by state."""
    messages: Mapping[str, int] = field(default_factory=dict)
    """Messages whose last attempt was due within `RECENT`, by state."""
    executions: Mapping[Status, int] | None = None
    """Of those that anything happened to within `RECENT`; None: this log cannot tell cheaply."""
    oldest_execution: datetime | None = None
    workers: Mapping[WorkerState, int] = field(default_factory=dict)


class Sample(NamedTuple):
    value: float
    labels: Mapping[str, str] = {}


class Family(NamedTuple):
    """All samples of one gauge."""

    name: str
    help: str
    samples: tuple[Sample, ...]


def families(facts: Facts) -> Iterator[Family]:
    """Yield every gauge; a time that is not known is 0, long ago.

    There are no counters: each number is read from the database, where old rows are deleted.
    """
    yield from _of_rules(facts)
    yield from _of_events(facts)
    yield from _of_checks(facts)
    yield from _of_the_outbox(facts)
    yield from _of_executions(facts)
    yield _labelled(
        "workers",
        "Celery workers that send heartbeats and have not shut down, by whether they still do.",
        "state",
        {state.value: facts.workers.get(state, 0) for state in WorkerState},
    )
    found = {problem.name for problem in problems(facts.health)}
    yield _labelled(
        "problem",
        "1 for what the health page complains of, else 0.",
        "problem",
        {name: int(name in found) for name in PROBLEMS},
    )


def _of_rules(facts: Facts) -> Iterator[Family]:
    rules = _by_state(facts.rule_verdicts, facts.enabled_rules)
    rules[RuleState.DISABLED.value] = facts.disabled_rules
    yield _labelled("rules", "Stored rules by what the last check found.", "state", rules)
    yield _plain("rules_snoozed", "Enabled rules that are snoozed.", facts.snoozed_rules)
    yield _labelled(
        "argument_entries",
        "Entries of the JSON arguments of scheduled checks, by what the last check found.",
        "state",
        _by_state(facts.entry_verdicts, facts.entries),
    )


def _by_state(verdicts: Mapping[str, int], watched: int) -> dict[str, int]:
    """Return how many are in each state but disabled; what nobody has judged is never checked."""
    states: dict[RuleState, int] = dict.fromkeys(RuleState, 0)
    del states[RuleState.DISABLED]
    for verdict, count in verdicts.items():
        if verdict in FAILING:
            states[RuleState.FAILING] += count
        elif verdict:
            states[RuleState(verdict)] += count
    states[RuleState.NEVER_CHECKED] = max(watched - sum(states.values()), 0)
    return {state.value: count for state, count in states.items()}


def _of_events(facts: Facts) -> Iterator[Family]:
    kinds = (kind.value for kind in VerdictKind if kind in FAILING)
    yield _labelled(
        "open_alert_events",
        "Alert events that are open, by the latest failing verdict.",
        "verdict",
        {kind: facts.open_events.get(kind, 0) for kind in kinds},
    )
    yield _plain(
        "open_alert_events_acknowledged",
        "Open alert events that somebody takes care of.",
        facts.acknowledged_events,
    )


def _of_checks(facts: Facts) -> Iterator[Family]:
    yield _plain(
        "last_complete_check_timestamp_seconds",
        "Unix time at which the newest complete check started, 0 if there never was one.",
        _unix(facts.health.last_check),
    )
    took = facts.last_check_took
    yield _plain(
        "last_complete_check_duration_seconds",
        "How long the newest complete check took, without the delivery of its messages.",
        took.total_seconds() if took is not None else 0,
    )
    yield _labelled(
        "recent_checks",
        "Checks that started within the last hour, by state.",
        "state",
        {state: facts.checks.get(state, 0) for state in ("running", "complete", "failed")},
    )
    yield _plain(
        "last_beat_timestamp_seconds",
        "Unix time at which Celery beat sent anything last, to three minutes, 0 if it never did.",
        _unix(facts.health.last_beat),
    )


def _of_the_outbox(facts: Facts) -> Iterator[Family]:
    health = facts.health
    age = health.now - health.oldest_owed if health.oldest_owed else timedelta(0)
    yield _plain("outbox_messages", "Messages that are still to be delivered.", health.owed)
    yield _plain(
        "outbox_oldest_message_age_seconds",
        "For how long the oldest of them has been owed, 0 if none is.",
        max(age.total_seconds(), 0),
    )
    yield _labelled(
        "recent_messages",
        "Messages whose last attempt was due within the last hour, by what became of them.",
        "state",
        {state: facts.messages.get(state, 0) for state in ("sent", "failed", "suppressed")},
    )


def _of_executions(facts: Facts) -> Iterator[Family]:
    if facts.executions is not None:
        yield _labelled(
            "recent_executions",
            "Executions by status, of those that anything happened to within the last hour; only "
            f"the newest {MOST_EXECUTIONS} of the task log are looked at.",
            "status",
            {status.value.lower(): facts.executions.get(status, 0) for status in Status},
        )
    if facts.oldest_execution is not None:
        yield _plain(
            "oldest_execution_timestamp_seconds",
            "Unix time of the oldest execution that is kept.",
            _unix(facts.oldest_execution),
        )
    if facts.health.last_recorded is not None:
        yield _plain(
            "last_recorded_timestamp_seconds",
            "Unix time at which the newest execution was last written to.",
            _unix(facts.health.last_recorded),
        )


def _plain(name: str, text: str, value: float) -> Family:
    return Family(PREFIX + name, text, (Sample(value),))


def _labelled(name: str, text: str, label: str, values: Mapping[str, int]) -> Family:
    samples = tuple(Sample(value, {label: word}) for word, value in values.items())
    return Family(PREFIX + name, text, samples)


def _unix(at: datetime | None) -> float:
    return at.timestamp() if at is not None else 0
