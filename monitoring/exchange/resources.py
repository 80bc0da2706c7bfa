"""Rules as django-import-export knows them: all rows of a file or none, by the name of the rule."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db.models import Field as ModelField
from django.db.models import QuerySet
from import_export.fields import Field
from import_export.instance_loaders import ModelInstanceLoader
from import_export.resources import ModelResource
from import_export.results import Result, RowResult
from import_export.widgets import Widget
from tablib import Dataset

from monitoring.contexts import ContextError, resolve
from monitoring.core.fields import InvalidValueError, read_context, shown
from monitoring.core.names import did_you_mean
from monitoring.core.values import ContextFilter, WhileRunning
from monitoring.exchange import rows
from monitoring.exchange.diff import RuleDiff
from monitoring.exchange.rows import FIELDS, MOMENTARY, READERS, Reader, Row
from monitoring.exchange.tables import ABSENT, UNKNOWN_KEYS, RuleFormat, to_dataset
from monitoring.models import Channel, MonitorRule

CONTEXT = ("context_model", "context_field", "context_type")

CheckContext = Callable[[ContextFilter], None]


class _Native(Widget):  # type: ignore[misc]
    """Takes the value as the file spells it; the library's widgets make texts of everything."""

    def __init__(self, read: Reader) -> None:
        super().__init__()
        self.read = read

    def clean(self, value: object, row: Row | None = None, **_: object) -> object:
        return self.read(value)

    def render(self, value: object, obj: MonitorRule | None = None, **_: object) -> object:
        return rows.plain(value)


class _LockingLoader(ModelInstanceLoader):  # type: ignore[misc]
    """Finds the rule of a row, and keeps it from changing until the import is through."""

    def get_queryset(self) -> QuerySet[MonitorRule]:
        queryset: QuerySet[MonitorRule] = super().get_queryset()
        return queryset.select_for_update()


class RuleResult(Result):  # type: ignore[misc]
    """What an import did, or would do."""

    def problems(self) -> list[str]:
        """Return everything for which the file is refused: the row, the field, the value."""
        found = [str(error.error) for error in self.base_errors]
        for row in self.error_rows:
            found += [f"row {row.number}: {error.error}" for error in row.errors]
        for row in self.invalid_rows:
            name = row.values[0]
            where = f"row {row.number}" + (f" ({shown(name)})" if isinstance(name, str) else "")
            for field, messages in row.error_dict.items():
                place = where if field == NON_FIELD_ERRORS else f"{where}, {field}"
                found += [f"{place}: {message}" for message in messages]
        return found


def changed_fields(row: RowResult) -> list[str]:
    """Return the names of the fields that an imported row changed; none for a new rule."""
    if row.original is None or not row.is_update():
        return []
    return [
        field for field in FIELDS if getattr(row.original, field) != getattr(row.instance, field)
    ]


def written_rules(result: Result) -> list[MonitorRule]:
    """Return the rules that an import adds or changes."""
    return [row.instance for row in result if row.is_new() or row.is_update()]


def _resolve(context: ContextFilter) -> None:
    try:
        resolve(context)
    except ContextError as error:
        raise ValidationError({"context_model": str(error)}) from None


class RuleResource(ModelResource):  # type: ignore[misc]
    """Imports rules by name and exports them by name."""

    class Meta:
        model = MonitorRule
        fields = FIELDS
        import_id_fields = ("name",)
        instance_loader_class = _LockingLoader
        skip_unchanged = True
        use_transactions = True
        store_instance = True

    def __init__(self, check_context: CheckContext = _resolve) -> None:
        """check_context: raises ValidationError for a context that a rule must not be given."""
        super().__init__()
        self.check_context = check_context
        self._first_rows: dict[object, int] = {}
        self._old_context: tuple[str, ...] | None = None
        self._old_channels: list[str] = []
        self._channels: set[str] = set()

    @classmethod
    def get_display_name(cls) -> str:
        return "MonitorRule"

    @classmethod
    def get_result_class(cls) -> type[RuleResult]:
        return RuleResult

    @classmethod
    def get_diff_class(cls) -> type[RuleDiff]:
        return RuleDiff

    @classmethod
    def field_from_django_field(
        cls, field_name: str, django_field: ModelField[Any, Any], readonly: bool
    ) -> Field:
        widget = _Native(READERS[field_name])
        return Field(attribute=field_name, column_name=field_name, widget=widget, readonly=readonly)

    def filter_export(self, queryset: QuerySet[MonitorRule], **_: object) -> Sequence[MonitorRule]:
        # Databases sort texts each in their own way, and a diff must not depend on it.
        return sorted(queryset, key=lambda rule: rule.name)

    def import_data(self, dataset: Dataset, dry_run: bool = False, **kwargs: Any) -> RuleResult:
        kwargs["rollback_on_validation_errors"] = True
        result: RuleResult = super().import_data(dataset, dry_run=dry_run, **kwargs)
        return result

    def before_import(self, dataset: Dataset, **_: object) -> None:
        self._channels = set(Channel.objects.values_list("name", flat=True))
        self._first_rows = {}
        for number, name in enumerate(dataset["name"], 1):
            if isinstance(name, str):
                self._first_rows.setdefault(name, number)

    def after_import(self, dataset: Dataset, result: RuleResult, **_: object) -> None:
        """Leave the sequence of primary keys alone.

        No file sets one, and the library's reset would hand out a key again that another
        transaction has just drawn.
        """

    def before_import_row(self, row: Row, row_number: int, **_: object) -> None:
        """Refuse a row that cannot be told to be about one rule."""
        errors: dict[str, list[ValidationError]] = {}
        name = row["name"]
        if name is ABSENT:
            errors["name"] = [_error("is missing: rules are imported by name")]
        else:
            try:
                READERS["name"](name)
            except InvalidValueError as error:
                errors["name"] = [_error(str(error))]
        first = self._first_rows.get(name, row_number) if isinstance(name, str) else row_number
        if first != row_number:
            errors["name"] = [_error(f"row {first} has the same name, {shown(name)}")]
        if errors:
            raise ValidationError(errors | self._about_keys(row))

    def _about_keys(self, row: Row) -> dict[str, list[ValidationError]]:
        complaints = [
            _error(
                f"unknown key {shown(key)}"
                + (did_you_mean(key, FIELDS) or f": known are {', '.join(FIELDS)}")
            )
            for key in row[UNKNOWN_KEYS]
        ]
        return {NON_FIELD_ERRORS: complaints} if complaints else {}

    def init_instance(self, row: Row | None = None) -> MonitorRule:
        # As the documented arguments judge; the admin's form offers another default.
        return MonitorRule(while_running=WhileRunning.JUDGE.value)

    def after_init_instance(self, instance: MonitorRule, new: bool, row: Row, **_: object) -> None:
        self._old_context = None if new else _context_of(instance)
        self._old_channels = [] if new else list(instance.channels)

    def import_field(
        self, field: Field, instance: MonitorRule, row: Row, is_m2m: bool = False, **kwargs: Any
    ) -> None:
        if row[field.column_name] is not ABSENT:
            super().import_field(field, instance, row, is_m2m, **kwargs)

    def import_instance(self, instance: MonitorRule, row: Row, **kwargs: Any) -> None:
        errors: dict[str, Any] = self._about_keys(row)
        try:
            super().import_instance(instance, row, **kwargs)
        except ValidationError as error:
            errors = error.update_error_dict(errors)
        if errors:
            raise ValidationError(errors)

    def validate_instance(
        self,
        instance: MonitorRule,
        import_validation_errors: dict[str, Any] | None = None,
        validate_unique: bool = True,
    ) -> None:
        """Refuse what the model refuses, and name the value; what is already refused is not
        complained of again."""
        errors = dict(import_validation_errors or {})
        unreadable = set(errors)
        try:
            # The constraints say what the fields' checks say, at the price of a query each; the
            # database still refuses what breaks them.
            instance.full_clean(
                exclude=unreadable, validate_unique=validate_unique, validate_constraints=False
            )
        except ValidationError as error:
            for field, found in error.error_dict.items():
                about = set(CONTEXT) if field in CONTEXT else {field}
                if not about & unreadable or field == NON_FIELD_ERRORS:
                    errors[field] = [*errors.get(field, []), *_with_value(field, found, instance)]
        if not set(CONTEXT) & set(errors) and _context_of(instance) != self._old_context:
            errors |= self._about_context(instance)
        if "channels" not in errors and instance.channels != self._old_channels:
            errors |= self._about_channels(instance)
        if errors:
            raise ValidationError(errors)

    def _about_channels(self, instance: MonitorRule) -> dict[str, Any]:
        """Refuse names of channels that are not here: a file has no addresses to make them of."""
        unknown = [
            f"there is no channel {shown(name)}"
            + (did_you_mean(name, self._channels) or ": add it in the admin first")
            for name in instance.channels
            if name not in self._channels
        ]
        return {"channels": [_error("; ".join(unknown))]} if unknown else {}

    def _about_context(self, instance: MonitorRule) -> dict[str, Any]:
        context = read_context(
            instance.context_model, instance.context_type, instance.context_field
        )
        if context is None:
            return {}
        try:
            self.check_context(context)
        except ValidationError as error:
            return dict(error.error_dict)
        return {}


class RuleExport(RuleResource):
    """Leaves out what an import of an older file must not undo."""

    def get_export_fields(self, selected_fields: Sequence[str] | None = None) -> list[Field]:
        fields: list[Field] = super().get_export_fields(selected_fields)
        return [field for field in fields if field.attribute not in MOMENTARY]

    def get_user_visible_fields(self) -> list[Field]:
        return self.get_export_fields()


def _error(text: str) -> ValidationError:
    return ValidationError(text, code="not_readable")


def _with_value(
    field: str, found: Iterable[ValidationError], instance: MonitorRule
) -> list[ValidationError]:
    """Return the model's errors; those in Django's words do not name the value."""
    return [
        error
        if error.code == "not_readable" or field == NON_FIELD_ERRORS
        else _error(
            f"{' '.join(error.messages)} Got {shown(rows.plain(getattr(instance, field)))}."
        )
        for error in found
    ]


def _context_of(rule: MonitorRule) -> tuple[str, ...]:
    return tuple(getattr(rule, field) for field in CONTEXT)


def import_rules(found: Iterable[Row], *, dry_run: bool = False) -> RuleResult:
    """Import rules, all or none; `problems()` of the result says why none."""
    return RuleResource().import_data(to_dataset(found), dry_run=dry_run)


def export_rules() -> str:
    """Return all rules as a file."""
    return RuleFormat().export_data(RuleExport().export(MonitorRule.objects.all()))
