"""How all rules did over the last day, as a picture: a row for each, the worst first.

What a row costs is known before, however often its task runs; a page holds so many rows, and the
others are on the pages after it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet, Value
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern
from django.utils import dateformat, timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from monitoring.admin.base import MonitoringAdmin, may_view, may_view_executions, url
from monitoring.admin.display import STATUS_TONES, VERDICT_TONES, Tone, badge, status
from monitoring.core.buckets import Buckets, last, stretches
from monitoring.core.timeline import Scale
from monitoring.models import AlertEvent, MonitorRule, RuleState, VerdictChoices
from monitoring.rule_rows import key_of
from monitoring.tasklogs.buckets import Course, courses

LENGTH = timedelta(hours=24)
PARTS = 96
"""Quarters of an hour."""
PART_WIDTH, HEIGHT = 10, 22
ROWS_IN_OVERVIEW, ROWS_ON_PAGE = 20, 50
LABELS = 6
"""Steps between the times above the picture."""
MOST_EVENTS = 500
"""Alert events that are drawn on one page."""

_HEIGHTS = {Tone.BAD: 16, Tone.WARN: 13, Tone.BUSY: 10, Tone.GOOD: 7, Tone.QUIET: 4}
"""The worse the higher, so that nobody has to tell colours."""


class Shape(NamedTuple):
    """All marks of one tone in a row, as one path."""

    tone: Tone
    path: str


@dataclass(kw_only=True, slots=True)
class Row:
    """One rule: a line of the picture, and the same in words."""

    name: str
    url: str
    badge: SafeString
    shapes: list[Shape] = field(default_factory=list)
    events: list[tuple[float, float]] = field(default_factory=list)
    """Position and length of each open alert event."""
    unread: float = 0
    """How far from the left executions are not drawn, because there were too many."""
    said: list[str] = field(default_factory=list)

    @property
    def label(self) -> str:
        return "; ".join(self.said)


class RuleDay(MonitoringAdmin):
    """Adds the page `day/?p=…`."""

    def get_urls(self) -> list[URLPattern]:
        return self.views_at("", {"day": require_safe(self.day_view)}) + super().get_urls()

    def day_view(self, request: HttpRequest) -> HttpResponse:
        """Draw all rules, a page at a time."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        total = MonitorRule.objects.filter(enabled=True).count()
        pages = max(-(-total // ROWS_ON_PAGE), 1)
        asked = request.GET.get("p", "")
        page = min(int(asked), pages) if asked.isdecimal() and len(asked) < 9 else 1
        start = (max(page, 1) - 1) * ROWS_ON_PAGE
        context = {
            **self.admin_site.each_context(request),
            "title": _("The last 24 hours"),
            "opts": self.model._meta,
            "day": picture(request, self.admin_site, start, ROWS_ON_PAGE),
            "total": total,
            "page": max(page, 1),
            "pages": pages,
            "media": self.media,
        }
        return TemplateResponse(request, "admin/monitoring/day.html", context)


def picture(request: HttpRequest, site: admin.AdminSite, start: int, most: int) -> dict[str, Any]:
    """Return what the picture of some rules needs, from the `start`th worst on, in five queries.

    Executions and events are drawn for those who may view them.
    """
    now = timezone.now()
    buckets = last(LENGTH, now, PARTS)
    found = _worst(start, most)
    found_courses: dict[str, Course] = {}
    if may_view_executions(request):
        found_courses = courses((rule.task_name for rule, _verdict in found), buckets)
    events: dict[int, list[AlertEvent]] = {}
    if may_view(request, AlertEvent):
        for event in _events([rule.pk for rule, _verdict in found], buckets):
            events.setdefault(event.rule_id or 0, []).append(event)
    rows = [
        _row(
            site, rule, verdict, found_courses.get(rule.task_name), events.get(rule.pk, ()), buckets
        )
        for rule, verdict in found
    ]
    return {
        "rows": rows,
        "width": PARTS * PART_WIDTH,
        "height": HEIGHT,
        "hours": [_time(buckets.edge(PARTS * step // LABELS)) for step in range(LABELS + 1)],
        "ticks": [PARTS * PART_WIDTH * step // LABELS for step in range(1, LABELS)],
    }


def _worst(start: int, most: int) -> list[tuple[MonitorRule, str]]:
    """Return enabled rules with the last verdict on each, the worst first; "": never checked."""
    verdicts: dict[int, dict[str, str]] = {}
    for pk, key, verdict in _judged(start, most):
        verdicts.setdefault(pk, {})[key] = verdict
    rules = MonitorRule.objects.defer("description", "notify_to").in_bulk(list(verdicts))
    # What was found of the task that a rule watched before says nothing of it.
    return [
        (rules[pk], found.get(key_of(rules[pk]), ""))
        for pk, found in verdicts.items()
        if pk in rules
    ]


def _judged(start: int, most: int) -> list[tuple[int, str, str]]:
    """Return (rule, key, verdict) of some, the worst first and those that nobody judged last.

    What is fine is read in the order in which it is stored, so that only some of it is read.
    """
    columns = ("rule", "key", "verdict")
    states = RuleState.objects.order_by("pk")
    # By those that are wanted: an index finds few of them among many that are fine.
    not_fine = [value for value in ("", *VerdictChoices.values) if value != VerdictChoices.OK]
    rest: QuerySet[Any] = states.filter(verdict__in=not_fine).of_enabled_rules().worst_first()
    fine: QuerySet[Any] = states.filter(verdict=VerdictChoices.OK).of_enabled_rules()
    judged: QuerySet[Any] = states.of_enabled_rules()
    never = MonitorRule.objects.filter(enabled=True).exclude(pk__in=judged.values("rule"))
    parts: tuple[QuerySet[Any], ...] = (
        rest.values_list(*columns),
        fine.values_list(*columns),
        never.order_by("pk").values_list("pk", Value(""), Value("")),
    )
    found: list[tuple[int, str, str]] = []
    for part in parts:
        left = most - len(found)
        if not left:
            break
        found += part[start : start + left]
        start = 0 if found or not start else max(start - part.order_by().count(), 0)
    return found


def _events(pks: Sequence[int], buckets: Buckets) -> Iterator[AlertEvent]:
    ended = Q(resolved_at__isnull=True) | Q(resolved_at__gte=buckets.start)
    rows = AlertEvent.objects.filter(ended, rule__in=pks).order_by("-opened_at", "-pk")
    yield from rows.only("rule", "opened_at", "resolved_at")[:MOST_EVENTS]


def _row(
    site: admin.AdminSite,
    rule: MonitorRule,
    verdict: str,
    course: Course | None,
    events: Sequence[AlertEvent],
    buckets: Buckets,
) -> Row:
    label = VerdictChoices(verdict).label if verdict else _("Never checked")
    row = Row(
        name=rule.name,
        url=url(site, MonitorRule, "change", rule.pk),
        badge=badge(label, VERDICT_TONES.get(verdict)),
    )
    scale = Scale(start=buckets.start, end=buckets.end, width=PARTS * PART_WIDTH)
    if course is not None:
        _draw(row, course, buckets, scale)
    for event in reversed(events):
        row.events.append(scale.span(event.opened_at, event.resolved_at, least=PART_WIDTH / 2))
        since = _time(max(event.opened_at, buckets.start))
        until = _time(event.resolved_at) if event.resolved_at else _("now")
        row.said.append(
            _("Alert event from %(since)s to %(until)s") % {"since": since, "until": until}
        )
    return row


def _draw(row: Row, course: Course, buckets: Buckets, scale: Scale) -> None:
    tones = [STATUS_TONES.get(part.value, Tone.QUIET) if part else None for part in course.parts]
    row.shapes = [Shape(tone, path) for tone in Tone if (path := _path(tones, tone))]
    if course.known_since is not None:
        row.unread = scale.x(course.known_since)
        row.said.append(_("more executions before %s than are drawn") % _time(course.known_since))
    for one in stretches(course.parts):
        values = {
            "status": status(one.value.value),
            "since": _time(buckets.edge(one.first)),
            "until": _time(buckets.edge(one.last + 1)),
        }
        row.said.append(_("%(status)s from %(since)s to %(until)s") % values)
    if not row.said:
        row.said.append(_("No execution"))


def _path(tones: Sequence[Tone | None], wanted: Tone) -> str:
    """Return a mark for each part that has this tone."""
    high = _HEIGHTS[wanted]
    return "".join(
        f"M{number * PART_WIDTH} {HEIGHT - 4 - high}h{PART_WIDTH - 1}v{high}h-{PART_WIDTH - 1}z"
        for number, tone in enumerate(tones)
        if tone is wanted
    )


def _time(at: datetime) -> str:
    return dateformat.format(timezone.localtime(at), "H:i")
