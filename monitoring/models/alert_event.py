"""Incidents: opened by the first failing verdict, resolved by the first ok."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from monitoring.models.choices import VerdictChoices
from monitoring.models.fields import ExactCharField
from monitoring.models.rule import MonitorRule


class AlertEventQuerySet(models.QuerySet["AlertEvent"]):
    def open(self) -> AlertEventQuerySet:
        # The same as "is not null", which SQLite answers by reading every event there ever was; as
        # it does if they are wanted in an order that has an index: so they come in none.
        return self.order_by().filter(open_key__gt="")

    def acknowledged(self, now: datetime) -> AlertEventQuerySet:
        """Return the open events that somebody takes care of at this time."""
        lasting = Q(acknowledged_until__isnull=True) | Q(acknowledged_until__gt=now)
        return self.open().filter(lasting, acknowledged_at__isnull=False)


class AlertEvent(models.Model):
    """One incident of one rule, or of one entry of JSON arguments."""

    class Resolution(models.TextChoices):
        RECOVERED = "recovered", _("Recovered")
        RULE_DISABLED = "rule_disabled", _("Rule disabled")
        RULE_DELETED = "rule_deleted", _("Rule deleted")
        RULE_RETARGETED = "rule_retargeted", _("Rule pointed at something else")
        MANUAL = "manual", _("Resolved by hand")
        UNWATCHED = "unwatched", _("No longer watched")

    rule = models.ForeignKey(
        MonitorRule,
        verbose_name=_("rule"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="alert_events",
    )
    rule_name = models.CharField(
        _("name of the rule"), max_length=255, blank=True, help_text=_("Kept when it is deleted.")
    )
    periodic_task = ExactCharField(
        _("periodic task"),
        max_length=200,
        blank=True,
        default="",
        help_text=_("Whose JSON arguments watch it; empty for rules."),
    )
    key = ExactCharField(_("key"), max_length=64, db_index=True)
    # Unique while open and NULL once resolved: at most one open event per key on every database,
    # MariaDB included, which has no partial unique index.
    open_key = ExactCharField(_("open key"), max_length=64, null=True, blank=True, unique=True)
    task_name = ExactCharField(_("task"), max_length=255)
    verdict = models.CharField(_("verdict"), max_length=16, choices=VerdictChoices)
    current_status = models.CharField(_("current status"), max_length=32)
    expected_statuses = models.JSONField(_("expected statuses"), default=list)
    lookback_hours = models.FloatField(_("lookback hours"))
    dependent_tasks = models.JSONField(_("dependent tasks"), default=list)
    context_model = models.CharField(_("context model"), max_length=255, blank=True)
    context_type = ExactCharField(_("context type"), max_length=255, blank=True)
    rule_settings = models.JSONField(
        _("other settings of the rule"),
        default=dict,
        blank=True,
        help_text=_("What else the rule said at the last failing check."),
    )
    task_id = ExactCharField(_("task id"), max_length=255, blank=True)
    started_at = models.DateTimeField(_("started at"), null=True, blank=True)
    finished_at = models.DateTimeField(_("finished at"), null=True, blank=True)
    opened_at = models.DateTimeField(_("opened at"), db_index=True)
    last_checked_at = models.DateTimeField(_("last checked at"))
    failing_checks = models.PositiveIntegerField(_("failing checks"), default=1)
    last_message_at = models.DateTimeField(_("last message at"), null=True, blank=True)
    alert_owed = models.BooleanField(
        _("alert owed"),
        default=False,
        help_text=_(
            "Nobody has been told yet: no recipient was found, the rule is snoozed, or a task "
            "that this one depends on was failing already."
        ),
    )
    upstream = models.ForeignKey(
        "self",
        verbose_name=_("upstream"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text=_("What was failing already when this began, and this task depends on."),
    )
    resolved_at = models.DateTimeField(_("resolved at"), null=True, blank=True)
    resolution = models.CharField(
        _("resolution"), max_length=16, choices=Resolution, blank=True, default=""
    )
    acknowledged_at = models.DateTimeField(_("acknowledged at"), null=True, blank=True)
    acknowledged_until = models.DateTimeField(
        _("acknowledged until"),
        null=True,
        blank=True,
        help_text=_("When messages begin again; empty: not before it is resolved."),
    )
    acknowledged_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("acknowledged by"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    note = models.TextField(
        _("note"),
        blank=True,
        help_text=_("What people said when they acknowledged or resolved it."),
    )
    cause = models.TextField(_("cause"), blank=True)

    objects = AlertEventQuerySet.as_manager()

    class Meta:
        verbose_name = _("alert event")
        verbose_name_plural = _("alert events")
        ordering = ("-opened_at", "-pk")
        permissions = (("acknowledge_alertevent", _("Can acknowledge and resolve alert events")),)
        indexes = (
            models.Index(fields=("task_name", "opened_at"), name="monitoring_event_task"),
            # The list by verdict or resolution, the newest first.
            models.Index(fields=("verdict", "opened_at"), name="monitoring_event_verdict_list"),
            models.Index(fields=("resolution", "opened_at"), name="monitoring_event_resolution"),
        )
        constraints = (
            models.CheckConstraint(
                condition=Q(verdict__in=VerdictChoices.values), name="monitoring_event_verdict"
            ),
            models.CheckConstraint(
                condition=Q(open_key__isnull=True, resolved_at__isnull=False)
                | Q(open_key__isnull=False, resolved_at__isnull=True),
                name="monitoring_event_open_or_resolved",
            ),
        )

    def __str__(self) -> str:
        return f"{self.task_name}: {self.get_verdict_display()}"

    @property
    def is_open(self) -> bool:
        return self.resolved_at is None

    def is_acknowledged(self, now: datetime) -> bool:
        """Say whether somebody takes care of it, and has not promised to be done by now."""
        until = self.acknowledged_until
        return self.acknowledged_at is not None and (until is None or until > now)
