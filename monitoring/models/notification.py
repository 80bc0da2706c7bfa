"""The outbox: messages that are owed until they are delivered."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from monitoring.core.channels import MAX_CHANNEL_NAME_LENGTH
from monitoring.models.alert_event import AlertEvent
from monitoring.models.choices import OWED, NotificationKind, NotificationState
from monitoring.models.fields import ExactCharField
from monitoring.models.run import MonitorRun

FARTHEST = timedelta(hours=3)
"""No attempt and no claim is ever set further ahead; one that is was set by a clock gone wrong."""


class NotificationQuerySet(models.QuerySet["Notification"]):
    def due(self, now: datetime) -> NotificationQuerySet:
        """Return what may be claimed: owed and due, or claimed by somebody who never finished."""
        absurd = now + FARTHEST
        pending = Q(next_attempt_at__lte=now) | Q(next_attempt_at__gt=absurd)
        claimed = Q(claimed_until__lt=now) | Q(claimed_until__gt=absurd)
        return self.filter(
            Q(state=NotificationState.PENDING) & pending
            | Q(state=NotificationState.SENDING) & claimed,
            digest__isnull=True,
        )

    def to_deliver(self) -> NotificationQuerySet:
        """Return what is owed by a mail of its own, and not said by a digest."""
        return self.owed().filter(digest__isnull=True)

    def first_of_their_incident(self) -> NotificationQuerySet:
        """Leave out what has to wait for an earlier message of its incident to its recipient.

        A digest waits as long as any of the messages that it says has to.
        """
        earlier = Notification.objects.owed().filter(
            alert_event=OuterRef("alert_event"),
            recipient=OuterRef("recipient"),
            pk__lt=OuterRef("pk"),
        )
        waiting = Notification.objects.filter(Exists(earlier), digest=OuterRef("pk"))
        return self.filter(~Exists(earlier), ~Exists(waiting))

    def owed(self) -> NotificationQuerySet:
        return self.filter(state__in=OWED)


class Notification(models.Model):
    """One message owed to one recipient about one alert event."""

    alert_event = models.ForeignKey(
        AlertEvent,
        verbose_name=_("alert event"),
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="notifications",
        help_text=_("Empty: a digest, or it says that a rule cannot be checked."),
    )
    kind = models.CharField(_("kind"), max_length=16, choices=NotificationKind)
    recipient = models.CharField(_("recipient"), max_length=254)
    channel = ExactCharField(
        _("channel"),
        max_length=MAX_CHANNEL_NAME_LENGTH,
        blank=True,
        default="",
        help_text=_("The channel that the recipient is; empty: it is a mail address."),
    )
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
    refused_since = models.DateTimeField(
        _("refused since"),
        null=True,
        blank=True,
        editable=False,
        help_text=_("The first of the refusals in a row by a server that could be reached."),
    )
    created_at = models.DateTimeField(_("created at"), default=timezone.now)
    next_attempt_at = models.DateTimeField(_("next attempt at"), default=timezone.now)
    run = models.ForeignKey(
        MonitorRun,
        verbose_name=_("check"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="notifications",
        help_text=_("The check that decided it."),
    )
    is_digest = models.BooleanField(
        _("is a digest"), default=False, help_text=_("One mail that says many others.")
    )
    digest = models.ForeignKey(
        "self",
        verbose_name=_("digest"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="members",
        help_text=_("The one mail that says this together with many others."),
    )
    stands_in_for = models.ForeignKey(
        "self",
        verbose_name=_("stands in for"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text=_("The message that was refused for good and goes to superusers instead."),
    )
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
            # The list of one kind, the newest first.
            models.Index(fields=("kind", "id"), name="monitoring_message_kind_list"),
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


class DeliveryWakeup(models.Model):
    """When delivery comes back by itself: one row, so that wake-up calls do not multiply."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    at = models.DateTimeField(_("at"))

    class Meta:
        verbose_name = _("delivery wake-up")
        verbose_name_plural = _("delivery wake-ups")
        constraints = (
            models.CheckConstraint(condition=Q(id=1), name="monitoring_one_delivery_wakeup"),
        )

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S}"
