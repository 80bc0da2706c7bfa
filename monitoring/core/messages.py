"""The wording of alerts: subjects, and the facts that the mail template lays out.

Facts are plain JSON values, because they wait in the outbox until the mail is rendered.
Source of the documented variables and subjects: documented behaviour 10.8 and 10.9.2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from monitoring.core.incidents import MessageKind
from monitoring.core.statuses import either, title_case
from monitoring.core.texts import one_line, storable
from monitoring.core.values import Execution, Rule, Verdict, VerdictKind
from monitoring.core.wording import ENGLISH, Text, Words, said
from monitoring.core.wording import Text as _

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

_NOT_KNOWN = _("not known")

_RECOVERED = _("[RESOLVED] {task_name}")
_SUBJECTS = {
    VerdictKind.STATUS_MISMATCH: _("[ALERT] {task_name} Status Check Failed"),
    VerdictKind.OVERRUNNING: _("[ALERT] {task_name} Status Check Failed"),
    VerdictKind.SLOW: _("[ALERT] {task_name} Status Check Failed"),
    VerdictKind.LOW_SUCCESS_RATE: _("[ALERT] {task_name} Status Check Failed"),
    VerdictKind.NO_EXECUTION: _("[ALERT] {task_name} Has Not Executed"),
    VerdictKind.UNKNOWN: _("[ALERT] {task_name} Cannot Be Checked"),
}

_MEASURED = {
    VerdictKind.SLOW: _("It takes longer than the rule allows: {measured}."),
    VerdictKind.LOW_SUCCESS_RATE: _(
        "Fewer of its executions end as expected than the rule wants: {measured}."
    ),
}


def subject(task_name: str, verdict: VerdictKind, kind: MessageKind, words: Words = ENGLISH) -> str:
    """Return the subject, on one line and at most 255 characters; in English the documented one."""
    pattern = _RECOVERED if kind is MessageKind.RECOVERY else _SUBJECTS[verdict]
    room = MAX_SUBJECT_LENGTH - len(said(_(pattern, task_name=""), words))
    name = storable(one_line(task_name), max(room, 1))
    return said(_(pattern, task_name=name), words)


# Most rules have one of a few windows.
@lru_cache(maxsize=256)
def lookback_text(hours: float) -> Text:
    """Return the window in the documented words: `Last 1.5 hour(s)`."""
    return _("Last {hours} hour(s)", hours=number(hours))


@lru_cache(maxsize=256)
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
    cause: str = "",
    is_none_due: bool = False,
    held_behind: str = "",
    not_checked_from: datetime | None = None,
    dependent_states: Sequence[Mapping[str, Any]] = (),
    words: Words = ENGLISH,
) -> dict[str, Any]:
    """Return what one message says, as JSON values: the nine documented variables and more.

    now: when the check was performed. opened_at: start of the incident. cause: why it probably
    fails. is_none_due: that says that no run was due. held_behind: the task whose failure held this
    message back since then. not_checked_from: checks were missing from here until now.
    dependent_states: task_name, state and since of each dependent task. words: of the language that
    the texts among them are in.
    """
    execution = verdict.execution
    known = verdict.last_known
    return {
        "task_name": rule.task_name,
        "current_status": words.gettext(verdict.current_status),
        "expected_statuses": said(title_case(rule.expected_statuses), words),
        "lookback_hours": float(rule.lookback_hours),
        "started_at": iso(execution.started_at if execution else None),
        "finished_at": iso(execution.finished_at if execution else None),
        "check_time": iso(now),
        "has_dependent_tasks": bool(rule.dependent_tasks),
        "dependent_tasks": list(rule.dependent_tasks),
        "kind": kind.value,
        "verdict": verdict.kind.value,
        "subject": subject(rule.task_name, verdict.kind, kind, words),
        "headline": said(_headline(rule, verdict, kind), words),
        "explanation": said(_explanation(rule, verdict, kind), words),
        "lookback_text": said(lookback_text(rule.lookback_hours), words),
        "rule_name": rule.name,
        "description": rule.description,
        "context_model": rule.context.model if rule.context else "",
        "context_type": rule.context.type if rule.context else "",
        "waiting_count": verdict.waiting.count,
        "waiting_since": iso(verdict.waiting.since),
        "still_running_since": iso(
            verdict.still_running.started_at if verdict.still_running else None
        ),
        "last_known_status": words.gettext(known.status.value.title()) if known else "",
        "last_known_started_at": iso(known.started_at if known else None),
        "last_known_finished_at": iso(known.finished_at if known else None),
        "error": _error(execution),
        "task_id": execution.task_id if execution else "",
        "worker": execution.worker if execution else "",
        "max_runtime_minutes": rule.max_runtime_minutes,
        "max_duration_factor": rule.max_duration_factor,
        "min_success_rate": rule.min_success_rate,
        "measured": said(verdict.measured_in_words, words),
        "opened_at": iso(opened_at),
        "failing_checks": failing_checks,
        "cause": cause,
        "is_none_due": is_none_due,
        "held_behind": held_behind,
        "held_since": iso(opened_at) if held_behind else None,
        "not_checked_from": iso(not_checked_from),
        "dependent_states": [dict(state) for state in dependent_states],
    }


def _headline(rule: Rule, verdict: Verdict, kind: MessageKind) -> Text:
    name = storable(one_line(rule.task_name), MAX_SUBJECT_LENGTH)
    if kind is MessageKind.RECOVERY:
        return _("{task_name} is fine again", task_name=name)
    if verdict.kind is VerdictKind.NO_EXECUTION:
        return _("{task_name} has not executed", task_name=name)
    if verdict.kind is VerdictKind.OVERRUNNING:
        return _("{task_name} runs longer than it may", task_name=name)
    if verdict.kind is VerdictKind.SLOW:
        return _("{task_name} is slower than usual", task_name=name)
    if verdict.kind is VerdictKind.LOW_SUCCESS_RATE:
        return _("{task_name} fails too often", task_name=name)
    if verdict.kind is VerdictKind.UNKNOWN:
        return _("{task_name} cannot be checked", task_name=name)
    return _("{task_name} is {status}", task_name=name, status=_(verdict.current_status))


def _explanation(rule: Rule, verdict: Verdict, kind: MessageKind) -> Text:
    hours = number(rule.lookback_hours)
    if kind is MessageKind.RECOVERY:
        status = _(verdict.current_status)
        return _("The latest check found it {status}, as expected.", status=status)
    if verdict.kind is VerdictKind.NO_EXECUTION:
        return _("No execution started within the last {hours} hour(s).", hours=hours)
    if verdict.kind is VerdictKind.OVERRUNNING and rule.max_runtime_minutes is not None:
        return _(
            "It has been running for longer than the {minutes} minute(s) it is given.",
            minutes=number(rule.max_runtime_minutes),
        )
    if verdict.kind is VerdictKind.UNKNOWN:
        return _("The check could not judge this rule: {reason}.", reason=verdict.reason)
    if verdict.kind in _MEASURED:
        return _(_MEASURED[verdict.kind], measured=verdict.measured_in_words)
    return _(
        "Its latest execution, started within the last {hours} hour(s), should be {expected}.",
        hours=hours,
        expected=either(rule.expected_statuses),
    )


def _error(execution: Execution | None) -> str:
    return storable(execution.error.strip(), MAX_ERROR_LENGTH) if execution else ""


def iso(at: datetime | None) -> str | None:
    """Return a point in time as it waits in the outbox."""
    return at.isoformat() if at else None


def plain_text(variables: Mapping[str, Any], words: Words = ENGLISH) -> str:
    """Return a message as plain text without a template, for when the template fails.

    Never raises: facts may have waited in the outbox since an older release wrote them.
    """
    known = {name: value for name, value in variables.items() if value not in (None, "")}
    lines = [
        str(known.get("headline", "")) or _("A task needs attention"),
        str(known.get("explanation", "")),
        *([_("Probable cause: {cause}", cause=known["cause"])] if "cause" in known else []),
        "",
        _("Task: {task_name}", task_name=known.get("task_name", _NOT_KNOWN)),
        _("Current status: {status}", status=known.get("current_status", _NOT_KNOWN)),
        _("Expected: {statuses}", statuses=known.get("expected_statuses", _NOT_KNOWN)),
        _("Lookback window: {window}", window=known.get("lookback_text", _NOT_KNOWN)),
        _("Started: {time}", time=_shown(known.get("started_at"))),
        _("Finished: {time}", time=_shown(known.get("finished_at"))),
        _("Checked: {time}", time=_shown(known.get("check_time"))),
    ]
    dependents = known.get("dependent_tasks")
    if isinstance(dependents, list | tuple) and dependents:
        names = ", ".join(map(str, dependents))
        lines.append(_("Tasks that depend on it: {names}", names=names))
    if "error" in known:
        lines.append(_("Error: {error}", error=known["error"]))
    if "event_url" in known:
        lines.append(_("More: {address}", address=known["event_url"]))
    return "\n".join(said(line, words) for line in lines) + "\n"


def _shown(at: object) -> str:
    if isinstance(at, datetime):
        return at.strftime("%Y-%m-%d %H:%M:%S UTC")
    return str(at) if at else _NOT_KNOWN
