"""What this project has always recorded of its tasks, by Celery's signals."""

import traceback

from celery import signals
from django.utils import timezone

from core.models import BackgroundTask, TaskStatus


def record(task_id, **values):
    BackgroundTask.objects.update_or_create(task_id=task_id, defaults=values)


@signals.before_task_publish.connect
def sent(sender, headers, **_):
    record(headers["id"], task_name=sender, status=TaskStatus.PENDING)


@signals.task_prerun.connect
def started(task_id, task, args, **_):
    context_id = args[0] if args and isinstance(args[0], int) else None
    record(
        task_id,
        task_name=task.name,
        status=TaskStatus.RUNNING,
        started_at=timezone.now(),
        parameters=repr(args),
        context_id=context_id,
    )


@signals.task_success.connect
def completed(sender, **_):
    record(
        sender.request.id,
        status=TaskStatus.COMPLETED,
        finished_at=timezone.now(),
        progress=100,
    )


@signals.task_failure.connect
def stopped(task_id, exception, **_):
    record(
        task_id,
        status=TaskStatus.STOPPED,
        finished_at=timezone.now(),
        errors=str(exception),
        stack_trace_errors="".join(traceback.format_exception(exception)),
    )
