"""What people say about an open alert event: somebody is on it, or it is over."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from monitoring import interventions
from monitoring.admin.base import url
from monitoring.admin.history_export import HistoryExport
from monitoring.models import AlertEvent

MAX_NOTE_LENGTH = 2000


class NoteForm(forms.Form):
    note = forms.CharField(
        label=_("Note"), required=False, max_length=MAX_NOTE_LENGTH, widget=forms.Textarea
    )


class EventOperations(HistoryExport):
    """Two buttons on the page of an open event, for those with a permission of its own."""

    change_form_template = "admin/monitoring/alertevent/change_form.html"

    def has_acknowledge_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("monitoring.acknowledge_alertevent")

    def get_urls(self) -> list[URLPattern]:
        return [
            path(
                f"<path:object_id>/{name}/",
                self.admin_site.admin_view(require_POST(view)),
                name=f"monitoring_alertevent_{name}",
            )
            for name, view in (
                ("acknowledge", self.acknowledge_view),
                ("resolve", self.resolve_view),
            )
        ] + super().get_urls()

    def acknowledge_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def acknowledge(event: AlertEvent, note: str, now: datetime) -> bool:
            user: Any = request.user
            return interventions.acknowledge(event, user, note, now)

        return self._do(request, object_id, acknowledge, _now("acknowledged"))

    def resolve_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._do(request, object_id, interventions.resolve, _now("resolved"))

    def _do(
        self,
        request: HttpRequest,
        object_id: str,
        work: Callable[[AlertEvent, str, datetime], bool],
        done: str,
    ) -> HttpResponse:
        event = self.get_object(request, unquote(object_id))
        if not (self.has_view_permission(request) and self.has_acknowledge_permission(request)):
            raise PermissionDenied
        if event is None:
            raise Http404
        form = NoteForm(request.POST)
        if not form.is_valid():
            self.message_user(request, form.errors["note"].as_text(), messages.ERROR)
        elif self._work(request, event, work, form.cleaned_data["note"], done):
            text = _now("The alert event was %s.") % done
            self.message_user(request, text, messages.SUCCESS)
        else:
            text = _now("Nothing was changed: the event is no longer open, or somebody was faster.")
            self.message_user(request, text, messages.WARNING)
        return HttpResponseRedirect(url(self.admin_site, AlertEvent, "change", event.pk))

    def _work(
        self,
        request: HttpRequest,
        event: AlertEvent,
        work: Callable[[AlertEvent, str, datetime], bool],
        note: str,
        done: str,
    ) -> bool:
        with transaction.atomic():
            if not work(event, note, timezone.now()):
                return False
            said = f"{done}: {note}" if note else done
            LogEntry.objects.log_actions(
                request.user.pk or 0, [event], CHANGE, change_message=said, single_object=True
            )
        return True

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        context = (extra_context or {}) | {
            "may_acknowledge": self.has_acknowledge_permission(request),
            "max_note_length": MAX_NOTE_LENGTH,
        }
        return super().changeform_view(request, object_id, form_url, context)
