"""What can be done to rules beside editing them: check now, snooze, switch, try the mail."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from email.utils import make_msgid
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.core.mail.utils import DNS_NAME
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern
from django.utils import timezone
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from monitoring import doors, interventions
from monitoring.admin.base import ONE_ROW, MonitoringAdmin, log, may_view_executions, url
from monitoring.admin.display import in_words, instant
from monitoring.channels.base import DeliveryError
from monitoring.channels.email import Mailer
from monitoring.core.fields import InvalidValueError, is_address
from monitoring.models import OWED, MonitorRule, Notification
from monitoring.previews import preview
from monitoring.rendering import mail_language
from monitoring.reports import Report

MOST_TOLD = 5
"""Failing rules that the answer to "check now" names."""


class SnoozeForm(forms.Form):
    """For how long: one of the usual, or until a point in time of the user's own time zone."""

    FOR = {"1": timedelta(hours=1), "4": timedelta(hours=4)}
    length = forms.ChoiceField(
        choices=[
            ("1", _("1 hour")),
            ("4", _("4 hours")),
            ("tomorrow", _("until tomorrow 9:00")),
            ("custom", _("until …")),
            ("wake", _("no longer")),
        ],
        error_messages={"invalid_choice": _("Choose one of the lengths.")},
    )
    until = forms.DateTimeField(required=False, input_formats=["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"])

    def clean(self) -> dict[str, Any]:
        """Add `ends`: when the snooze is over, or None for no snooze."""
        found: dict[str, Any] = dict(super().clean() or self.cleaned_data)
        now = timezone.now()
        length, ends = found.get("length"), None
        if length in self.FOR:
            ends = now + self.FOR[length]
        elif length == "tomorrow":
            ends = interventions.tomorrow_morning(now)
        elif length == "custom":
            ends = found.get("until")
            if ends is None and "until" not in self.errors:
                self.add_error("until", _("Say until when."))
            elif ends is not None and ends <= now:
                self.add_error("until", _("This is in the past."))
        return found | {"ends": ends}


def complaint(form: forms.Form) -> str:
    return " ".join(str(text) for errors in form.errors.values() for text in errors)


class RuleOperations(MonitoringAdmin):
    """The bulk actions of the list and the buttons of a rule's page; every one is a POST."""

    actions: Sequence[Any] = (
        "check_now",
        "snooze_1",
        "snooze_4",
        "snooze_tomorrow",
        "wake",
        "enable",
        "disable",
        "export_selected",
    )

    def has_check_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("monitoring.check_monitorrule")

    def has_snooze_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("monitoring.snooze_monitorrule")

    def get_urls(self) -> list[URLPattern]:
        works: dict[str, Callable[[HttpRequest, MonitorRule], None]] = {
            "check": self._check_one,
            "snooze": self._snooze_one,
            "test-mail": self._send_test_mail,
        }
        buttons = {name: require_POST(self._button(work)) for name, work in works.items()}
        return self.views_at(ONE_ROW, buttons) + super().get_urls()

    def page_context(self, request: HttpRequest, object_id: str | None) -> dict[str, Any]:
        return super().page_context(request, object_id) | {
            "may_check": self.has_check_permission(request),
            "may_snooze": self.has_snooze_permission(request),
            "snooze_form": SnoozeForm(),
        }

    def _button(
        self, work: Callable[[HttpRequest, MonitorRule], None]
    ) -> Callable[[HttpRequest, str], HttpResponse]:
        def view(request: HttpRequest, object_id: str) -> HttpResponse:
            row = self.get_object(request, unquote(object_id))
            if not self.has_view_permission(request, row):
                raise PermissionDenied
            if row is None:
                raise Http404
            work(request, row)
            return HttpResponseRedirect(url(self.admin_site, MonitorRule, "change", row.pk))

        return view

    # Check now

    @admin.action(permissions=["check"], description=_("Check selected rules now"))
    def check_now(self, request: HttpRequest, queryset: QuerySet[MonitorRule]) -> None:
        self._check(request, list(queryset.order_by("name").values_list("name", flat=True)))

    def _check_one(self, request: HttpRequest, row: MonitorRule) -> None:
        if not self.has_check_permission(request):
            raise PermissionDenied
        self._check(request, [row.name])

    def _check(self, request: HttpRequest, names: Sequence[str]) -> None:
        report = doors.check((), {"rules": list(names)}, hand_over=doors.deliver_briefly)
        self.message_user(request, *_told(report))
        for problem in report.problems[:MOST_TOLD]:
            self.message_user(request, in_words(problem), messages.WARNING)

    # Snooze

    @admin.action(permissions=["snooze"], description=_("Snooze selected rules for 1 hour"))
    def snooze_1(self, request: HttpRequest, queryset: QuerySet[MonitorRule]) -> None:
        self._snooze(request, list(queryset), timezone.now() + SnoozeForm.FOR["1"])

    @admin.action(permissions=["snooze"], description=_("Snooze selected rules for 4 hours"))
    def snooze_4(self, request: HttpRequest, queryset: QuerySet[MonitorRule]) -> None:
        self._snooze(request, list(queryset), timezone.now() + SnoozeForm.FOR["4"])

    @admin.action(
        permissions=["snooze"], description=_("Snooze selected rules until tomorrow 9:00")
    )
    def snooze_tomorrow(self, request: HttpRequest, queryset: QuerySet[MonitorRule]) -> None:
        self._snooze(request, list(queryset), interventions.tomorrow_morning(timezone.now()))

    @admin.action(permissions=["snooze"], description=_("End the snooze of selected rules"))
    def wake(self, request: HttpRequest, queryset: QuerySet[MonitorRule]) -> None:
        self._snooze(request, list(queryset), None)

    def _snooze_one(self, request: HttpRequest, row: MonitorRule) -> None:
        if not self.has_snooze_permission(request):
            raise PermissionDenied
        form = SnoozeForm(request.POST)
        if form.is_valid():
            self._snooze(request, [row], form.cleaned_data["ends"])
        else:
            self.message_user(request, complaint(form), messages.ERROR)

    def _snooze(
        self, request: HttpRequest, rows: Sequence[MonitorRule], until: datetime | None
    ) -> None:
        with transaction.atomic():
            count = interventions.snooze(rows, until)
            self._log(request, rows, "Snoozed until")
        if until is None:
            text = ngettext(
                "%(count)d rule is no longer snoozed.",
                "%(count)d rules are no longer snoozed.",
                count,
            )
        else:
            text = ngettext(
                "%(count)d rule is snoozed until %(until)s.",
                "%(count)d rules are snoozed until %(until)s.",
                count,
            )
        self.message_user(
            request, text % {"count": count, "until": instant(until)}, messages.SUCCESS
        )

    # Enable and disable

    @admin.action(permissions=["change"], description=_("Enable selected rules"))
    def enable(self, request: HttpRequest, queryset: QuerySet[MonitorRule]) -> None:
        changed = self._switch(request, queryset, on=True)
        self.message_user(
            request,
            ngettext("%d rule was enabled.", "%d rules were enabled.", changed) % changed,
            messages.SUCCESS if changed else messages.WARNING,
        )

    @admin.action(permissions=["change"], description=_("Disable selected rules"))
    def disable(self, request: HttpRequest, queryset: QuerySet[MonitorRule]) -> None:
        changed = self._switch(request, queryset, on=False)
        self.message_user(
            request,
            ngettext("%d rule was disabled.", "%d rules were disabled.", changed) % changed,
            messages.SUCCESS if changed else messages.WARNING,
        )

    def _switch(self, request: HttpRequest, queryset: QuerySet[MonitorRule], *, on: bool) -> int:
        """Set `enabled` where it is not so yet, with a log entry for each rule; count them."""
        with transaction.atomic():
            rows = list(queryset.select_for_update().exclude(enabled=on))
            pks = [row.pk for row in rows]
            MonitorRule.objects.filter(pk__in=pks).update(enabled=on, updated_at=timezone.now())
            self._log(request, rows, "Enabled")
        return len(rows)

    def _log(self, request: HttpRequest, rows: Sequence[MonitorRule], field: str) -> None:
        log(request, rows, CHANGE, [{"changed": {"fields": [field]}}])

    # A mail to try

    def _send_test_mail(self, request: HttpRequest, row: MonitorRule) -> None:
        """Send the alert of this rule to whoever asks, and to nobody else."""
        if not self.has_change_permission(request, row):
            raise PermissionDenied
        address = getattr(request.user, "email", "")
        if not is_address(address):
            text = gettext("Your account has no e-mail address to send it to.")
            self.message_user(request, text, messages.ERROR)
            return
        try:
            _mail(row, address, tells_log=may_view_executions(request))
        except DeliveryError as error:  # in the words of the server
            self.message_user(request, str(error), messages.ERROR)
        except InvalidValueError as error:
            for problem in error.problems:
                self.message_user(request, in_words(problem), messages.ERROR)
        else:
            text = gettext("A test mail was sent to %s.") % address
            self.message_user(request, text, messages.SUCCESS)


def _mail(row: MonitorRule, address: str, *, tells_log: bool) -> None:
    mail = preview(row, timezone.now(), tells_log=tells_log).mail
    with mail_language():
        subject = gettext("[TEST] %s") % mail.subject
    # Only composed, never stored: it is about no incident.
    message = Notification(
        recipient=address,
        subject=subject[:255],
        text_body=mail.text_body,
        html_body=mail.html_body,
        message_id=make_msgid(domain=str(DNS_NAME)),
    )
    with Mailer() as mailer:
        mailer.send(message)


def _told(report: Report) -> tuple[str, int]:
    """Return what a check found as one sentence, and how loud to say it."""
    if report.state == "skipped":
        return gettext(
            "Another check of the same rules is running; look again soon."
        ), messages.WARNING
    failing, unknown = report.counts["failing"], report.counts["unknown"]
    text = ngettext("%d rule was checked", "%d rules were checked", report.counts["checked"])
    text %= report.counts["checked"]
    if not failing and not unknown:
        return gettext("%s: no failure.") % text, messages.SUCCESS
    found = [*report.failures, *report.unknown]
    named = [f"{one['rule']} ({in_words(one['reason'])})" for one in found]
    more = len(named) - MOST_TOLD
    listed = "; ".join(named[:MOST_TOLD]) + (gettext("; and %d more") % more if more > 0 else "")
    sent = sum(message["state"] == "sent" for message in report.messages)
    mails = ngettext("%d mail was sent", "%d mails were sent", sent) % sent
    waiting = sum(message["state"] in OWED for message in report.messages)
    if waiting:
        mails += ", " + ngettext("%d is still owed", "%d are still owed", waiting) % waiting
    return f"{text}. {listed}. {mails}.", messages.ERROR if failing else messages.WARNING
