"""Notifications: the messages, what became of them, and the mail as it was sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern
from django.utils.html import format_html
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from monitoring.admin.base import (
    ONE_ROW,
    HistoryAdmin,
    PrimaryKeyFilter,
    link,
    list_link,
    moment,
    url,
)
from monitoring.admin.display import (
    EMPTY,
    MESSAGE_TONES,
    aside,
    badge,
    code,
    excerpt,
    instant,
    preformatted,
    two_lines,
)
from monitoring.models import OWED, AlertEvent, Channel, MonitorRun, Notification, NotificationState

MAIL_HEADERS = {
    # A mail holds what tasks and hosts wrote: nothing in it runs, loads or posts anything.
    "Content-Security-Policy": (
        "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    ),
    "X-Frame-Options": "SAMEORIGIN",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


_SUPPRESSED: Mapping[str, Any] = {
    "snooze": _("the rule is snoozed"),
    "acknowledgement": _("the event is acknowledged"),
    "upstream": _("a task it depends on is failing"),
}


class RunFilter(PrimaryKeyFilter):
    title = _("check")
    parameter_name = "run"
    model = MonitorRun


class DigestFilter(PrimaryKeyFilter):
    title = _("digest")
    parameter_name = "digest"
    model = Notification


class EventFilter(PrimaryKeyFilter):
    title = _("alert event")
    parameter_name = "alert_event"
    model = AlertEvent


@admin.register(Notification)
class NotificationAdmin(HistoryAdmin):
    created = moment("created_at", _("created"))
    sent = moment("sent_at", _("sent"))
    next_attempt = moment("next_attempt_at", _("next attempt"))

    list_display = (
        "subject_and_recipient",
        "state_and_problem",
        "event_and_kind",
        "created_and_sent",
    )
    list_filter = ("state", "kind", EventFilter, RunFilter, DigestFilter)
    list_select_related = ("alert_event",)
    list_defer = ("facts", "text_body", "html_body")
    search_fields = ("^recipient", "subject", "=message_id")
    search_help_text = _(
        "Among the newest 10,000: beginning of the recipient, part of the subject, or the message "
        "id."
    )
    sortable_by = ()

    def get_fieldsets(self, request: HttpRequest, obj: Notification | None = None) -> Any:
        delivery: list[Any] = [("state_badge", "attempts"), ("created", "sent")]
        mail = ["html", "text"] if obj is not None and obj.html_body else ["text"]
        if obj is not None:
            if obj.state in OWED:
                delivery.append("next_attempt")
            delivery += ["through"] if obj.channel else []
            delivery += ["full_error"] if obj.error else []
            delivery += ["id_of_message"] if obj.message_id else []
            delivery += ["said_by"] if obj.digest_id else []
            delivery += ["instead_of"] if obj.stands_in_for_id else []
        return (
            (_("Message"), {"fields": ("subject", ("recipient", "kind"), "event")}),
            (_("Delivery"), {"fields": delivery}),
            (_("The mail as it was rendered"), {"fields": mail}),
        )

    def get_urls(self) -> list[URLPattern]:
        return self.views_at(ONE_ROW, {"html": require_safe(self.html_view)}) + super().get_urls()

    def html_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Return the HTML part of a mail, for a frame that nothing gets out of."""
        row = self.get_object(request, unquote(object_id))
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        if row is None or not row.html_body:
            raise Http404
        return HttpResponse(row.html_body, headers=MAIL_HEADERS)

    @admin.display(description=_("subject"))
    def subject_and_recipient(self, row: Notification) -> str:
        return two_lines(row.subject, aside(row.recipient))

    @admin.display(description=_("state"))
    def state_and_problem(self, row: Notification) -> str:
        attempts = ngettext("%d attempt", "%d attempts", row.attempts) % row.attempts
        tried = aside(attempts) if row.attempts > 1 else ""
        said = format_html("{} {}", tried, excerpt(row.error)) if row.error else tried
        return two_lines(self.state_badge(row), said)

    @admin.display(description=_("alert event"))
    def event_and_kind(self, row: Notification) -> str:
        return two_lines(self.event(row), aside(row.get_kind_display()))

    @admin.display(description=_("created"))
    def created_and_sent(self, row: Notification) -> str:
        sent = aside(_("sent %s") % instant(row.sent_at)) if row.sent_at else ""
        return two_lines(instant(row.created_at), sent)

    @admin.display(description=_("state"))
    def state_badge(self, row: Notification) -> str:
        shown = badge(row.get_state_display(), MESSAGE_TONES.get(row.state))
        if row.state == NotificationState.SUPPRESSED and row.suppressed_by:
            return format_html(
                "{} {}", shown, aside(_SUPPRESSED.get(row.suppressed_by, row.suppressed_by))
            )
        return shown

    @admin.display(description=_("alert event"))
    def event(self, row: Notification) -> str:
        if row.alert_event is None:
            if row.is_digest:
                said = row.stands_in_for_id or row.pk
                return list_link(self.admin_site, Notification, _("several"), digest=said)
            return aside(_("none: a rule cannot be checked"))
        return link(self.admin_site, AlertEvent, row.alert_event.pk, str(row.alert_event))

    @admin.display(description=_("channel"))
    def through(self, row: Notification) -> str:
        return list_link(self.admin_site, Channel, row.channel, q=row.channel)

    @admin.display(description=_("said by"))
    def said_by(self, row: Notification) -> str:
        digest = row.digest
        if digest is None:
            return EMPTY
        return link(self.admin_site, Notification, digest.pk, digest.subject)

    @admin.display(description=_("stands in for"))
    def instead_of(self, row: Notification) -> str:
        refused = row.stands_in_for
        if refused is None:
            return EMPTY
        text = _("the message to %s, which was refused") % refused.recipient
        return link(self.admin_site, Notification, refused.pk, text)

    @admin.display(description=_("error"))
    def full_error(self, row: Notification) -> str:
        return preformatted(row.error)

    @admin.display(description=_("message id"))
    def id_of_message(self, row: Notification) -> str:
        return code(row.message_id)

    @admin.display(description=_("text"))
    def text(self, row: Notification) -> str:
        if row.text_body:
            return preformatted(row.text_body)
        if row.state == NotificationState.SUPPRESSED:
            return aside(_("This message was suppressed, so it was never rendered."))
        if row.digest_id:
            return aside(_("Said by a digest, together with others."))
        return aside(_("Not rendered yet: that happens at the first attempt to deliver it."))

    @admin.display(description=_("HTML"))
    def html(self, row: Notification) -> str:
        return format_html(
            '<iframe class="monitoring-mail" sandbox referrerpolicy="no-referrer" '
            'src="{}" title="{}"></iframe>',
            url(self.admin_site, Notification, "html", row.pk),
            gettext("The HTML part of the mail"),
        )
