"""What is odd about rules that somebody writes, as far as they may know of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from django.http import HttpRequest
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from monitoring.admin.base import may_view, may_view_executions
from monitoring.admin.display import in_words
from monitoring.linting import Sight, lint_rows
from monitoring.models import AlertEvent, MonitorRule, Notification


class OddRule(NamedTuple):
    """One warning, in the language of the page."""

    id: str
    rule: str
    message: str
    fix: str


def warnings(request: HttpRequest, rules: Iterable[MonitorRule]) -> list[OddRule]:
    """Return what is odd about rules as they are being written."""
    sight = Sight(
        schedules=may_view(request, PeriodicTask),
        log=may_view_executions(request),
        events=may_view(request, AlertEvent),
        messages=may_view(request, Notification),
    )
    return [
        OddRule(one.id, one.rule.label, in_words(one.message), in_words(one.fix))
        for one in lint_rows(rules, timezone.now(), sight)
    ]
