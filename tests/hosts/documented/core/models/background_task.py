from django.db import models


class TaskStatus(models.TextChoices):
    PENDING = "Pending"
    QUEUED = "Queued"
    RUNNING = "Running"
    STOPPED = "Stopped"
    COMPLETED = "Completed"
    CANCELLED = "Cancelled"
    INVALIDATED = "Invalidated"


class BackgroundTask(models.Model):
    """One run of a Celery task, as this project has always recorded it."""

    task_name = models.CharField(max_length=255)
    task_id = models.CharField(max_length=256, blank=True, default="")
    status = models.CharField(
        max_length=255, choices=TaskStatus.choices, default=TaskStatus.PENDING
    )
    submitted_on = models.DateTimeField(auto_now_add=True)
    last_update = models.DateTimeField(auto_now=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    progress = models.FloatField(null=True, blank=True)
    progress_text = models.TextField(null=True, blank=True)  # noqa: DJ001 - as such projects have it
    errors = models.TextField(null=True, blank=True)  # noqa: DJ001
    stack_trace_errors = models.TextField(null=True, blank=True)  # noqa: DJ001
    parameters = models.TextField(null=True, blank=True)  # noqa: DJ001
    context_id = models.CharField(max_length=255, null=True, blank=True)  # noqa: DJ001

    class Meta:
        verbose_name = "background task"

    def __str__(self):
        return f"{self.task_name} ({self.status})"
