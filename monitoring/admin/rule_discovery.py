"""The page that proposes rules: what nobody watches, and what no longer fits its schedule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import messages
from django.contrib.admin.models import ADDITION, CHANGE
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.validators import MaxValueValidator
from django.db import router, transaction
from django.forms.utils import ErrorDict
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django_celery_beat.models import PeriodicTask

from monitoring.admin.base import MonitoringAdmin, link, log, may_view, may_view_executions, url
from monitoring.admin.display import in_words, statuses
from monitoring.admin.fields import NumberInput
from monitoring.core.discovery import REASONS, Proposal, Reason
from monitoring.core.values import MAX_LOOKBACK_HOURS
from monitoring.discovery import Accepted, accept, as_rule, discover
from monitoring.models import MonitorRule
from monitoring.models.rule import validate_positive

MOST = 50
"""Proposals on one page; when they are accepted, the next come."""
MOST_TOLD = 20
"""New rules that the answer links to."""


class ProposalForm(forms.Form):
    """One proposal: whether to accept it, and what to change about it before."""

    accept = forms.BooleanField(required=False)
    name = forms.CharField(max_length=255)
    lookback_hours = forms.FloatField(
        widget=NumberInput,
        validators=[validate_positive, MaxValueValidator(MAX_LOOKBACK_HOURS)],
    )

    def __init__(self, proposal: Proposal, data: Any = None) -> None:
        self.proposal = proposal
        super().__init__(
            data,
            # A place in the list would be another one when the list has changed.
            prefix=sha256(proposal.identity.encode()).hexdigest()[:16],
            initial={"name": proposal.name, "lookback_hours": proposal.lookback_hours},
        )
        if not proposal.is_new:
            del self.fields["name"]
        if proposal.reason is Reason.GONE:
            del self.fields["lookback_hours"]
        labels = {
            "accept": _("Accept: %s"),
            "name": _("Name of the rule for %s"),
            "lookback_hours": _("Look back, in hours: %s"),
        }
        for name, field in self.fields.items():
            field.widget.attrs |= {"aria-label": labels[name] % proposal.task_name}

    @property
    def is_chosen(self) -> bool:
        return self.is_bound and (self.add_prefix("accept") in self.data or "all" in self.data)

    def full_clean(self) -> None:
        if self.is_bound and not self.is_chosen:
            self._errors, self.cleaned_data = ErrorDict(), {}
        else:
            super().full_clean()

    def clean(self) -> dict[str, Any]:
        data = self.cleaned_data
        if not self.errors and self.proposal.is_new:
            try:
                as_rule(self.edited).full_clean()
            except ValidationError as error:
                for field, found in error.error_dict.items():
                    self.add_error(field if field in self.fields else None, found)
        return data

    @property
    def edited(self) -> Proposal:
        """The proposal as the form has it."""
        fields = set(self.fields) - {"accept"}
        return replace(self.proposal, **{name: self.cleaned_data[name] for name in fields})


class RuleDiscovery(MonitoringAdmin):
    """Adds the page, and what its links ask of the form for a new rule."""

    change_list_template = "admin/monitoring/rule_list.html"

    def get_urls(self) -> list[URLPattern]:
        return self.views_at("", {"discover": self.discover_view}) + super().get_urls()

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        initial: dict[str, Any] = super().get_changeform_initial_data(request)
        expected = initial.get("expected_statuses")
        if isinstance(expected, str):
            initial["expected_statuses"] = expected.split(",")
        return initial

    def discover_view(self, request: HttpRequest) -> HttpResponse:
        """Show what is proposed; add and change what was chosen, all or none."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        found = self._proposed(request)
        data = request.POST if request.method == "POST" else None
        shown = [ProposalForm(one, data) for one in found[:MOST]]
        if data is not None and self._accept(request, [form for form in shown if form.is_chosen]):
            return HttpResponseRedirect(url(self.admin_site, MonitorRule, "discover"))
        context = {
            **self.admin_site.each_context(request),
            "title": _("Discover rules"),
            "opts": self.opts,
            "media": self.media,
            "rows": [self._row(request, form) for form in shown],
            "has_more": len(found) > len(shown),
            "sees_schedules": may_view(request, PeriodicTask),
            "sees_log": may_view_executions(request),
        }
        return TemplateResponse(request, "admin/monitoring/discover.html", context)

    def _proposed(self, request: HttpRequest) -> list[Proposal]:
        found = discover(
            timezone.now(),
            most=MOST + 1,
            sees_schedules=may_view(request, PeriodicTask),
            sees_log=may_view_executions(request),
        )
        may_change = self.has_change_permission(request)
        return [one for one in found if one.is_new or may_change]

    def _row(self, request: HttpRequest, form: ProposalForm) -> dict[str, Any]:
        one = form.proposal
        if one.is_new:
            query = {
                "name": one.name,
                "task_name": one.task_name,
                "lookback_hours": f"{one.lookback_hours:g}",
                "expected_statuses": ",".join(one.expected_statuses),
            }
            edit_url = f"{url(self.admin_site, MonitorRule, 'add')}?{urlencode(query)}"
        else:
            edit_url = url(self.admin_site, MonitorRule, "change", one.rule_id)
        return {
            "form": form,
            "proposal": one,
            "is_gone": one.reason is Reason.GONE,
            "reason": in_words(REASONS[one.reason]),
            "expected": statuses([status.value for status in one.expected_statuses]),
            "grounds": [in_words(ground.text) for ground in one.grounds],
            "edit_url": edit_url,
        }

    def _accept(self, request: HttpRequest, chosen: Sequence[ProposalForm]) -> bool:
        """Accept what was chosen, and say so; False: nothing was, and the page says why."""
        if not chosen:
            text = _("Nothing was accepted: choose at least one that is still proposed.")
            self.message_user(request, text, messages.WARNING)
            return False
        if not all(form.is_valid() for form in chosen):
            text = _("Nothing was accepted: correct the errors below.")
            self.message_user(request, text, messages.ERROR)
            return False
        try:
            with transaction.atomic(using=router.db_for_write(MonitorRule)):
                accepted = accept([form.edited for form in chosen])
                self._log_accepted(request, accepted)
        except ValidationError as error:  # two of them have the same name
            text = _("Nothing was accepted: %s") % " ".join(error.messages)
            self.message_user(request, text, messages.ERROR)
            return False
        for text in self._told(accepted):
            self.message_user(request, text, messages.SUCCESS)
        return True

    def _log_accepted(self, request: HttpRequest, accepted: Accepted) -> None:
        log(request, accepted.added, ADDITION, [{"added": {}}])
        for rows, label in (
            (accepted.changed, "Look back, in hours"),
            (accepted.disabled, "Enabled"),
        ):
            log(request, rows, CHANGE, [{"changed": {"fields": [label]}}])

    def _told(self, accepted: Accepted) -> list[str]:
        added, changed, disabled = accepted.added, accepted.changed, accepted.disabled
        parts = (
            (added, ngettext("%d rule was added", "%d rules were added", len(added))),
            (changed, ngettext("%d rule was changed", "%d rules were changed", len(changed))),
            (disabled, ngettext("%d rule was disabled", "%d rules were disabled", len(disabled))),
        )
        return [self._links(text % len(rows), rows) for rows, text in parts if rows]

    def _links(self, text: str, rows: Sequence[MonitorRule]) -> str:
        site = self.admin_site
        named = [(link(site, MonitorRule, row.pk, row.name),) for row in rows[:MOST_TOLD]]
        more = ", …" if len(rows) > MOST_TOLD else ""
        return format_html("{}: {}{}.", text, format_html_join(", ", "{}", named), more)
