"""Rows for the pages: as ordinary, as hostile and as bare as they come."""

from __future__ import annotations

from itertools import count
from typing import Any

from django.db.models import JSONField, Value
from django.urls import reverse

from monitoring.models import (
    AlertEvent,
    BackgroundTask,
    Channel,
    MonitorRule,
    MonitorRun,
    Notification,
    RuleState,
    WorkerHeartbeat,
)
from monitoring.rule_rows import key_of
from tests.factories import NOW, ago, rule

HOSTILE = '<script>alert("x")</script>&amp;\'"{{ 7|add:7 }}{% now %}'
"""What must come out of every page as the text that it is."""

MODELS = (
    MonitorRule,
    AlertEvent,
    Notification,
    BackgroundTask,
    MonitorRun,
    WorkerHeartbeat,
    Channel,
)
HISTORY = MODELS[1:-1]

_ids = count(1)


def url(model: type[Any], page: str, *args: object) -> str:
    return reverse(f"admin:monitoring_{model._meta.model_name}_{page}", args=args)


def event(task_name: str, **columns: Any) -> AlertEvent:
    """Store an open alert event, or a resolved one if `resolved_at` is given."""
    key = f"key-{next(_ids)}"
    values: dict[str, Any] = {
        "key": key,
        "open_key": None if columns.get("resolved_at") else key,
        "verdict": "status_mismatch",
        "current_status": "Stopped",
        "expected_statuses": ["Completed"],
        "lookback_hours": 1,
        "opened_at": ago(hours=2),
        "last_checked_at": NOW,
    }
    return AlertEvent.objects.create(task_name=task_name, **(values | columns))


def message(alert_event: AlertEvent | None, **columns: Any) -> Notification:
    values: dict[str, Any] = {
        "kind": "alert",
        "recipient": "ops@example.com",
        "subject": "[ALERT] sync Status Check Failed",
        "state": "sent",
        "sent_at": NOW,
    }
    return Notification.objects.create(alert_event=alert_event, **(values | columns))


def run(**columns: Any) -> MonitorRun:
    values: dict[str, Any] = {
        "rule_set": "all rules",
        "state": "complete",
        "started_at": ago(minutes=1),
        "finished_at": NOW,
    }
    return MonitorRun.objects.create(**(values | columns))


def worker(node: str, **columns: Any) -> WorkerHeartbeat:
    values: dict[str, Any] = {"booted_at": ago(hours=9), "seen_at": NOW}
    return WorkerHeartbeat.objects.create(node=node, **(values | columns))


def channel(name: str, url: str = "", **columns: Any) -> Channel:
    """Store a channel; without an address, which takes a while to encrypt and is never shown."""
    made = Channel(name=name, **columns)
    if url:
        made.set_url(url)
    made.save()
    return made


def state_of(row: MonitorRule, verdict: str, **columns: Any) -> RuleState:
    values = {"rule": row, "task_name": row.task_name, "last_checked_at": NOW} | columns
    return RuleState.objects.create(key=key_of(row), verdict=verdict, **values)


def hostile_rows() -> list[Any]:
    """Store one row of each model in which every text is HTML, and return them."""
    long = HOSTILE + "x" * 180
    watched = rule(
        long,
        name=long,
        description=HOSTILE * 50,
        dependent_tasks=[HOSTILE] * 5,
        channels=[HOSTILE],
        context_model="gap.IngestorSession",
        context_type=long,
    )
    state_of(watched, "status_mismatch", failing_checks=3)
    opened = event(
        long,
        rule=watched,
        rule_name=long,
        open_key=key_of(watched),
        current_status="Stopped",
        dependent_tasks=[HOSTILE],
        context_model=HOSTILE,
        context_type=HOSTILE,
        task_id=long,
        cause=HOSTILE,
    )
    mail = message(
        opened,
        recipient=f'"{HOSTILE}"@example.com',
        subject=long,
        text_body=HOSTILE,
        html_body=f"<p>{HOSTILE}</p>",
        error=HOSTILE,
        message_id=HOSTILE,
        state="failed",
    )
    ran = BackgroundTask.objects.create(
        task_id=long,
        task_name=long,
        status="Stopped",
        started_at=NOW,
        finished_at=ago(minutes=5),  # before it started: two clocks
        parameters=HOSTILE,
        context_id=HOSTILE,
        errors=HOSTILE * 100,
        stack_trace_errors=HOSTILE * 500,
        worker=HOSTILE,
        queue=HOSTILE,
        periodic_task_name=HOSTILE,
    )
    checked = run(rule_set=HOSTILE, error=HOSTILE, state="failed")
    return [
        watched,
        opened,
        mail,
        ran,
        checked,
        worker(HOSTILE, queues=[HOSTILE]),
        channel(HOSTILE),
    ]


def bare_rows() -> list[Any]:
    """Store one row of each model with nothing in it that may be missing, and return them."""
    nothing = Value(None, JSONField())  # JSON's null, which the columns admit
    watched = rule("bare", notify_to=[], dependent_tasks=[])
    MonitorRule.objects.filter(pk=watched.pk).update(expected_statuses=nothing)
    resolved = event("bare", resolved_at=NOW)
    AlertEvent.objects.update(expected_statuses=nothing, dependent_tasks=nothing)
    ran = BackgroundTask.objects.create(task_id="bare", task_name="bare", status="Running")
    pending = message(None, state="pending", sent_at=None, subject="")
    checked = run(state="running", finished_at=None)
    return [watched, resolved, pending, ran, checked, worker(""), channel("bare")]
