"""The obvious way to check rules: ask the database once for each. The baseline of the benchmark."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.apps import apps
from django.db import transaction

from monitoring.models import AlertEvent, BackgroundTask, MonitorRule, Notification, RuleState
from monitoring.rule_rows import key_of


def latest_of(rule: MonitorRule, now: datetime) -> BackgroundTask | None:
    """Return the latest execution in the window, of the rule's context type if it has one."""
    window_start = now - timedelta(hours=rule.lookback_hours)
    rows = BackgroundTask.objects.filter(task_name=rule.task_name, started_at__gte=window_start)
    if rule.context_model:
        contexts = apps.get_model(rule.context_model).objects.filter(
            ingestor_type=rule.context_type,
            pk__in=[int(text) for text in rows.values_list("context_id", flat=True) if text],
        )
        rows = rows.filter(context_id__in=[str(context.pk) for context in contexts])
    return rows.order_by("-started_at").first()


def failing_rules(now: datetime) -> list[str]:
    """Return the names of the rules whose latest execution is missing or not as expected."""
    failing = []
    for rule in MonitorRule.objects.filter(enabled=True):
        latest = latest_of(rule, now)
        if latest is None or latest.status not in rule.expected_statuses:
            failing.append(rule.name)
    return failing


def check(now: datetime) -> int:
    """Check every rule and write what a check has to: states, events, messages, resolutions.

    Only what has changed is written. Returns how many rules fail.
    """
    failing = 0
    for rule in MonitorRule.objects.filter(enabled=True):
        latest = latest_of(rule, now)
        is_fine = latest is not None and latest.status in rule.expected_statuses
        state, _ = RuleState.objects.get_or_create(
            key=key_of(rule), defaults={"task_name": rule.task_name}
        )
        event = AlertEvent.objects.filter(open_key=state.key).first()
        if not is_fine:
            failing += 1
            _note_failure(rule, latest, state, event, now)
        elif state.verdict != "ok":
            state.verdict, state.failing_checks, state.last_checked_at = "ok", 0, now
            state.save()
            if event is not None:
                event.open_key, event.resolved_at, event.resolution = None, now, "recovered"
                event.save()
    return failing


@transaction.atomic
def _note_failure(
    rule: MonitorRule,
    latest: BackgroundTask | None,
    state: RuleState,
    event: AlertEvent | None,
    now: datetime,
) -> None:
    verdict = "no_execution" if latest is None else "status_mismatch"
    status = "No execution found" if latest is None else latest.status
    state.verdict, state.last_checked_at = verdict, now
    state.failing_checks += 1
    state.save()
    if event is not None:
        event.failing_checks, event.last_checked_at = state.failing_checks, now
        event.save()
        return
    if state.failing_checks < rule.alert_after:
        return
    event = AlertEvent.objects.create(
        rule=rule,
        rule_name=rule.name,
        key=state.key,
        open_key=state.key,
        task_name=rule.task_name,
        verdict=verdict,
        current_status=status,
        expected_statuses=rule.expected_statuses,
        lookback_hours=rule.lookback_hours,
        task_id=latest.task_id if latest else "",
        started_at=latest.started_at if latest else None,
        opened_at=now,
        last_checked_at=now,
        last_message_at=now,
    )
    subject = f"[ALERT] {rule.task_name} Status Check Failed"
    for recipient in rule.notify_to:
        Notification.objects.create(
            alert_event=event,
            kind="alert",
            recipient=recipient,
            subject=subject,
            facts={"subject": subject, "task_name": rule.task_name, "current_status": status},
            created_at=now,
            next_attempt_at=now,
        )
