from __future__ import annotations

import uuid

from django.db import models


class BackgroundTask(models.Model):
    """The documented model (10.10.4), with the fields that such projects have."""

    task_name = models.CharField(max_length=255)
    task_id = models.CharField(max_length=256, blank=True)
    status = models.CharField(max_length=255, default="Pending")
    submitted_on = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    last_update = models.DateTimeField(null=True)
    parameters = models.JSONField(null=True)
    context_id = models.CharField(max_length=255, null=True)  # noqa: DJ001 - as hosts have it
    errors = models.TextField(null=True)  # noqa: DJ001
    stack_trace_errors = models.TextField(null=True)  # noqa: DJ001

    class Meta:
        app_label = "core"
        indexes = (models.Index(fields=("task_name", "started_at"), name="core_task_started"),)

    def __str__(self) -> str:
        return f"{self.task_name} {self.pk}"


class JobRun(models.Model):
    """Nothing is called as we call it, and its key is no number."""

    class State(models.IntegerChoices):
        WAITING = 0
        ACTIVE = 1
        DONE = 2
        BROKEN = 3
        DROPPED = 4
        AGAIN = 5
        TAKEN = 6

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    job = models.CharField(max_length=200)
    ticket = models.CharField(max_length=64, blank=True, db_column="ticket_number")
    state = models.IntegerField(choices=State.choices)
    asked = models.DateTimeField(null=True)
    begun = models.DateTimeField(null=True, db_column="begun_at")
    ended = models.DateTimeField(null=True)
    trouble = models.JSONField(null=True)
    subject = models.BigIntegerField(null=True)
    host = models.CharField(max_length=100, blank=True)

    class Meta:
        app_label = "core"
        indexes = (models.Index(fields=("job", "begun"), name="core_job_begun"),)

    def __str__(self) -> str:
        return f"{self.job} {self.pk}"


class Archived(models.Model):
    """Lacks what a task log must have."""

    task_name = models.CharField(max_length=255)
    began = models.DateTimeField(null=True)
    state = models.IntegerField(default=0)

    class Meta:
        app_label = "core"

    def __str__(self) -> str:
        return str(self.task_name)
