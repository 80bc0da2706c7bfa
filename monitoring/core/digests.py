"""Many messages of one check to one recipient become one mail."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from monitoring.core.incidents import MessageKind
from monitoring.core.messages import iso
from monitoring.core.texts import one_line, storable
from monitoring.core.values import VerdictKind
from monitoring.core.wording import ENGLISH, Text, Words, ngettext, said
from monitoring.core.wording import Text as _

MOST_TASKS = 100
"""Tasks that one digest lists."""


MAX_CAUSE = 160
"""Characters of a cause that it shows: the event has it whole."""


class Topic(StrEnum):
    """What a digest is about; messages about different things are not mixed."""

    FAILED = "failed"
    UNKNOWN = "unknown"
    RECOVERED = "recovered"


_SUBJECTS = {
    Topic.FAILED: _("[ALERT] {headline}"),
    Topic.UNKNOWN: _("[ALERT] {headline}"),
    Topic.RECOVERED: _("[RESOLVED] {headline}"),
}
_EXPLANATIONS = {
    Topic.FAILED: _("The same check found all of them, so they share one message."),
    Topic.UNKNOWN: _("As long as this lasts, failures of these tasks go unnoticed."),
    Topic.RECOVERED: _("The latest check found them as expected."),
}
_VERDICTS = {Topic.FAILED: "digest", Topic.UNKNOWN: "unknown", Topic.RECOVERED: "ok"}
_PER_TASK = ("task_name", "rule_name", "current_status", "expected_statuses", "explanation")


def topic_of(kind: str, verdict: str) -> Topic:
    """Return which digest a message would go into, by its kind and the verdict it tells."""
    if kind == MessageKind.RECOVERY.value:
        return Topic.RECOVERED
    return Topic.UNKNOWN if verdict == VerdictKind.UNKNOWN.value else Topic.FAILED


def _headline(topic: Topic, count: int) -> Text:
    if topic is Topic.RECOVERED:
        return ngettext("{count} task is fine again", "{count} tasks are fine again", count)
    if topic is Topic.UNKNOWN:
        return ngettext("{count} task cannot be checked", "{count} tasks cannot be checked", count)
    return ngettext(
        "{count} task failed its status check", "{count} tasks failed their status check", count
    )


def digest_facts(
    topic: Topic,
    messages: Iterable[tuple[int | None, Mapping[str, Any]]],
    now: datetime,
    words: Words = ENGLISH,
) -> dict[str, Any]:
    """Return what a digest says, as JSON values.

    messages: alert event and facts of each message. now: of the check, aware, UTC. words: of the
    language of its texts. Tasks that most others depend on come first.
    """
    messages = list(messages)
    tasks = sorted((_task(event_id, facts) for event_id, facts in messages), key=_importance)
    gaps = [gap for _, facts in messages if (gap := facts.get("not_checked_from"))]
    headline = _headline(topic, len(tasks))
    kind = MessageKind.RECOVERY if topic is Topic.RECOVERED else MessageKind.ALERT
    return {
        "kind": kind.value,
        "verdict": _VERDICTS[topic],
        "subject": said(_(_SUBJECTS[topic], headline=headline), words),
        "headline": said(headline, words),
        "explanation": said(_EXPLANATIONS[topic], words),
        "check_time": iso(now),
        "not_checked_from": min(gaps, default=None),
        "count": len(tasks),
        "more": max(len(tasks) - MOST_TASKS, 0),
        "tasks": tasks[:MOST_TASKS],
    }


def _task(event_id: int | None, facts: Mapping[str, Any]) -> dict[str, Any]:
    dependents: Sequence[str] = facts.get("dependent_tasks") or ()
    return {
        **{name: str(facts.get(name) or "") for name in _PER_TASK},
        "cause": storable(one_line(str(facts.get("cause") or "")), MAX_CAUSE),
        "opened_at": facts.get("opened_at"),
        "dependents": len(set(dependents)),
        "event_id": event_id,
    }


def _importance(task: Mapping[str, Any]) -> tuple[int, str, str]:
    return -task["dependents"], str(task["opened_at"] or ""), task["task_name"]
