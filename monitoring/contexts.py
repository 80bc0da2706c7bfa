"""Context filters: which context rows have the type that a rule asks for.

A context model is named by the rule and looked up in Django's app registry; nothing is imported
by a configured path. Source: documented behaviour 10.11.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NoReturn

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist, FieldError
from django.db import Error, connections, models, router, transaction

from monitoring.conf import get_settings
from monitoring.core.names import did_you_mean
from monitoring.core.texts import is_storable
from monitoring.core.values import ContextFilter
from monitoring.core.wording import Text as _

DOCUMENTED_FIELD = "ingestor_type"
_DOCUMENTED_MODELS = ("gap.ingestorsession", "gap.collectorsession")


class ContextError(Exception):
    """A context filter cannot be applied; the text says why and what to change."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


def resolve(context: ContextFilter) -> tuple[type[models.Model], str]:
    """Return the model and the field path that a filter names.

    Raises ContextError if either does not exist, or nothing tells the rows of the model apart.
    """
    model = _model(context.model)
    field = context.field or default_field(model)
    if not field:
        raise ContextError(
            _(
                'context_field is needed for "{model}": name it in the rule or in {setting}',
                model=context.model,
                setting=_place("CONTEXT_FIELDS", model),
            )
        )
    _require_path(model, field)
    key_field(model)
    return model, field


def short_label(name: str) -> str:
    """Return `gap.IngestorSession` for the documented `gap.models.IngestorSession`."""
    parts = name.split(".")
    return f"{parts[0]}.{parts[-1]}"


def field_of(model: type[models.Model], name: str) -> Any:
    """Return a field or relation of a model; `pk` is its primary key.

    Raises FieldDoesNotExist.
    """
    return model._meta.pk if name == "pk" else model._meta.get_field(name)


def default_field(model: type[models.Model]) -> str:
    """Return the field that holds the type of a context model, or an empty string."""
    documented = DOCUMENTED_FIELD if model._meta.label_lower in _DOCUMENTED_MODELS else ""
    return _configured(get_settings().CONTEXT_FIELDS, model) or documented


def key_field(model: type[models.Model]) -> models.Field[Any, Any]:
    """Return the field that context ids are values of: the configured one, or the primary key.

    Raises ContextError if it does not exist or one value could stand in several rows.
    """
    name = _configured(get_settings().CONTEXT_KEYS, model) or "pk"
    place = _place("CONTEXT_KEYS", model)
    try:
        field: models.Field[Any, Any] = field_of(model, name)
    except FieldDoesNotExist:
        hint = did_you_mean(name, _names(model))
        raise ContextError(f'{place} is "{name}", which is no field of the model{hint}') from None
    if isinstance(field, models.CompositePrimaryKey):
        raise ContextError(
            f"{model._meta.label} has a primary key of several columns: name a unique field in "
            f"{place}"
        )
    if not _is_unique(field):
        raise ContextError(
            f'{place} is "{name}", which is not unique: one context id could mean several rows'
        )
    return field


def setting_problems() -> Iterator[str]:
    """Yield what is wrong with each entry of the settings that names what does not exist."""
    settings = get_settings()
    for name, labels in (
        ("CONTEXT_FIELDS", settings.CONTEXT_FIELDS),
        ("CONTEXT_KEYS", settings.CONTEXT_KEYS),
        ("CONTEXT_MODELS", settings.CONTEXT_MODELS),
    ):
        for label in labels:
            try:
                model = _model(label, f'MONITORING["{name}"]:')
                if name == "CONTEXT_FIELDS":
                    _require_path(model, default_field(model))
                elif name == "CONTEXT_KEYS":
                    key_field(model)
            except ContextError as error:
                own = str(error).startswith("MONITORING")
                yield str(error) if own else f'MONITORING["{name}"]: {error}'


def types_of(model: type[models.Model], field: str, context_ids: Iterable[str]) -> dict[str, str]:
    """Return the type of each context row: context id as recorded -> value as text.

    Ids that are empty, garbage or point at no row are left out. One query per 10,000 ids.
    Raises ContextError if the table cannot be read.
    """
    key = key_field(model)
    connection = connections[router.db_for_read(model)]
    recorded: dict[Any, list[str]] = {}
    for context_id in context_ids:
        value = _as_key(key, context_id, connection)
        if value is not None:
            recorded.setdefault(value, []).append(context_id)
    found: dict[str, str] = {}
    keys = list(recorded)
    for start in range(0, len(keys), 10_000):
        for value, type_ in _read(key, field, keys[start : start + 10_000], model):
            if type_ is None:  # no type, which is not the type "None"
                continue
            for context_id in recorded.get(value, ()):
                found[context_id] = str(type_)
    return found


def _read(
    key: models.Field[Any, Any], field: str, values: list[Any], model: type[models.Model]
) -> list[tuple[Any, Any]]:
    alias = router.db_for_read(model)
    try:
        # The savepoint keeps a failing read from spoiling the transaction of the check.
        with transaction.atomic(using=alias):
            rows = model._base_manager.using(alias).filter(**{f"{key.name}__in": values})
            return list(rows.values_list(key.name, field))
    except (Error, OverflowError, TypeError, ValueError) as error:
        text = _("{model} cannot be read: {error}", model=model._meta.label, error=error)
        raise ContextError(text) from error


def _as_key(field: models.Field[Any, Any], context_id: str, connection: Any) -> Any:
    """Return a recorded context id as a value of the key, or None if it cannot be one."""
    if not context_id or not is_storable(context_id):
        return None
    column: Any = field
    while column.remote_field is not None:  # such a key takes the values of what it refers to
        column = column.target_field
    try:
        # Not `clean()`, which would look up each value of a key that is a relation.
        value = column.to_python(context_id)
        column.run_validators(value)
        # Here, because a value that the driver refuses would cost all others their answer.
        column.get_db_prep_value(value, connection)
        hash(value)
    except Exception:  # a host's own field may raise anything
        return None
    return value


def _model(name: str, what: str = "context_model") -> type[models.Model]:
    label = short_label(name)
    try:
        return apps.get_model(label)
    except (LookupError, ValueError):
        hint = did_you_mean(label, [known._meta.label for known in apps.get_models()])
        text = _('{what} "{name}" is not an installed model{hint}', what=what, name=name, hint=hint)
        raise ContextError(text) from None


def _configured(setting: Mapping[str, str], model: type[models.Model]) -> str:
    named = {short_label(label).casefold(): value for label, value in setting.items()}
    return named.get(model._meta.label_lower, "")


def _place(setting: str, model: type[models.Model]) -> str:
    return f'MONITORING["{setting}"]["{model._meta.label}"]'


def _names(model: type[models.Model]) -> list[str]:
    return [field.name for field in model._meta.get_fields()]


def _is_unique(field: Any) -> bool:
    if not field.concrete:
        return False
    meta = field.model._meta
    alone = {tuple(names) for names in meta.unique_together}
    alone |= {tuple(constraint.fields) for constraint in meta.total_unique_constraints}
    return field.unique or (field.name,) in alone


def _require_path(model: type[models.Model], path: str) -> None:
    """Raise ContextError unless a path leads to one value: of a row, or of one it points to."""
    current, names = model, path.split("__")
    for position, name in enumerate(names):
        try:
            field = field_of(current, name)
        except FieldDoesNotExist:
            _refuse_path(model, path, current, names[:position])
        if field.one_to_many or field.many_to_many:
            raise ContextError(
                _(
                    'context_field "{path}" of {model} leads to many rows: name a field of one',
                    path=path,
                    model=model._meta.label,
                )
            )
        if field.related_model is None or position == len(names) - 1:
            break  # what follows, a key in a JSON field for instance, is judged below
        if position:
            raise ContextError(
                _(
                    'context_field "{path}" of {model} goes through more than one relation: name '
                    "a field of the model, or of a row that it points to",
                    path=path,
                    model=model._meta.label,
                )
            )
        current = field.related_model
    try:
        model._base_manager.values_list(path)
    except (FieldError, ValueError):  # ValueError: no name at all, "a b"
        _refuse_path(model, path, model, [])


def _refuse_path(
    model: type[models.Model], path: str, known: type[models.Model], before: list[str]
) -> NoReturn:
    candidates = ["__".join([*before, name]) for name in _names(known)]
    hint = did_you_mean(path, candidates)
    label = model._meta.label
    text = _('{model} has no field "{path}"{hint}', model=label, path=path, hint=hint)
    raise ContextError(text) from None
