"""What hypothesis makes of the core's values, the sensible and the odd."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from monitoring.core.statuses import FINISHED, NOT_STARTED, Status
from monitoring.core.values import (
    DURATION_FACTORS,
    MAX_LOOKBACK_HOURS,
    SUCCESS_RATES,
    ContextFilter,
    Evidence,
    Execution,
    Rule,
    Verdict,
    VerdictKind,
    Waiting,
    WhileRunning,
)
from tests.core.building import NOW

statuses = st.sampled_from(Status)

texts = st.text(st.characters(), max_size=40)
"""Any code points, lone surrogates and control characters included."""

names = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=20).filter(
    lambda text: text.strip() != ""
)
"""Task names as a person may write them."""

some_names = st.sampled_from(["sync", "app.tasks.sync", "täglich\n日本", "<b>{}%s</b>"])

moments = st.one_of(
    st.timedeltas(timedelta(hours=-48), timedelta(minutes=5)),
    st.sampled_from([timedelta(hours=-1), timedelta(hours=-1, microseconds=-1), timedelta(0)]),
).map(lambda offset: NOW + offset)
"""Up to two days before `NOW`, the edge of a window of one hour often among them."""

lookbacks = st.one_of(
    st.just(1.0), st.floats(0, MAX_LOOKBACK_HOURS, exclude_min=True, allow_subnormal=True)
)


def executions(started: st.SearchStrategy[Any] = moments) -> st.SearchStrategy[Execution]:
    return st.builds(
        Execution,
        pk=st.integers(1, 1000),
        task_name=st.just("sync"),
        status=statuses,
        started_at=started,
        finished_at=st.none() | moments,
    )


waiting = st.builds(
    Waiting,
    count=st.integers(0, 5),
    since=st.none() | moments,
    newest=st.fixed_dictionaries({}, optional=dict.fromkeys(sorted(NOT_STARTED), moments)),
)

rules = st.builds(
    Rule,
    key=st.just("key"),
    task_name=some_names,
    expected_statuses=st.lists(statuses, min_size=1, max_size=3, unique=True).map(tuple),
    lookback_hours=lookbacks,
    name=st.just("") | some_names,
    rule_id=st.none() | st.just(1),
    dependent_tasks=st.sampled_from([(), ("export",), ("a", "b")]),
    context=st.sampled_from([None, ContextFilter(model="gap.Session", field="kind", type="Daily")]),
    alert_after=st.integers(1, 4),
    remind_hours=st.none() | st.just(0) | st.floats(0, 72),
    notify_on_recovery=st.booleans(),
    max_runtime_minutes=st.none() | st.floats(0, exclude_min=True, allow_infinity=False),
    max_duration_factor=st.none() | st.floats(*DURATION_FACTORS),
    min_success_rate=st.none() | st.floats(*SUCCESS_RATES),
    while_running=st.sampled_from(WhileRunning),
    snoozed_until=st.none() | moments,
    watched_since=st.none() | moments,
)

any_evidence = st.builds(
    Evidence,
    latest=st.none() | executions(),
    latest_finished=st.none() | executions(),
    latest_running=st.none() | executions(),
    waiting=waiting,
    log_since=st.none() | moments,
    successes=st.lists(executions(), max_size=3)
    | st.lists(executions(), min_size=1, max_size=1).map(lambda some: some * 30),
    finished=st.dictionaries(st.sampled_from(sorted(FINISHED)), st.integers(0, 20)),
    unusable=st.just("") | st.just("the log failed"),
)
"""Evidence whose parts need not agree with one another."""

verdicts = st.builds(
    Verdict,
    kind=st.sampled_from(VerdictKind),
    current_status=st.just("Stopped"),
    young_log=st.booleans(),
    measured=st.just(()),
    also_measured=st.just(()),
)


NOTHING_WAITS = Waiting()


def evidence_of(log: list[Execution], queue: Waiting = NOTHING_WAITS) -> Evidence:
    """Return what a task log says that holds exactly these executions."""

    def newest(some: list[Execution]) -> Execution | None:
        return max(some, key=lambda one: (one.started_at, one.pk), default=None)

    return Evidence(
        latest=newest(log),
        latest_finished=newest([one for one in log if one.status in FINISHED]),
        latest_running=newest([one for one in log if one.status is Status.RUNNING]),
        waiting=queue,
        log_since=NOW - timedelta(days=5000),
    )
