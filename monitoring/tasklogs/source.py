"""Which task log is in use: `MONITORING["TASK_LOG"]`."""

from __future__ import annotations

from functools import lru_cache

from django.apps import apps
from django.core.signals import setting_changed

from monitoring.conf import get_settings
from monitoring.core.names import did_you_mean
from monitoring.tasklogs import celery_results, host_model
from monitoring.tasklogs.background_task import OWN
from monitoring.tasklogs.base import TaskLog
from monitoring.tasklogs.host_model import TaskLogError


@lru_cache(maxsize=1)
def task_log() -> TaskLog:
    """Return the task log in use.

    Raises TaskLogError if the settings name one that cannot be read.
    """
    settings = get_settings()
    if settings.keeps_own_log:
        return OWN
    try:
        model = apps.get_model(settings.TASK_LOG)
    except (LookupError, ValueError):
        hint = did_you_mean(settings.TASK_LOG, [model._meta.label for model in apps.get_models()])
        raise TaskLogError(f'TASK_LOG "{settings.TASK_LOG}" is no installed model{hint}') from None
    if model._meta.label_lower == celery_results.MODEL:
        return celery_results.describe(model)
    return host_model.describe(model, settings.TASK_LOG_FIELDS, settings.TASK_LOG_STATUSES)


def _forget(*, setting: str, **_: object) -> None:
    if setting in {"MONITORING", "INSTALLED_APPS"}:
        task_log.cache_clear()


setting_changed.connect(_forget, dispatch_uid="monitoring.tasklogs.source")
