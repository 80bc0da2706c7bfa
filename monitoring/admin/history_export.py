"""History as files: what the list shows at the moment, as CSV for spreadsheets or as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext as _
from import_export.admin import ExportMixin
from import_export.formats.base_formats import CSV, JSON
from import_export.forms import ExportForm
from import_export.resources import ModelResource, modelresource_factory
from tablib import Dataset

from monitoring.admin.base import HistoryAdmin, has_file_pages, url
from monitoring.admin.display import instant

MOST_ROWS = 100_000
"""A file is made in memory; the filters of the list cut a longer history into parts."""

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def harmless(cell: object) -> str:
    """Return a cell as text that no spreadsheet runs as a formula (OWASP, CSV injection)."""
    if isinstance(cell, datetime):
        return instant(cell)
    if isinstance(cell, list | dict):
        cell = json.dumps(cell, ensure_ascii=False)
    text = "" if cell is None else str(cell)
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


class HistoryResource(ModelResource):  # type: ignore[misc]
    """Hands values over as they are; the library's own would all be texts, also in JSON."""

    def export_field(self, field: Any, instance: Any, **kwargs: Any) -> Any:
        return instance.serializable_value(field.attribute)


class SafeCSV(CSV):  # type: ignore[misc]
    """The library's own setting for this knows only cells that begin with `=`."""

    def get_title(self) -> str:
        return "csv"

    def export_data(self, dataset: Dataset, **kwargs: Any) -> str:
        safe = Dataset(headers=dataset.headers)
        for row in dataset:
            safe.append([harmless(cell) for cell in row])
        return str(safe.export("csv", **kwargs))


class FormatForm(ExportForm):  # type: ignore[misc]
    """Begins with the first format; the library's begins with none."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["format"]
        field.choices = [(value, label) for value, label in field.choices if value != ""]


class HistoryExport(ExportMixin, HistoryAdmin):  # type: ignore[misc]
    """Adds an export of `export_fields` to a page of history, for whoever may view its rows."""

    export_fields: tuple[str, ...] = ()
    export_formats = [SafeCSV, JSON]
    export_form_class = FormatForm

    @property
    def import_export_change_list_template(self) -> str | None:
        return "admin/import_export/change_list_export.html" if has_file_pages() else None

    def has_export_permission(self, request: HttpRequest) -> bool:
        return has_file_pages() and self.has_view_permission(request)

    def get_export_resource_classes(self, request: HttpRequest) -> list[type[ModelResource]]:
        return self.resource_classes_of(self.export_fields)

    def resource_classes_of(self, fields: Sequence[str]) -> list[type[ModelResource]]:
        """Return what hands over these fields of each row."""
        options = {"fields": fields}
        return [modelresource_factory(self.model, HistoryResource, meta_options=options)]

    def get_export_resource_fields_from_form(self, form: Any) -> None:
        return None  # always all of them

    def export_action(self, request: HttpRequest) -> HttpResponse:
        """Export what the list shows; refuse more than fits into memory."""
        if request.method == "POST" and self.has_export_permission(request):
            rows = self.get_export_queryset(request).order_by()
            if rows.values_list("pk", flat=True)[: MOST_ROWS + 1].count() > MOST_ROWS:
                text = _("More than %d rows: narrow the list by its filters first.") % MOST_ROWS
                messages.error(request, text)
                return HttpResponseRedirect(url(self.admin_site, self.model, "changelist"))
        response: HttpResponse = super().export_action(request)
        return response
