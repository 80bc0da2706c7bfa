# Run by `manage.py shell` of a host: documented examples over the task log that the host has.
#
# Reads examples.json, name to configuration. For each situation and example, stores one execution
# of every task in that status (or none), calls the task, and prints a line of JSON.

import json
import uuid
from datetime import timedelta
from pathlib import Path

from django.apps import apps
from django.utils import timezone

from monitoring.conf import get_settings
from monitoring.tasks import monitor_task_status

SITUATIONS = ("", "Stopped", "Completed")


def store_own(model, started, context, **columns):
    model.objects.create(
        submitted_at=started, started_at=started, last_update=started, context_id=context, **columns
    )


def store_host(model, started, context, **columns):
    model.objects.create(started_at=started, context_id=context, **columns)


def store_result(model, started, context, status, **columns):
    args = (int(context),) if context else ()
    state = {"Stopped": "FAILURE", "Completed": "SUCCESS"}[status]
    row = model.objects.create(status=state, task_args=json.dumps(repr(args)), **columns)
    model.objects.filter(pk=row.pk).update(date_created=started)


def forget(config):
    log.objects.filter(task_name__in=list(config)).delete()


STORES = {
    "monitoring.BackgroundTask": store_own,
    "core.BackgroundTask": store_host,
    "django_celery_results.TaskResult": store_result,
}
label = get_settings().TASK_LOG or "monitoring.BackgroundTask"
log, store = apps.get_model(label), STORES[label]

examples = json.loads(Path("examples.json").read_text())

for situation in SITUATIONS:
    for name, config in examples.items():
        forget(config)
        for task_name, entry in config.items():
            context = ""
            if "context_model" in entry and apps.is_installed("gap"):
                sessions = apps.get_model("gap.IngestorSession").objects
                context = str(sessions.create(ingestor_type=entry["context_type"]).pk)
            if situation:
                started = timezone.now() - timedelta(minutes=5)
                ids = {"task_name": task_name, "task_id": str(uuid.uuid4())}
                store(log, started, context, status=situation, **ids)
        said = {"example": name, "situation": situation, "tasks": len(config)}
        try:
            found = monitor_task_status(config)
            said |= {key: found[key] for key in ("checked", "ok", "failing", "unknown")}
        except ValueError as error:
            said["error"] = str(error)
        print(json.dumps(said))
        forget(config)
