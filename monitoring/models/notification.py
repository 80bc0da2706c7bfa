"""The outbox: messages that are owed until they are delivered."""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from monitoring.models.alert_event import AlertEvent
from monitoring.models.choices import NotificationKind, NotificationState


class NotificationQuerySet(models.QuerySet["Notification"]):
    def due(self, now: datetime) -> NotificationQuerySet:
        """Return what may be claimed: owed and due, or claimed by somebody who never finished."""
        return self.filter(
            Q(state=NotificationState.PENDING, next_attempt_at__lte=now)
            | Q(state=NotificationState.SENDING, claimed_until__lt=now)
        )

    def owed(self) -> NotificationQuerySet:
        return self.filter(state__in=(NotificationState.PENDING, NotificationState.SENDING))


class Notification(models.Model):
    """One message owed to one recipient about one alert event."""

    alert_event = models.ForeignKey(
        AlertEvent,
        verbose_name=_("alert event"),
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="notifications",
        help_text=_("Empty: it says that a rule cannot be checked."),
    )
    kind = models.CharField(_("kind"), max_length=16, choices=NotificationKind)
    recipient = models.CharField(_("recipient"), max_length=254)
    subject = models.CharField(_("subject"), max_length=255)
    facts = models.JSONField(_("facts"), default=dict, help_text=_("What the message says."))
    text_body = models.TextField(_("text"), blank=True)
    html_body = models.TextField(_("HTML"), blank=True)
    state = models.CharField(
        _("state"),
        max_length=16,
        choices=NotificationState,
        default=NotificationState.PENDING,
    )
    suppressed_by = models.CharField(_("suppressed by"), max_length=32, blank=True)
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    created_at = models.DateTimeField(_("created at"), default=timezone.now)
    next_attempt_at = models.DateTimeField(_("next attempt at"), default=timezone.now)
    claim = models.CharField(_("claim"), max_length=32, blank=True, editable=False)
    claimed_until = models.DateTimeField(_("claimed until"), null=True, blank=True, editable=False)
    sent_at = models.DateTimeField(_("sent at"), null=True, blank=True)
    error = models.TextField(_("error"), blank=True)
    message_id = models.CharField(_("message id"), max_length=255, blank=True)

    objects = NotificationQuerySet.as_manager()

    class Meta:
        verbose_name = _("notification")
        verbose_name_plural = _("notifications")
        ordering = ("-pk",)
        indexes = (
            # What delivery asks for: the oldest that is due.
            models.Index(fields=("state", "next_attempt_at"), name="monitoring_outbox_due"),
            models.Index(fields=("claim",), name="monitoring_outbox_claim"),
        )
        constraints = (
            models.CheckConstraint(
                condition=Q(kind__in=NotificationKind.values), name="monitoring_message_kind"
            ),
            models.CheckConstraint(
                condition=Q(state__in=NotificationState.values), name="monitoring_message_state"
            ),
            models.CheckConstraint(
                condition=~Q(recipient="") | Q(state=NotificationState.SUPPRESSED),
                name="monitoring_message_has_recipient",
            ),
        )

    def __str__(self) -> str:
        return f"{self.subject} → {self.recipient}"
