"""Channels: their form, which never shows an address again, and the test of one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern
from django.utils.decorators import method_decorator
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from monitoring.admin.base import ONE_ROW, MonitoringAdmin, list_link, log, may_view, url
from monitoring.admin.channel_form import ChannelForm
from monitoring.admin.display import EMPTY, Tone, badge
from monitoring.channels.apprise import Caller, is_installed
from monitoring.channels.base import DeliveryError
from monitoring.models import Channel, MonitorRule, Notification
from monitoring.models.encryption import INSTALL

MOST_NAMED = 5
"""Rules that are named when a channel cannot go because of them."""


@admin.register(Channel)
class ChannelAdmin(MonitoringAdmin):
    form = ChannelForm
    change_form_template = "admin/monitoring/channel/change_form.html"
    delete_confirmation_template = "admin/monitoring/channel/delete_confirmation.html"
    list_display = ("name", "state", "address", "used_by", "waiting")
    list_filter = ("enabled",)
    search_fields = ("name",)

    def get_urls(self) -> list[URLPattern]:
        views = {"send-test": require_POST(self.send_test_view)}
        return self.views_at(ONE_ROW, views) + super().get_urls()

    def get_fieldsets(self, request: HttpRequest, obj: Channel | None = None) -> Any:
        if obj is None:
            return ((None, {"fields": ("name", "url", "enabled")}),)
        may_change = self.has_change_permission(request, obj)
        address = ("address", "url") if may_change else "address"
        fields = ("name", address, "enabled")
        return (
            (None, {"fields": fields}),
            (_("In use"), {"fields": (("used_by", "waiting"),)}),
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Any | None = None) -> Any:
        # Rules, files and messages know it by its name.
        return () if obj is None else ("name", "address", "used_by", "waiting")

    def attach(self, request: HttpRequest, rows: Sequence[Channel]) -> None:
        names = {row.name for row in rows}
        used = _rules_naming(names) if may_view(request, MonitorRule) else {}
        owed: dict[str, int] = {}
        if may_view(request, Notification):
            owed = _owed(names)
        for row in rows:
            vars(row)["rules_now"] = used.get(row.name)
            vars(row)["owed_now"] = owed.get(row.name)

    def attach_detail(self, request: HttpRequest, row: Channel) -> None:
        self.attach(request, [row])

    @admin.display(description=_("state"))
    def state(self, row: Channel) -> str:
        if not row.encrypted_url:
            return badge(_("No address"), Tone.BAD)
        return badge(_("Enabled"), Tone.GOOD) if row.enabled else badge(_("Disabled"), Tone.QUIET)

    @admin.display(description=_("address"))
    def address(self, row: Channel) -> str:
        return row.shown_url or EMPTY

    @admin.display(description=_("rules"))
    def used_by(self, row: Channel) -> str:
        rules = vars(row).get("rules_now")
        if not rules:
            return EMPTY
        text = ngettext("%d rule", "%d rules", len(rules)) % len(rules)
        return list_link(self.admin_site, MonitorRule, text, recipient=row.name)

    @admin.display(description=_("waiting messages"))
    def waiting(self, row: Channel) -> str:
        count = vars(row).get("owed_now")
        if not count:
            return EMPTY
        return list_link(self.admin_site, Notification, str(count), q=row.name)

    # Views

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        self._warn(request)
        return super().changelist_view(request, extra_context)

    # An error page or an error mail shows what was sent.
    @method_decorator(sensitive_post_parameters("url"))
    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        if request.method == "GET":
            self._warn(request)
        return super().changeform_view(request, object_id, form_url, extra_context)

    def _warn(self, request: HttpRequest) -> None:
        if not is_installed():
            text = gettext("Channels need packages that are not there: %s") % INSTALL
            self.message_user(request, text, messages.WARNING)

    def send_test_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.get_object(request, unquote(object_id))
        if not self.has_change_permission(request, row):
            raise PermissionDenied
        if row is None:
            raise Http404
        try:
            with Caller() as caller:
                caller.send_test(row)
        except DeliveryError as error:
            text = gettext("The test message was not accepted: %s") % error
            self.message_user(request, text, messages.ERROR)
            log(request, [row], CHANGE, gettext("A test message was not accepted."))
        else:
            text = gettext("The test message was accepted by %s") % row.shown_url
            self.message_user(request, text, messages.SUCCESS)
            log(request, [row], CHANGE, gettext("A test message was accepted."))
        return HttpResponseRedirect(url(self.admin_site, Channel, "change", row.pk))

    # What is in use stays

    def save_model(self, request: HttpRequest, obj: Channel, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        count = len(_rules_naming({obj.name}).get(obj.name, ()))
        if not obj.enabled and "enabled" in form.changed_data and count:
            text = ngettext(
                "%d rule names this channel: superusers get what it would have got.",
                "%d rules name this channel: superusers get what it would have got.",
                count,
            )
            self.message_user(request, text % count, messages.WARNING)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Keep a channel that a rule names or that something waits for."""
        deleted, counts, permissions, protected = super().get_deleted_objects(objs, request)
        return deleted, counts, permissions, [*protected, *_obstacles(objs)]


def _obstacles(channels: Iterable[Channel]) -> list[str]:
    names = {channel.name for channel in channels}
    used, owed = _rules_naming(names), _owed(names)
    found = []
    for name in sorted(names):
        rules = used.get(name, [])
        found += [
            gettext('%(channel)s: named by the rule "%(rule)s"') % {"channel": name, "rule": rule}
            for rule in rules[:MOST_NAMED]
        ]
        if more := len(rules[MOST_NAMED:]):
            text = ngettext("%(channel)s: %(n)d more rule", "%(channel)s: %(n)d more rules", more)
            found.append(text % {"channel": name, "n": more})
        if count := owed.get(name, 0):
            text = ngettext(
                "%(channel)s: %(n)d message waits for it",
                "%(channel)s: %(n)d messages wait for it",
                count,
            )
            found.append(text % {"channel": name, "n": count})
    return found


def _rules_naming(names: set[str]) -> dict[str, list[str]]:
    """Return the names of the rules that tell each of these channels."""
    found: dict[str, list[str]] = {}
    rules = MonitorRule.objects.exclude(channels=[]).order_by("name")
    for rule, channels in rules.values_list("name", "channels"):
        for name in names.intersection(channels if isinstance(channels, list) else ()):
            found.setdefault(name, []).append(rule)
    return found


def _owed(names: set[str]) -> dict[str, int]:
    """Return how many messages wait for each of these channels."""
    waiting = Notification.objects.to_deliver().filter(channel__in=names).order_by()
    return dict(waiting.values_list("channel").annotate(count=Count("pk")))
