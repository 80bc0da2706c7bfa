"""What people say about an open alert event: somebody is on it, or it is over."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.admin.utils import unquote
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from monitoring import interventions
from monitoring.admin.base import ONE_ROW, log, url
from monitoring.admin.history_export import HistoryExport
from monitoring.models import AlertEvent

MAX_NOTE_LENGTH = 2000


class NoteForm(forms.Form):
    note = forms.CharField(
        label=_("Note"), required=False, max_length=MAX_NOTE_LENGTH, widget=forms.Textarea
    )


class AcknowledgeForm(NoteForm):
    """Until when, in the time zone of the user; empty: until it is resolved."""

    until = forms.DateTimeField(
        label=_("Until"), required=False, input_formats=["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"]
    )

    def clean_until(self) -> datetime | None:
        until: datetime | None = self.cleaned_data["until"]
        if until is not None and until <= timezone.now():
            raise forms.ValidationError(_("This is in the past."))
        return until


def resolving_entry(event: AlertEvent) -> LogEntry | None:
    """Return what the history of an event that was resolved by hand says of it.

    None: it was not resolved here. Nothing is said about an event afterwards.
    """
    kind = ContentType.objects.get_for_model(AlertEvent)
    entries = LogEntry.objects.filter(content_type=kind, object_id=str(event.pk))
    entries = entries.filter(action_time__gte=event.resolved_at).select_related("user")
    return entries.order_by("-action_time", "-pk").first()


class EventOperations(HistoryExport):
    """Two buttons on the page of an open event, for those with a permission of its own."""

    change_form_template = "admin/monitoring/alertevent/change_form.html"

    def has_acknowledge_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("monitoring.acknowledge_alertevent")

    def get_urls(self) -> list[URLPattern]:
        views = {
            "acknowledge": require_POST(self.acknowledge_view),
            "resolve": require_POST(self.resolve_view),
        }
        return self.views_at(ONE_ROW, views) + super().get_urls()

    def acknowledge_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def acknowledge(event: AlertEvent, note: str, now: datetime) -> bool:
            user: Any = request.user
            return interventions.acknowledge(event, user, note, now, form.cleaned_data["until"])

        form = AcknowledgeForm(request.POST)
        texts = gettext("acknowledged"), gettext("The alert event was acknowledged.")
        return self._do(request, object_id, form, acknowledge, texts)

    def resolve_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        form = NoteForm(request.POST)
        texts = gettext("resolved"), gettext("The alert event was resolved.")
        return self._do(request, object_id, form, interventions.resolve, texts)

    def _do(
        self,
        request: HttpRequest,
        object_id: str,
        form: NoteForm,
        work: Callable[[AlertEvent, str, datetime], bool],
        texts: tuple[str, str],
    ) -> HttpResponse:
        """Do the work on an event; texts: what the history and what the person is told."""
        done, answer = texts
        event = self.get_object(request, unquote(object_id))
        if not (self.has_view_permission(request) and self.has_acknowledge_permission(request)):
            raise PermissionDenied
        if event is None:
            raise Http404
        if not form.is_valid():
            for field in form.errors:
                text = f"{form.fields[field].label}: {form.errors[field].as_text()}"
                self.message_user(request, text, messages.ERROR)
        elif self._work(request, event, work, form.cleaned_data["note"], done):
            self.message_user(request, answer, messages.SUCCESS)
        else:
            text = gettext(
                "Nothing was changed: the event is no longer open, or somebody was faster."
            )
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
            log(request, [event], CHANGE, f"{done}: {note}" if note else done)
        return True

    def page_context(self, request: HttpRequest, object_id: str | None) -> dict[str, Any]:
        return super().page_context(request, object_id) | {
            "may_acknowledge": self.has_acknowledge_permission(request),
            "max_note_length": MAX_NOTE_LENGTH,
        }
