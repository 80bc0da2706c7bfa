"""The record of each check, which is also what keeps two from running at once."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from monitoring.models.choices import RunState
from monitoring.models.fields import ExactCharField


class MonitorRun(models.Model):
    """One pass over a set of rules at one instant."""

    rule_set = models.CharField(
        _("rule set"), max_length=255, help_text=_("What was asked to be checked.")
    )
    identity = ExactCharField(
        _("identity"),
        max_length=64,
        blank=True,
        default="",
        editable=False,
        help_text=_("The same for two checks that were asked for the same."),
    )
    task_id = ExactCharField(
        _("task id"),
        max_length=255,
        blank=True,
        default="",
        help_text=_("Of the message that asked for it; empty if a person did."),
    )
    # Unique while the check runs and NULL afterwards: one check at a time per rule set.
    lease = models.CharField(
        _("lease"), max_length=64, null=True, blank=True, unique=True, editable=False
    )
    leased_until = models.DateTimeField(_("leased until"), null=True, blank=True, editable=False)
    state = models.CharField(_("state"), max_length=16, choices=RunState, default=RunState.RUNNING)
    started_at = models.DateTimeField(_("started at"), db_index=True)
    finished_at = models.DateTimeField(_("finished at"), null=True, blank=True)
    not_checked_from = models.DateTimeField(
        _("not checked from"),
        null=True,
        blank=True,
        help_text=_("Checks were missing from here until this one."),
    )
    checked = models.PositiveIntegerField(_("checked"), default=0)
    ok = models.PositiveIntegerField(_("ok"), default=0)
    failing = models.PositiveIntegerField(_("failing"), default=0)
    unknown = models.PositiveIntegerField(_("unknown"), default=0)
    in_progress = models.PositiveIntegerField(_("in progress"), default=0)
    messages = models.PositiveIntegerField(_("messages owed"), default=0)
    error = models.TextField(_("error"), blank=True)

    class Meta:
        verbose_name = _("check")
        verbose_name_plural = _("checks")
        ordering = ("-pk",)
        indexes = (
            # When the same was checked before, and whether a message was obeyed already.
            models.Index(
                fields=("identity", "state", "started_at"), name="monitoring_run_identity"
            ),
            models.Index(fields=("task_id",), name="monitoring_run_task_id"),
        )
        constraints = (
            models.CheckConstraint(
                condition=Q(state__in=RunState.values), name="monitoring_run_state"
            ),
        )

    def __str__(self) -> str:
        return f"{self.rule_set} {self.started_at:%Y-%m-%d %H:%M:%S}"
