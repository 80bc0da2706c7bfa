"""What the pages share: links between them, one query per page for what stands beside a row,
and history that nobody can change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

from django.apps import apps
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import flatten_fieldsets, quote
from django.contrib.admin.views.main import PAGE_VAR, ChangeList
from django.contrib.auth import get_permission_codename
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from monitoring.admin.display import instant
from monitoring.admin.large import LargeTable
from monitoring.tasklogs.source import task_log

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
else:  # not subscriptable at run time
    ModelAdmin = admin.ModelAdmin


def may_view(request: HttpRequest, model: type[Model]) -> bool:
    """Say whether the user may see the rows of a model."""
    codename = get_permission_codename("view", model._meta)
    return request.user.has_perm(f"{model._meta.app_label}.{codename}")


def has_file_pages() -> bool:
    """Say whether the host has django-import-export's pages, which are templates of its app."""
    return apps.is_installed("import_export")


def log(request: HttpRequest, rows: Iterable[Model], flag: int, said: str | list[Any]) -> None:
    """Write into the history of each row who did what, as saving its form would."""
    LogEntry.objects.log_actions(request.user.pk or 0, rows, flag, change_message=said)


def link(site: admin.AdminSite, model: type[Model], pk: Any, text: str | Promise) -> str:
    """Return a link to a row, or just the text on a site that has no page for it."""
    if not site.is_registered(model):
        return str(text)
    return format_html('<a href="{}">{}</a>', url(site, model, "change", quote(pk)), text)


def list_link(
    site: admin.AdminSite, model: type[Model], text: str | Promise, **filters: object
) -> str:
    """Return a link to the list of a model, narrowed by one of its `LinkedFilter`s."""
    if not site.is_registered(model):
        return str(text)
    address = f"{url(site, model, 'changelist')}?{urlencode(filters)}"
    return format_html('<a href="{}">{}</a>', address, text)


def may_view_executions(request: HttpRequest) -> bool:
    """Say whether the user may see the task log, whichever it is."""
    return may_view(request, task_log().model)


def execution_link(site: admin.AdminSite, pk: Any, text: str | Promise) -> str:
    """Return a link to an execution on its own page, which may be one of the host's."""
    return link(site, task_log().model, pk, text)


def executions_link(site: admin.AdminSite, task_name: str, text: str | Promise) -> str:
    """Return a link to the executions of a task."""
    log = task_log()
    return list_link(site, log.model, text, **{log.fields["task_name"]: task_name})


def url(site: admin.AdminSite, model: type[Model], page: str, *args: object) -> str:
    """Return the address of a page of this site, which need not be the default one."""
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}"
    return reverse(name, args=args, current_app=site.name)


def moment(field: str, description: Any) -> Callable[[Any, Any], str]:
    """Return a column for a point in time: Django's own would leave the seconds out."""

    @admin.display(description=description, ordering=field)
    def column(_admin: Any, row: Any) -> str:
        return instant(getattr(row, field))

    return column


ONE_ROW = "<path:object_id>/"
"""Begins the addresses of the views of one row."""


class Page(ChangeList):
    """A page of a list: leaves long texts in the database, and reads what belongs to its rows."""

    model_admin: MonitoringAdmin

    def get_queryset(
        self, request: HttpRequest, exclude_parameters: list[str | None] | None = None
    ) -> QuerySet[Any]:
        if any("\0" in value for values in self.get_filters_params().values() for value in values):
            raise IncorrectLookupParameters  # PostgreSQL cannot even compare with NUL
        queryset = super().get_queryset(request, exclude_parameters)
        return queryset.defer(*self.model_admin.list_defer)

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        # The rows stay in the queryset's cache, so what is attached here is there when it is drawn.
        self.model_admin.attach(request, list(self.result_list))


class PageContext(ModelAdmin):
    """Hands to the template of the form what stands beside it."""

    def page_context(self, request: HttpRequest, object_id: str | None) -> dict[str, Any]:
        """Return what the template needs; object_id: as in the address, None for a new row."""
        return {}

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        context = (extra_context or {}) | self.page_context(request, object_id)
        return super().changeform_view(request, object_id, form_url, context)


class MonitoringAdmin(PageContext):
    """A page of this app."""

    list_defer: Sequence[str] = ()
    """Columns that the list does not show and that may be long."""
    # Counting all rows of a large table, or each choice of a filter, costs more than the page.
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER

    class Media:
        css = {"all": ("monitoring/admin.css",)}

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return Page

    def views_at(
        self, prefix: str, views: Mapping[str, Callable[..., HttpResponse]]
    ) -> list[URLPattern]:
        """Return addresses for views of the admin, named as Django names its own of the model."""
        model = f"{self.opts.app_label}_{self.opts.model_name}"
        return [
            path(
                f"{prefix}{name}/",
                self.admin_site.admin_view(view),
                name=f"{model}_{name.replace('-', '_')}",
            )
            for name, view in views.items()
        ]

    def attach(self, request: HttpRequest, rows: Sequence[Any]) -> None:
        """Fetch what the columns of these rows show from other tables, one query per table."""

    def attach_detail(self, request: HttpRequest, row: Any) -> None:
        """The same for the page of one row."""

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Any | None:
        row = super().get_object(request, object_id, from_field)
        if row is not None:
            self.attach_detail(request, row)
        return row


class HistoryAdmin(LargeTable, MonitoringAdmin):
    """What has happened: everybody who may view it can read it, nobody can rewrite it."""

    actions = None
    change_form_template = "admin/monitoring/history_change_form.html"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        # Not through `has_change_permission`, which nobody has here.
        return may_view(request, self.model)

    def get_readonly_fields(self, request: HttpRequest, obj: Any | None = None) -> list[Any]:
        return flatten_fieldsets(self.get_fieldsets(request, obj))


class OfOurLog(ModelAdmin):
    """What the recorder writes: closed while somebody else keeps the log."""

    def has_view_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        return task_log().is_own and super().has_view_permission(request, obj)


class ChoiceFilter(admin.SimpleListFilter):
    """A filter whose choices are always the same."""

    fixed_choices: Sequence[tuple[str, str | Promise]]

    def lookups(
        self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]
    ) -> list[tuple[str, Any]]:
        return list(self.fixed_choices)


class LinkedFilter(admin.SimpleListFilter):
    """A filter that other pages link to.

    It is on the page only while it is in force, to say so and to be taken off: its choices would
    be thousands.
    """

    def lookups(
        self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]
    ) -> list[tuple[str, str]]:
        value = self.value()
        return [(value, self.describe(request, value))] if value else []

    def describe(self, request: HttpRequest, value: str) -> str:
        """Return what the filter picked, for people."""
        return value

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        raise NotImplementedError


class PrimaryKeyFilter(LinkedFilter):
    """A filter by the row of another model, whose primary key is a number."""

    parameter_name: str
    model: type[Model]

    def describe(self, request: HttpRequest, value: str) -> str:
        if not _is_key(value) or not may_view(request, self.model):
            return f"#{value}"
        row = self.model._default_manager.filter(pk=value).first()
        return str(row or f"#{value}")

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        if not value:
            return queryset
        if not _is_key(value):
            return queryset.none()
        return queryset.filter(**{self.parameter_name: value})


def _is_key(value: str) -> bool:
    """Say whether a text from an address can be compared with a 64-bit primary key."""
    return value.isdecimal() and len(value) < 19


class TypedFilter(LinkedFilter):
    """A filter whose value one types, exactly: it is always on the page, as a small form."""

    template = "admin/monitoring/typed_filter.html"
    kept: Sequence[tuple[str, str]] = ()
    """What else the address of the list asks for, which the form has to pass on."""

    def has_output(self) -> bool:
        return True

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        query = changelist.get_query_string(remove=[self.parameter_name or "", PAGE_VAR])
        self.kept = parse_qsl(query.removeprefix("?"), keep_blank_values=True)
        return super().choices(changelist)


class TaskFilter(TypedFilter):
    """A filter by the exact name of a task."""

    title = _("task")
    parameter_name = "task_name"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        return queryset.filter(task_name=value) if value else queryset
