"""The live preview beside the rule form, and what its fields suggest while one types."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any
from urllib.parse import urlencode

from django.apps import apps
from django.contrib.admin.utils import unquote
from django.core.exceptions import FieldDoesNotExist, FieldError, PermissionDenied
from django.db import DatabaseError
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.urls import URLPattern
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe
from django_celery_beat.models import PeriodicTask

from monitoring.admin.base import may_view, may_view_executions, url
from monitoring.admin.context_access import may_use, usable_field
from monitoring.admin.display import VERDICT_TONES, Tone, badge, duration, in_words, window
from monitoring.admin.notification import MAIL_HEADERS
from monitoring.admin.rule_draft import Draft, RuleDraft
from monitoring.admin.strip import described, strip, with_last_run
from monitoring.contexts import default_field
from monitoring.core.fields import InvalidValueError
from monitoring.core.names import did_you_mean
from monitoring.core.rhythm import longest_gap, suggested_hours
from monitoring.core.values import Execution
from monitoring.models import MonitorRule, VerdictChoices
from monitoring.periodic_tasks import longest_wait
from monitoring.previews import Preview, preview
from monitoring.recorder import is_ignored
from monitoring.registry import task_names
from monitoring.tasklogs.history import recent
from monitoring.tasklogs.names import seen_names

STRIP = 30
# What even those who may view a row are not shown: the hash of a password, an API key.
_MAY_BE_SECRET = re.compile("pass|secret|token|key|session|hash|salt", re.IGNORECASE)
MOST_SUGGESTIONS = 20


class RulePreview(RuleDraft):
    """Adds the addresses that the script of the form asks; nothing there changes anything."""

    def get_urls(self) -> list[URLPattern]:
        views = {
            "preview": require_POST(self.preview_view),
            "preview-mail": require_POST(self.preview_mail_view),
            "suggest": require_safe(self.suggest_view),
        }
        return self.views_at("", views) + super().get_urls()

    def page_context(self, request: HttpRequest, object_id: str | None) -> dict[str, Any]:
        may = self.has_change_permission if object_id else self.has_add_permission
        allowed = may(request)
        query = "?" + urlencode({"rule": unquote(object_id)}) if object_id else ""
        address = partial(url, self.admin_site, self.model)
        return super().page_context(request, object_id) | {
            "preview_url": address("preview") + query if allowed else "",
            "preview_mail_url": address("preview_mail") + query,
            "suggest_url": address("suggest"),
        }

    # The preview

    def preview_view(self, request: HttpRequest) -> HttpResponse:
        """Return what the rule in the form would say now, as a panel and notes to its fields."""
        draft = self._typed(request)
        runs = self._runs_of(request, draft.row.task_name)
        panel: dict[str, Any] = {"errors": draft.errors}
        if not panel["errors"]:
            try:
                panel |= _shown(_previewed(request, draft.row))
            except InvalidValueError as error:
                panel["errors"] = [in_words(problem) for problem in error.problems]
        panel |= {
            "strip": strip(runs) if runs else "",
            "runs": [described(one) for one in runs],
            "may_view_log": may_view_executions(request),
        }
        html = render_to_string("admin/monitoring/preview.html", panel, request)
        return JsonResponse({"panel": html, "notes": self._notes(request, draft.form, runs)})

    def preview_mail_view(self, request: HttpRequest) -> HttpResponse:
        """Return the HTML part of the mail, for a frame that nothing gets out of."""
        draft = self._typed(request)
        if draft.errors:
            raise Http404
        try:
            mail = _previewed(request, draft.row).mail
        except InvalidValueError:
            raise Http404 from None
        return HttpResponse(mail.html_body, headers=MAIL_HEADERS)

    def _typed(self, request: HttpRequest) -> Draft:
        return self.draft(request, request.POST, request.GET.get("rule", ""))

    def _runs_of(self, request: HttpRequest, task_name: str) -> list[Execution]:
        if not task_name or not may_view_executions(request):
            return []
        return recent([task_name], STRIP)[task_name]

    def _notes(
        self, request: HttpRequest, form: Any, runs: list[Execution]
    ) -> dict[str, dict[str, Any]]:
        """Return remarks to fields: what a value means, what is odd about it, a better one."""
        notes: dict[str, dict[str, Any]] = {}
        row: MonitorRule = form.instance
        if row.task_name and "task_name" not in form.errors:
            notes["task_name"] = self._task_note(request, row.task_name, runs)
        if "lookback_hours" not in form.errors:
            notes["lookback_hours"] = _lookback_note(request, row, runs)
        return notes

    def _task_note(
        self, request: HttpRequest, task_name: str, runs: list[Execution]
    ) -> dict[str, Any]:
        if runs:
            ago = duration(timezone.now() - runs[0].started_at)
            return {"text": _("Last ran %s ago.") % ago}
        where, recorded = self._known_tasks(request), self._recorded(request)
        known = {*where, *recorded}
        if task_name in recorded:
            return self._never_started(task_name, known)
        if task_name not in where:
            return {"warning": self._unseen(request, task_name, known)}
        if not may_view_executions(request):
            return {"text": _("Known: %s.") % where[task_name]}
        return {"text": _("Known: %s. No execution recorded yet.") % where[task_name]}

    def _never_started(self, task_name: str, known: set[str]) -> dict[str, Any]:
        """Return what to say of a task that waits for a worker, or that workers refuse."""
        text = _("It was sent, but no execution of it has started yet%s")
        if task_name in task_names():
            return {"text": text % "."}
        return {"warning": text % (in_words(did_you_mean(task_name, known - {task_name})) or ".")}

    def _unseen(self, request: HttpRequest, task_name: str, known: set[str]) -> str:
        """Return a warning of a name that this user cannot have found anywhere."""
        hint = in_words(did_you_mean(task_name, known)) or "."
        if may_view_executions(request):
            return _("No task of this name was ever seen here%s") % hint
        return _("No task of this name is known, apart from those that have run%s") % hint

    # Suggestions

    def suggest_view(self, request: HttpRequest) -> HttpResponse:
        """Return up to twenty values for a field that hold what was typed: value and remark."""
        if not (self.has_add_permission(request) or self.has_change_permission(request)):
            raise PermissionDenied
        asked = {name: request.GET.get(name, "") for name in ("field", "q", "model", "path")}
        found: list[tuple[str, str]]
        recorded: set[str] = set()
        match asked["field"]:
            case "task_name":
                recorded, where = self._recorded(request), self._known_tasks(request)
                found = [(name, where.get(name, "")) for name in {*where, *recorded}]
            case "context_model":
                found = _models(request)
            case "context_field":
                found = _fields(request, asked["model"])
            case "context_type":
                found = _types(request, asked["model"], asked["path"], asked["q"])
            case _:
                raise Http404
        typed = asked["q"].casefold()
        found = [pair for pair in found if typed in pair[0].casefold()]
        found.sort(key=partial(_rank, typed))
        found = found[:MOST_SUGGESTIONS]
        if asked["field"] == "task_name" and may_view_executions(request):
            found = with_last_run(found, recorded)
        return JsonResponse({"options": found})

    def _known_tasks(self, request: HttpRequest) -> dict[str, str]:
        """Return the tasks that this user may know of apart from the log, with where each is."""
        seen: dict[str, list[str]] = {}
        sources: list[tuple[Iterable[str], str]] = [
            ((name for name in task_names() if not is_ignored(name)), _("in the code"))
        ]
        if may_view(request, PeriodicTask):
            periodic = PeriodicTask.objects.values_list("task", flat=True).distinct()
            sources.append(((name for name in periodic if not is_ignored(name)), _("scheduled")))
        for names, remark in sources:
            for name in names:
                seen.setdefault(name, []).append(remark)
        return {name: ", ".join(remarks) for name, remarks in seen.items()}

    def _recorded(self, request: HttpRequest) -> set[str]:
        """Return the tasks that the log holds, started or not, as far as this user may know."""
        return set(seen_names()) if may_view_executions(request) else set()


def _models(request: HttpRequest) -> list[tuple[str, str]]:
    return [
        (model._meta.label, str(model._meta.verbose_name))
        for model in apps.get_models()
        if may_use(model, request.user)
    ]


def _fields(request: HttpRequest, label: str) -> list[tuple[str, str]]:
    """Return the fields of a model and of the rows that it points to."""
    model = usable_field(label, "", request.user)
    if model is None:
        return []
    default = default_field(model)
    return [
        (path, _("the default") if path == default else remark)
        for path, remark in _paths(model, request)
        if path == default or not _MAY_BE_SECRET.search(path)
    ]


def _paths(model: type[Model], request: HttpRequest) -> Iterator[tuple[str, str]]:
    for field in model._meta.concrete_fields:
        yield field.name, str(field.verbose_name)
        related = field.related_model
        if isinstance(related, type) and may_use(related, request.user):
            for other in related._meta.concrete_fields:
                yield (
                    f"{field.name}__{other.name}",
                    f"{related._meta.verbose_name}: {other.verbose_name}",
                )


def _types(request: HttpRequest, label: str, path: str, typed: str) -> list[tuple[str, str]]:
    """Return values in use in a field, of models and fields that the user may read."""
    model = usable_field(label, path, request.user)
    field = path or (default_field(model) if model else "")
    if model is None or not field or _MAY_BE_SECRET.search(field):
        return []
    try:
        rows = model._base_manager.exclude(**{f"{field}__isnull": True}).order_by(field)
        if typed:
            rows = rows.filter(**{f"{field}__icontains": typed})
        values = rows.values_list(field, flat=True).distinct()[:MOST_SUGGESTIONS]
        return [(str(value), "") for value in values]
    except (DatabaseError, FieldDoesNotExist, FieldError, ValueError, TypeError):
        return []


def _rank(typed: str, option: tuple[str, str]) -> tuple[bool, bool, str]:
    value = option[0]
    # A path into a related row stands behind the fields of the row itself.
    return not value.casefold().startswith(typed), "__" in value, value


def _previewed(request: HttpRequest, row: MonitorRule) -> Preview:
    return preview(row, timezone.now(), tells_log=may_view_executions(request))


def _shown(found: Preview) -> dict[str, Any]:
    kind = found.verdict.kind.value
    return {
        "verdict": badge(VerdictChoices(kind).label, VERDICT_TONES.get(kind, Tone.QUIET)),
        "reason": in_words(found.verdict.reason),
        "measured": in_words(found.verdict.all_measured_in_words),
        "execution": found.verdict.execution and described(found.verdict.execution),
        "cause": in_words(found.cause),
        "recipients": found.recipients,
        "subject": found.mail.subject,
        "has_html": bool(found.mail.html_body),
        "text_body": found.mail.text_body,
        "is_example": found.is_example,
    }


def _lookback_note(request: HttpRequest, row: MonitorRule, runs: list[Execution]) -> dict[str, Any]:
    """Return the window in words, and a longer one if the task's rhythm needs it."""
    note: dict[str, Any] = {"text": window(row.lookback_hours)}
    is_readable = row.task_name and may_view(request, PeriodicTask)
    scheduled = longest_wait(row.task_name, timezone.now()) if is_readable else None
    observed = longest_gap([one.started_at for one in runs])
    gap = scheduled or observed
    if gap is None or row.lookback_hours * 3600 >= gap.total_seconds():
        return note
    why = _("its schedule leaves %s between runs") if scheduled else _("up to %s pass between runs")
    note["warning"] = _("Shorter than the task's rhythm: %s.") % (why % duration(gap))
    note["suggestion"] = suggested_hours(gap)
    note["suggestion_text"] = _("Use %s hours") % f"{note['suggestion']:g}"
    return note
