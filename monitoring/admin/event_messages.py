"""The messages of an alert event, on its page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import QuerySet
from django.forms.models import BaseInlineFormSet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from monitoring.admin.base import link, may_view, moment
from monitoring.admin.display import EMPTY, MESSAGE_TONES, badge, excerpt
from monitoring.models import AlertEvent, Notification

if TYPE_CHECKING:
    _Inline = admin.TabularInline[Notification, AlertEvent]
    _FormSet = BaseInlineFormSet[Notification, AlertEvent, Any]
else:  # not subscriptable at run time
    _Inline = admin.TabularInline
    _FormSet = BaseInlineFormSet


class NewestMessages(_FormSet):
    """Only the newest: JSON arguments send a message at every failing check."""

    most = 50

    def get_queryset(self) -> QuerySet[Notification]:
        if not hasattr(self, "_newest"):
            self._newest = super().get_queryset()[: self.most]
        return self._newest


class MessageInline(_Inline):
    model = Notification
    formset = NewestMessages
    template = "admin/monitoring/readonly_inline.html"
    sent = moment("sent_at", _("sent"))

    fields = readonly_fields = ("message", "state_badge", "kind", "recipient", "sent", "problem")
    verbose_name_plural = _("Messages")
    can_delete = False
    max_num = 0

    def get_queryset(self, request: HttpRequest) -> QuerySet[Notification]:
        return super().get_queryset(request).defer("facts", "text_body", "html_body")

    def has_add_permission(self, request: HttpRequest, obj: AlertEvent | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        return may_view(request, Notification)

    @admin.display(description=_("subject"))
    def message(self, row: Notification) -> str:
        return link(self.admin_site, Notification, row.pk, row.subject)

    @admin.display(description=_("state"))
    def state_badge(self, row: Notification) -> str:
        return badge(row.get_state_display(), MESSAGE_TONES.get(row.state))

    @admin.display(description=_("error"))
    def problem(self, row: Notification) -> str:
        return excerpt(row.error) or EMPTY
