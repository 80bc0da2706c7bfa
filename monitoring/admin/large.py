"""Lists of tables with millions of rows: what a page costs must not grow with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
    RowPaginator = Paginator[Any]
else:  # neither is subscriptable at run time
    ModelAdmin = admin.ModelAdmin
    RowPaginator = Paginator

MOST_ROWS = 10_000
"""Rows of a list that can be paged through and searched; its filters reach the others."""


class AtLeast(int):
    """A count that stopped before the end, and says so where a page shows it."""

    def __str__(self) -> str:
        return f"{int(self):d}+"

    __html__ = __str__


class FirstRows(RowPaginator):
    """Pages of the first `MOST_ROWS` rows: counting the rest would take longer than the page."""

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        found: int = rows.order_by().values("pk")[: MOST_ROWS + 1].count()
        return found if found <= MOST_ROWS else AtLeast(MOST_ROWS)


class LargeTable(ModelAdmin):
    """A list that is paged and searched among its newest rows, whatever else there is."""

    paginator = FirstRows
    search_anywhere: Sequence[str] = ()
    """Fields with an index that are searched for the whole text in every row."""

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        for name in self.search_anywhere:
            pks = list(queryset.order_by().filter(**{name: term}).values_list("pk", flat=True)[:1])
            if pks:
                return queryset.filter(**{name: term}), False
        newest = queryset.order_by("-pk").values_list("pk", flat=True)
        for pk in newest[MOST_ROWS : MOST_ROWS + 1]:
            queryset = queryset.filter(pk__gt=pk)
        return super().get_search_results(request, queryset, search_term)
