"""What a Celery signal says, as columns of the task log: cut to size and free of secrets."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from typing import Any

from monitoring.conf import get_settings
from monitoring.core.context_ids import context_id_of
from monitoring.core.texts import storable, tail

MAX_NAME = 255
MAX_ERROR = 4000
MAX_TRACEBACK = 20_000
MAX_PARAMETERS = 4000


def message_facts(request: Any) -> Mapping[str, Any]:
    """Return the message's headers, from a worker's request or a task's context."""
    if request is None:
        return {}
    headers = getattr(request, "request_dict", None)
    if headers is None:
        context: dict[str, Any] = vars(request)
        return context
    return {**headers, "delivery_info": request.delivery_info, "hostname": request.hostname}


def described(task_name: str, facts: Mapping[str, Any], args: Any, kwargs: Any) -> dict[str, Any]:
    """Return the columns that say what a task was called with, and by whom."""
    settings = get_settings()
    parameters = ""
    if settings.RECORD_PARAMETERS:
        # Celery's own representation: already cut, and what its logs and events show.
        parameters = f"{facts.get('argsrepr') or '()'} {facts.get('kwargsrepr') or '{}'}"
    context_id = context_id_of(
        args if isinstance(args, list | tuple) else (),
        kwargs if isinstance(kwargs, Mapping) else {},
        settings.CONTEXT_ARGUMENTS.get(task_name),
    )
    return {
        "parameters": storable(parameters, MAX_PARAMETERS),
        "context_id": storable(context_id, MAX_NAME),
        "periodic_task_name": storable(str(facts.get("periodic_task_name") or ""), 200),
    }


def failure(exception: Any, einfo: Any) -> dict[str, Any]:
    """Return the columns that say what went wrong."""
    if isinstance(exception, BaseException):
        summary = "".join(traceback.format_exception_only(exception)).strip()
    else:
        summary = "" if exception is None else str(exception)
    return {
        "errors": storable(summary, MAX_ERROR),
        "stack_trace_errors": tail(str(getattr(einfo, "traceback", "") or ""), MAX_TRACEBACK),
    }


def queue_of(facts: Mapping[str, Any]) -> str:
    """Return the queue a message came from."""
    return str((facts.get("delivery_info") or {}).get("routing_key") or "")
