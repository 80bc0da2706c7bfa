"""A task log that the host keeps: any model, by name, with a mapping where its words differ."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db import models

from monitoring.core.names import did_you_mean
from monitoring.core.statuses import Status, nearest_status, parse_status
from monitoring.tasklogs.base import OPTIONAL, REQUIRED, TaskLog, same_text

_ALSO_CALLED = {"submitted_at": ("submitted_on",)}
_NAMES = (*REQUIRED, *OPTIONAL)


class TaskLogError(Exception):
    """The settings name a task log that cannot be read; the text says what to change."""


def describe(
    model: type[models.Model], fields: Mapping[str, str], statuses: Mapping[str, str]
) -> TaskLog:
    """Return how executions are read from a host's model.

    fields: what we call it to what the model does, where that differs. statuses: what is stored to
    one of the seven, where that differs.
    Raises TaskLogError if a field or a status does not exist.
    """
    for name in fields:
        if name not in _NAMES:
            hint = did_you_mean(name, _NAMES)
            raise TaskLogError(f'TASK_LOG_FIELDS["{name}"] is not something a log has{hint}')
    found = {name: _field(model, name, fields) for name in _NAMES}
    missing = [name for name in REQUIRED if found[name] is None]
    if missing:
        raise TaskLogError(
            f'{model._meta.label} has no field "{missing[0]}": name the one that holds it in '
            f'TASK_LOG_FIELDS["{missing[0]}"]'
        )
    named = {name: field.name for name, field in found.items() if field is not None}
    started = named.pop("started_at")
    context = named.get("context_id")
    return TaskLog(
        model=model,
        fields=named,
        started=(started,),
        statuses=_statuses(model, found["status"], statuses),
        since=tuple(dict.fromkeys((named.get("submitted_at", started), started))),
        times=(
            started,
            *(named[name] for name in ("submitted_at", "finished_at") if name in named),
        ),
        context_fields=(context,) if context else (),
        read_error=_json_text if isinstance(found["errors"], models.JSONField) else same_text,
    )


def _json_text(_status: Status, stored: str) -> str:
    """Return a text without its quotes, and anything else as it stands in the column."""
    try:
        value = json.loads(stored)
    except ValueError:
        return stored
    return value if isinstance(value, str) else stored


def _field(model: type[models.Model], name: str, fields: Mapping[str, str]) -> Any:
    given = fields.get(name)
    for candidate in (given,) if given is not None else (name, *_ALSO_CALLED.get(name, ())):
        try:
            field: Any = model._meta.get_field(candidate)
        except FieldDoesNotExist:
            if given is None:
                continue
            known = [field.name for field in model._meta.concrete_fields]
            hint = did_you_mean(candidate, known)
            raise TaskLogError(
                f'TASK_LOG_FIELDS["{name}"]: {model._meta.label} has no field "{candidate}"{hint}'
            ) from None
        if not getattr(field, "concrete", False) or field not in model._meta.local_concrete_fields:
            raise TaskLogError(
                f'TASK_LOG_FIELDS["{name}"]: "{candidate}" is no column of the table of '
                f"{model._meta.label}"
            )
        return field
    return None


def _statuses(model: type[models.Model], field: Any, given: Mapping[str, str]) -> dict[Any, Status]:
    """Return what each stored status stands for: the documented ones in any usual spelling."""
    spellings: dict[Any, Status] = {}
    if isinstance(field, models.CharField | models.TextField):
        for status in Status:
            for text in (status.value, status.value.lower(), status.value.upper()):
                spellings[text] = status
        for stored, _label in field.flatchoices:
            if known := parse_status(str(stored)):
                spellings[stored] = known
    for stored, name in given.items():
        found = parse_status(name)
        if found is None:
            nearest = nearest_status(name)
            hint = f': did you mean "{nearest}"?' if nearest else ""
            raise TaskLogError(f'TASK_LOG_STATUSES["{stored}"]: "{name}" is not a status{hint}')
        try:
            spellings[field.to_python(stored)] = found
        except ValidationError:
            raise TaskLogError(
                f'TASK_LOG_STATUSES["{stored}"] is no value of {model._meta.label}.{field.name}'
            ) from None
    if not spellings:
        raise TaskLogError(
            f"{model._meta.label}.{field.name} holds no texts: say in TASK_LOG_STATUSES what its "
            "values stand for"
        )
    return spellings
