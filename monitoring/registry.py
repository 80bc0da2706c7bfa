"""The tasks that the code has, as Celery knows them in this process."""

from __future__ import annotations

import logging
from functools import cache

from celery import current_app

logger = logging.getLogger("monitoring.registry")


def task_names() -> list[str]:
    """Return the names of the tasks of the code.

    Workers and beat import all of it when they start; a web process knows only what something else
    has imported, so the first call does as they do.
    """
    _import_tasks()
    return list(current_app.tasks)


@cache
def _import_tasks() -> None:
    try:
        current_app.loader.import_default_modules()
    except Exception:  # whatever a module of the host raises: its tasks are missing, no more
        logger.exception("not all tasks of the code could be imported")
