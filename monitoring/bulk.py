"""Writing the rows of one batch with one statement."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from sqlite3 import SQLITE_LIMIT_VARIABLE_NUMBER
from typing import Any

from django.db import connection

ROWS = 1000
"""Most rows of one statement: as many as a batch has rules."""


@contextmanager
def whole_statements() -> Iterator[None]:
    """Write a batch with one statement on SQLite as well.

    Django 5.2 cuts statements to the 999 parameters that SQLite took before 2020; 6.0 asks SQLite.
    """
    features: Any = connection.features
    if connection.vendor != "sqlite" or isinstance(type(features).max_query_params, property):
        yield
        return
    connection.ensure_connection()
    before = features.max_query_params
    features.max_query_params = connection.connection.getlimit(SQLITE_LIMIT_VARIABLE_NUMBER)
    try:
        yield
    finally:
        features.max_query_params = before


def replace(model: type[Any], rows: Sequence[Any], fields: Iterable[str]) -> None:
    """Write existing rows of one batch back with one statement.

    An upsert on the primary key; a bulk_update of this size spends seconds on its CASE terms.
    """
    if not rows:
        return
    target = connection.features.supports_update_conflicts_with_target
    model.objects.bulk_create(
        rows,
        batch_size=ROWS,
        update_conflicts=True,
        unique_fields=["pk"] if target else None,
        update_fields=list(fields),
    )
