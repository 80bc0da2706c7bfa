"""Workers, as far as their heartbeats tell."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from monitoring.models.fields import ExactCharField


class WorkerHeartbeat(models.Model):
    """The last sign of life of one Celery worker; workers without heartbeats have no row."""

    node = ExactCharField(_("worker"), max_length=255, unique=True, help_text=_("Its node name."))
    booted_at = models.DateTimeField(
        _("booted at"), help_text=_("Start of its process; what ran before that is over.")
    )
    seen_at = models.DateTimeField(_("last seen at"))
    stopped_at = models.DateTimeField(
        _("stopped at"),
        null=True,
        blank=True,
        help_text=_("When it began to shut down in an orderly way."),
    )
    # NULL also where a worker of an older release writes the row.
    queues = models.JSONField(
        _("queues"),
        null=True,
        blank=True,
        help_text=_("What it takes tasks from: names and routing keys; empty: it has not told."),
    )

    class Meta:
        verbose_name = _("worker")
        verbose_name_plural = _("workers")
        ordering = ("node",)

    def __str__(self) -> str:
        return str(self.node)
