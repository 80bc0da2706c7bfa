"""Context filters: which context rows have the type that a rule asks for.

A context model is named by the rule and looked up in Django's app registry; nothing is imported
by a configured path. Source: documented behaviour 10.11.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist, FieldError, ValidationError
from django.db import DatabaseError, models, router, transaction

from monitoring.conf import get_settings
from monitoring.core.names import did_you_mean
from monitoring.core.values import ContextFilter

DOCUMENTED_FIELD = "ingestor_type"
_DOCUMENTED_MODELS = ("gap.ingestorsession", "gap.collectorsession")


class ContextError(Exception):
    """A context filter cannot be applied; the text says why and what to change."""


def resolve(context: ContextFilter) -> tuple[type[models.Model], str]:
    """Return the model and the field path that a filter names.

    Raises ContextError if either does not exist.
    """
    parts = context.model.split(".")
    app_label, name = parts[0], parts[-1]
    try:
        model = apps.get_model(app_label, name)
    except LookupError:
        known = [found._meta.label for found in apps.get_models()]
        hint = did_you_mean(f"{app_label}.{name}", known)
        raise ContextError(
            f'context_model "{context.model}" is not an installed model{hint}'
        ) from None
    field = context.field or default_field(model)
    if not field:
        raise ContextError(
            f'context_field is needed for "{context.model}": name it in the rule or in '
            f'MONITORING["CONTEXT_FIELDS"]["{model._meta.label}"]'
        )
    _require_field(model, field)
    return model, field


def default_field(model: type[models.Model]) -> str:
    """Return the field that holds the type of a context model, or an empty string."""
    configured = {label.casefold(): field for label, field in get_settings().CONTEXT_FIELDS.items()}
    label = model._meta.label_lower
    return configured.get(label, DOCUMENTED_FIELD if label in _DOCUMENTED_MODELS else "")


def _require_field(model: type[models.Model], path: str) -> None:
    try:
        model._base_manager.values_list(path)
        model._meta.get_field(path.split("__")[0])
    except (FieldError, FieldDoesNotExist, ValueError):  # ValueError: no name at all, "a b"
        names = [field.name for field in model._meta.get_fields()]
        hint = did_you_mean(path, names)
        raise ContextError(f'{model._meta.label} has no field "{path}"{hint}') from None


def types_of(model: type[models.Model], field: str, context_ids: Iterable[str]) -> dict[str, str]:
    """Return the type of each context row: context id as recorded -> value as text.

    Ids that are empty, garbage or point at no row are left out. One query per 10,000 ids.
    Raises ContextError if the table cannot be read.
    """
    recorded: dict[Any, list[str]] = {}
    for context_id in context_ids:
        pk = _as_pk(model, context_id)
        if pk is not None:
            recorded.setdefault(pk, []).append(context_id)
    found: dict[str, str] = {}
    pks = list(recorded)
    for start in range(0, len(pks), 10_000):
        for pk, value in _read(model, field, pks[start : start + 10_000]):
            if value is None:  # no type, which is not the type "None"
                continue
            for context_id in recorded.get(pk, ()):
                found[context_id] = str(value)
    return found


def _read(model: type[models.Model], field: str, pks: list[Any]) -> list[tuple[Any, Any]]:
    alias = router.db_for_read(model)
    try:
        # The savepoint keeps a failing read from spoiling the transaction of the check.
        with transaction.atomic(using=alias):
            rows = model._base_manager.using(alias).filter(pk__in=pks)
            return list(rows.values_list("pk", field))
    except (DatabaseError, OverflowError, TypeError, ValueError) as error:
        raise ContextError(f"{model._meta.label} cannot be read: {error}") from error


def _as_pk(model: type[models.Model], context_id: str) -> Any:
    """Return a recorded context id as a primary key of the model, or None if it cannot be one."""
    if not context_id:
        return None
    field: Any = model._meta.pk
    while field.remote_field is not None:  # such a key takes the values of what it refers to
        field = field.target_field
    try:
        # Not `clean()`, which would look up each value of a key that is a relation.
        pk = field.to_python(context_id)
        field.run_validators(pk)
    except (ValidationError, ValueError, TypeError, OverflowError):
        return None
    return pk
