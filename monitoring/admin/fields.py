"""Fields of the rule form. Its lists: django-jsonform draws them, the core judges them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.functional import Promise
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from django_jsonform.forms.fields import JSONFormField
from django_jsonform.widgets import JSONFormWidget

from monitoring.admin.display import in_words
from monitoring.core.fields import InvalidValueError
from monitoring.core.texts import storable


class NumberInput(forms.NumberInput):
    """Shows a whole number as one: 25, not 25.0."""

    def format_value(self, value: Any) -> str | None:
        is_whole = isinstance(value, float) and value.is_integer()
        text: str | None = super().format_value(int(value) if is_whole else value)
        return text


class ListWidget(JSONFormWidget):  # type: ignore[misc]
    """A list that one adds to, reorders and removes from; named for screen readers."""

    # Like the library's, without its inline style, which a strict CSP refuses, and with the
    # stored list in it, so that a page whose script did not load does not empty it.
    template_name = "admin/monitoring/list_field.html"


class ListField(JSONFormField):  # type: ignore[misc]
    """A list of texts, read by one of the core's readers.

    The reader's problems are the errors of the field: the schema only says how to draw it.
    """

    def __init__(
        self,
        *,
        name: str | Promise,
        items: dict[str, Any],
        read: Callable[[object], Sequence[str]],
        required: bool = False,
        **kwargs: Any,
    ) -> None:
        schema = {"type": "array", "items": {"type": "string", **items}}
        widget = ListWidget(schema=schema, attrs={"role": "group", "aria-label": name})
        super().__init__(schema=schema, widget=widget, label=name, required=required, **kwargs)
        self.read = read

    def clean(self, value: object) -> list[str]:
        """Return the list without blanks, which are rows that were added and not filled.

        Raises ValidationError in the words of the JSON arguments' errors.
        """
        try:
            given = self.to_python(value)
        except RecursionError:
            raise ValidationError(_("This is not a list."), code="not_readable") from None
        if given is None:
            given = []
        if isinstance(given, list):
            given = [item.strip() if isinstance(item, str) else item for item in given]
            given = [item for item in given if item != ""]
            _refuse_what_databases_refuse(given)
        try:
            return [str(item) for item in self.read(given)]
        except InvalidValueError as error:
            self._mark(given)
            raise ValidationError([_refusal(text) for text in error.problems]) from None

    def _mark(self, given: object) -> None:
        """Say at each item what is wrong with it alone, beside the error of the whole list."""
        if isinstance(given, list):
            found = {str(place): self._complaint(item) for place, item in enumerate(given)}
            self.add_error({place: text for place, text in found.items() if text})

    def _complaint(self, item: object) -> str:
        try:
            self.read([item])
        except InvalidValueError as error:
            return capfirst("; ".join(map(in_words, error.problems)))
        return ""

    def bound_data(self, data: Any, initial: Any) -> Any:
        try:
            return super().bound_data(data, initial)
        except RecursionError:
            return []

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool(super().has_changed(initial, data))
        except RecursionError:
            return True

    def prepare_value(self, value: Any) -> Any:
        """Return what the widget can draw: it breaks on anything but a list of texts."""
        if isinstance(value, list):
            texts = [item if isinstance(item, str) else str(item) for item in value]
            # Broken text could not be sent to the browser.
            drawn = [storable(text, len(text)) for text in texts]
        else:
            drawn = []
        return super().prepare_value(drawn)


def _refusal(text: str) -> ValidationError:
    return ValidationError(capfirst(in_words(text)), code="not_readable")


def _refuse_what_databases_refuse(items: list[Any]) -> None:
    for item in items:
        if isinstance(item, str) and item != storable(item, len(item)):
            raise ValidationError(
                _("A value holds control characters or broken text: type it again."),
                code="not_storable",
            )
