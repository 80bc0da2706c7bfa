"""The task log that the recorder keeps."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from monitoring.models.choices import TaskStatus
from monitoring.models.fields import ExactCharField


class BackgroundTask(models.Model):
    """One execution of a Celery task; retries of it are the same row."""

    task_id = ExactCharField(_("task id"), max_length=255, unique=True)
    task_name = ExactCharField(_("task"), max_length=255)
    status = models.CharField(
        _("status"), max_length=16, choices=TaskStatus, default=TaskStatus.PENDING
    )
    submitted_at = models.DateTimeField(_("submitted at"), null=True, blank=True)
    started_at = models.DateTimeField(
        _("started at"), null=True, blank=True, help_text=_("Start of the latest attempt.")
    )
    first_started_at = models.DateTimeField(_("first started at"), null=True, blank=True)
    finished_at = models.DateTimeField(_("finished at"), null=True, blank=True)
    last_update = models.DateTimeField(_("last update"), default=timezone.now)
    parameters = models.TextField(_("parameters"), blank=True)
    context_id = ExactCharField(_("context id"), max_length=255, blank=True)
    errors = models.TextField(_("errors"), blank=True)
    stack_trace_errors = models.TextField(_("stack trace"), blank=True)
    worker = models.CharField(_("worker"), max_length=255, blank=True)
    queue = models.CharField(_("queue"), max_length=255, blank=True)
    retries = models.PositiveIntegerField(_("retries"), default=0)
    periodic_task_name = models.CharField(_("periodic task"), max_length=200, blank=True)
    position = models.PositiveBigIntegerField(
        _("position"),
        default=0,
        editable=False,
        help_text=_("Attempt and phase of the last signal; late signals stand before it."),
    )

    class Meta:
        verbose_name = _("execution")
        verbose_name_plural = _("executions")
        ordering = ("-pk",)
        indexes = (
            # Latest execution of a task: read backwards from the window's end.
            models.Index(fields=("task_name", "started_at", "id"), name="monitoring_latest_start"),
            # What waits and what runs, per task; and when many executions began and ended, which
            # would otherwise be read from all over the table.
            models.Index(
                fields=("status", "task_name", "started_at", "id", "finished_at"),
                name="monitoring_by_status",
            ),
        )
        constraints = (
            models.CheckConstraint(
                condition=Q(status__in=TaskStatus.values), name="monitoring_execution_status"
            ),
            models.CheckConstraint(
                condition=~Q(task_name=""), name="monitoring_execution_has_task_name"
            ),
        )

    def __str__(self) -> str:
        return f"{self.task_name} {self.task_id}"
