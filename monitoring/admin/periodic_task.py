"""Periodic tasks: django-celery-beat's own form, which also reads the monitor's arguments."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.models import ADDITION, CHANGE
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django_celery_beat.admin import PeriodicTaskAdmin, PeriodicTaskForm
from django_celery_beat.models import PeriodicTask

from monitoring.admin.base import PageContext, log
from monitoring.admin.display import in_words
from monitoring.admin.exchange import check_context
from monitoring.core.arguments import parse_arguments
from monitoring.exchange.conversion import convert, documented_rows
from monitoring.exchange.rows import FileError
from monitoring.models import MonitorRule
from monitoring.periodic_tasks import TASK_NAME, complain

MOST_MISTAKES = 5
"""Mistakes in the stored arguments that the page names."""


class CheckedPeriodicTaskForm(PeriodicTaskForm):  # type: ignore[misc]
    """Refuses at their field what the monitor would refuse when the task runs."""

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean()
        if data.get("task") == TASK_NAME and "args" in data and "kwargs" in data:
            problems = list(_problems(data["args"], data["kwargs"], data.get("name", "")))
            for field, message in problems:
                self.add_error(field, message)
        return data


def _problems(args: str, kwargs: str, name: str) -> Iterator[tuple[str, str]]:
    """Yield (form field, what is wrong) for the arguments of a monitoring task."""
    complaints = complain(TASK_NAME, args, kwargs)
    yield from ((field, capfirst(text)) for field, text in complaints.items())
    if complaints:
        return
    for problem in parse_arguments(json.loads(args), json.loads(kwargs), name).problems:
        field = "args" if problem.path.startswith("arguments") else "kwargs"
        yield field, str(problem)


class CheckedPeriodicTaskAdmin(PageContext, PeriodicTaskAdmin):  # type: ignore[misc]
    form = CheckedPeriodicTaskForm
    change_form_template = "admin/monitoring/periodic_task_change_form.html"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.to_rules_view)
        name = "monitoring_periodictask_to_rules"
        return [path("<path:object_id>/to-rules/", view, name=name), *super().get_urls()]

    def page_context(self, request: HttpRequest, object_id: str | None) -> dict[str, Any]:
        row = self.get_object(request, unquote(object_id)) if object_id else None
        may = row is not None and self._may_convert(request, row)
        if row is None or not may:
            return {}
        try:
            return {"may_become_rules": bool(documented_rows(row))}
        except FileError as error:
            return {"mistakes": [in_words(problem) for problem in error.problems[:MOST_MISTAKES]]}

    def _may_convert(self, request: HttpRequest, row: PeriodicTask) -> bool:
        may_add = request.user.has_perm("monitoring.add_monitorrule")
        return may_add and bool(self.has_change_permission(request, row))

    def to_rules_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show which rules the documented arguments become; add them when that is confirmed."""
        row = self.get_object(request, unquote(object_id))
        if row is None:
            raise Http404
        if not self._may_convert(request, row):
            raise PermissionDenied
        context_is_theirs = partial(check_context, user=request.user)
        try:
            result = convert(
                row, context_is_theirs, timezone.now(), dry_run=request.method != "POST"
            )
        except FileError as error:
            for problem in error.problems:
                self.message_user(request, in_words(problem), messages.ERROR)
            return self._back(row)
        rules = [one.instance for one in result]
        if request.method == "POST":
            self._log(request, row, rules)
            text = ngettext("%d rule was added.", "%d rules were added.", len(rules)) % len(rules)
            self.message_user(request, text, messages.SUCCESS)
            return self._back(row)
        context = {
            **self.admin_site.each_context(request),
            "title": _("Turn the arguments into rules"),
            "opts": self.model._meta,
            "original": row,
            "rules": rules,
        }
        return TemplateResponse(request, "admin/monitoring/to_rules.html", context)

    def _back(self, row: PeriodicTask) -> HttpResponse:
        name = "admin:django_celery_beat_periodictask_change"
        return HttpResponseRedirect(reverse(name, args=[row.pk], current_app=self.admin_site.name))

    def _log(self, request: HttpRequest, row: PeriodicTask, rules: list[MonitorRule]) -> None:
        log(request, rules, ADDITION, [{"added": {}}])
        fields = ["Positional Arguments", "Keyword Arguments", "Description"]
        log(request, [row], CHANGE, [{"changed": {"fields": fields}}])


def replace_stock_admin(site: admin.AdminSite) -> bool:
    """Put our page in the place of django-celery-beat's; a host's own page is left alone."""
    registered = site._registry.get(PeriodicTask)
    if type(registered) is not PeriodicTaskAdmin:
        return False
    site.unregister(PeriodicTask)
    site.register(PeriodicTask, CheckedPeriodicTaskAdmin)
    return True


replace_stock_admin(admin.site)
