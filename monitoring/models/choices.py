"""The words of the core as Django choices."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from monitoring.core.incidents import MessageKind
from monitoring.core.statuses import Status
from monitoring.core.values import VerdictKind, WhileRunning

# Plain strings, because a value of a foreign enum would put its import path into migrations.


class TaskStatus(models.TextChoices):
    """The seven documented statuses of an execution."""

    PENDING = Status.PENDING.value, _("Pending")
    QUEUED = Status.QUEUED.value, _("Queued")
    RUNNING = Status.RUNNING.value, _("Running")
    COMPLETED = Status.COMPLETED.value, _("Completed")
    STOPPED = Status.STOPPED.value, _("Stopped")
    CANCELLED = Status.CANCELLED.value, _("Cancelled")
    INVALIDATED = Status.INVALIDATED.value, _("Invalidated")


class VerdictChoices(models.TextChoices):
    OK = VerdictKind.OK.value, _("OK")
    STATUS_MISMATCH = VerdictKind.STATUS_MISMATCH.value, _("Status mismatch")
    NO_EXECUTION = VerdictKind.NO_EXECUTION.value, _("No execution")
    OVERRUNNING = VerdictKind.OVERRUNNING.value, _("Overrunning")
    SLOW = VerdictKind.SLOW.value, _("Slow")
    LOW_SUCCESS_RATE = VerdictKind.LOW_SUCCESS_RATE.value, _("Low success rate")
    UNKNOWN = VerdictKind.UNKNOWN.value, _("Unknown")
    IN_PROGRESS = VerdictKind.IN_PROGRESS.value, _("In progress")


class WhileRunningChoices(models.TextChoices):
    JUDGE = WhileRunning.JUDGE.value, _("Judge the latest execution as it stands")
    WAIT = WhileRunning.WAIT.value, _("Wait until it has finished")


class NotificationKind(models.TextChoices):
    ALERT = MessageKind.ALERT.value, _("Alert")
    REMINDER = MessageKind.REMINDER.value, _("Reminder")
    RECOVERY = MessageKind.RECOVERY.value, _("Recovery")


class NotificationState(models.TextChoices):
    PENDING = "pending", _("Pending")
    SENDING = "sending", _("Sending")
    SENT = "sent", _("Sent")
    FAILED = "failed", _("Failed")
    SUPPRESSED = "suppressed", _("Suppressed")


OWED = (NotificationState.PENDING, NotificationState.SENDING)
"""States of messages that are still to be delivered."""


class RunState(models.TextChoices):
    RUNNING = "running", _("Running")
    COMPLETE = "complete", _("Complete")
    FAILED = "failed", _("Failed")
