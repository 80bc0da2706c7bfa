"""The wording of alerts: subjects, and the facts that the mail template lays out.

Facts are plain JSON values, because they wait in the outbox until the mail is rendered.
Source of the documented variables and subjects: documented behaviour 10.8 and 10.9.2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from monitoring.core.incidents import MessageKind
from monitoring.core.statuses import title_case
from monitoring.core.texts import one_line, storable
from monitoring.core.values import Execution, Rule, Verdict, VerdictKind

MAX_SUBJECT_LENGTH = 255
MAX_ERROR_LENGTH = 2000

TIME_FACTS = (
    "started_at",
    "finished_at",
    "check_time",
    "waiting_since",
    "still_running_since",
    "last_known_started_at",
    "last_known_finished_at",
    "opened_at",
    "held_since",
    "not_checked_from",
)
"""Facts that are points in time: ISO 8601 in the outbox, aware datetimes in the template."""

_NOT_KNOWN = "not known"

_SUBJECTS = {
    VerdictKind.STATUS_MISMATCH: "[ALERT] {name} Status Check Failed",
    VerdictKind.OVERRUNNING: "[ALERT] {name} Status Check Failed",
    VerdictKind.NO_EXECUTION: "[ALERT] {name} Has Not Executed",
    VerdictKind.UNKNOWN: "[ALERT] {name} Cannot Be Checked",
}


def subject(task_name: str, verdict: VerdictKind, kind: MessageKind) -> str:
    """Return the documented subject, on one line and at most 255 characters."""
    pattern = "[RESOLVED] {name}" if kind is MessageKind.RECOVERY else _SUBJECTS[verdict]
    room = MAX_SUBJECT_LENGTH - len(pattern.format(name=""))
    return pattern.format(name=storable(one_line(task_name), room))


def lookback_text(hours: float) -> str:
    """Return the window in the documented words: `Last 1.5 hour(s)`."""
    return f"Last {number(hours)} hour(s)"


def number(value: float) -> str:
    """Return a number without a needless `.0` or exponent: `25`, `1.5`, `0.02`."""
    text = f"{value:.6f}".rstrip("0").rstrip(".")
    return text if text != "0" else f"{value:g}"


def facts(
    rule: Rule,
    verdict: Verdict,
    kind: MessageKind,
    now: datetime,
    *,
    opened_at: datetime | None = None,
    failing_checks: int = 0,
    held_behind: str = "",
    not_checked_from: datetime | None = None,
    dependent_states: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Return what one message says, as JSON values: the nine documented variables and more.

    now: when the check was performed. opened_at: start of the incident. held_behind: the task
    whose failure held this message back since then. not_checked_from: checks were missing from
    here until now. dependent_states: task_name, state and since of each dependent task.
    """
    execution = verdict.execution
    known = verdict.last_known
    return {
        "task_name": rule.task_name,
        "current_status": verdict.current_status,
        "expected_statuses": title_case(rule.expected_statuses),
        "lookback_hours": float(rule.lookback_hours),
        "started_at": iso(execution.started_at if execution else None),
        "finished_at": iso(execution.finished_at if execution else None),
        "check_time": iso(now),
        "has_dependent_tasks": bool(rule.dependent_tasks),
        "dependent_tasks": list(rule.dependent_tasks),
        "kind": kind.value,
        "verdict": verdict.kind.value,
        "subject": subject(rule.task_name, verdict.kind, kind),
        "headline": _headline(rule, verdict, kind),
        "explanation": _explanation(rule, verdict, kind),
        "lookback_text": lookback_text(rule.lookback_hours),
        "rule_name": rule.name,
        "description": rule.description,
        "context_model": rule.context.model if rule.context else "",
        "context_type": rule.context.type if rule.context else "",
        "waiting_count": verdict.waiting.count,
        "waiting_since": iso(verdict.waiting.since),
        "still_running_since": iso(
            verdict.still_running.started_at if verdict.still_running else None
        ),
        "last_known_status": known.status.value.title() if known else "",
        "last_known_started_at": iso(known.started_at if known else None),
        "last_known_finished_at": iso(known.finished_at if known else None),
        "error": _error(execution),
        "task_id": execution.task_id if execution else "",
        "worker": execution.worker if execution else "",
        "max_runtime_minutes": rule.max_runtime_minutes,
        "opened_at": iso(opened_at),
        "failing_checks": failing_checks,
        "held_behind": held_behind,
        "held_since": iso(opened_at) if held_behind else None,
        "not_checked_from": iso(not_checked_from),
        "dependent_states": [dict(state) for state in dependent_states],
    }


def _headline(rule: Rule, verdict: Verdict, kind: MessageKind) -> str:
    name = storable(one_line(rule.task_name), MAX_SUBJECT_LENGTH)
    if kind is MessageKind.RECOVERY:
        return f"{name} is fine again"
    return {
        VerdictKind.NO_EXECUTION: f"{name} has not executed",
        VerdictKind.OVERRUNNING: f"{name} runs longer than it may",
        VerdictKind.UNKNOWN: f"{name} cannot be checked",
    }.get(verdict.kind, f"{name} is {verdict.current_status}")


def _explanation(rule: Rule, verdict: Verdict, kind: MessageKind) -> str:
    window = f"the last {number(rule.lookback_hours)} hour(s)"
    if kind is MessageKind.RECOVERY:
        return f"The latest check found it {verdict.current_status}, as expected."
    if verdict.kind is VerdictKind.NO_EXECUTION:
        return f"No execution started within {window}."
    if verdict.kind is VerdictKind.OVERRUNNING and rule.max_runtime_minutes is not None:
        limit = number(rule.max_runtime_minutes)
        return f"It has been running for longer than the {limit} minute(s) it is given."
    if verdict.kind is VerdictKind.UNKNOWN:
        return f"The check could not judge this rule: {verdict.reason}."
    expected = " or ".join(status.value for status in rule.expected_statuses)
    return f"Its latest execution, started within {window}, should be {expected}."


def _error(execution: Execution | None) -> str:
    return storable(execution.error.strip(), MAX_ERROR_LENGTH) if execution else ""


def iso(at: datetime | None) -> str | None:
    """Return a point in time as it waits in the outbox."""
    return at.isoformat() if at else None


def plain_text(variables: Mapping[str, Any]) -> str:
    """Return a message as plain text without a template, for when the template fails.

    Never raises: facts may have waited in the outbox since an older release wrote them.
    """
    said = {name: value for name, value in variables.items() if value not in (None, "")}
    lines = [
        str(said.get("headline", "A task needs attention")),
        str(said.get("explanation", "")),
        "",
        f"Task: {said.get('task_name', _NOT_KNOWN)}",
        f"Current status: {said.get('current_status', _NOT_KNOWN)}",
        f"Expected: {said.get('expected_statuses', _NOT_KNOWN)}",
        f"Lookback window: {said.get('lookback_text', _NOT_KNOWN)}",
        f"Started: {_shown(said.get('started_at'))}",
        f"Finished: {_shown(said.get('finished_at'))}",
        f"Checked: {_shown(said.get('check_time'))}",
    ]
    dependents = said.get("dependent_tasks")
    if isinstance(dependents, list | tuple) and dependents:
        lines.append(f"Tasks that depend on it: {', '.join(map(str, dependents))}")
    if "error" in said:
        lines.append(f"Error: {said['error']}")
    if "event_url" in said:
        lines.append(f"More: {said['event_url']}")
    return "\n".join(lines) + "\n"


def _shown(at: object) -> str:
    if isinstance(at, datetime):
        return at.strftime("%Y-%m-%d %H:%M:%S UTC")
    return str(at) if at else _NOT_KNOWN
