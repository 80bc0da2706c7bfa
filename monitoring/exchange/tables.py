"""A file of rules as the table that django-import-export works on."""

from __future__ import annotations

from collections.abc import Iterable

from import_export.formats.base_formats import Format
from tablib import Dataset

from monitoring.exchange import documented, rows
from monitoring.exchange.rows import FIELDS, FileError, Row


class _Absent:
    """Stands in a row for what the file does not say."""

    def __repr__(self) -> str:
        return "not given"


ABSENT = _Absent()

UNKNOWN_KEYS = "unknown keys"
"""A column beside the fields: the keys of a row that are none."""


def read_file(data: bytes | str) -> list[Row]:
    """Return the rules of a file: exported ones or documented arguments.

    Raises FileError. Whether the rules are right is found out by importing them.
    """
    value = rows.parse(data)
    return documented.to_rows(value) if documented.is_documented(value) else rows.as_rows(value)


def to_dataset(found: Iterable[Row]) -> Dataset:
    """Return rows, which need not have the same keys, as a table."""
    dataset = Dataset(headers=[*FIELDS, UNKNOWN_KEYS])
    for row in found:
        values = [row.get(field, ABSENT) for field in FIELDS]
        dataset.append([*values, rows.unknown_keys(row)])
    return dataset


class RuleFormat(Format):  # type: ignore[misc]
    """JSON with native values; tablib's own would refuse a row that leaves a key out."""

    def get_title(self) -> str:
        return "JSON"

    def __init__(self, encoding: str | None = None) -> None:
        """Take the library's encoding, which is always UTF-8 here."""

    def create_dataset(self, in_stream: bytes | str | None) -> Dataset:
        if in_stream is None:  # what the library's cache says of a file it no longer has
            raise FileError("the uploaded file is gone: upload it again")
        return to_dataset(read_file(in_stream))

    def export_data(self, dataset: Dataset, **_: object) -> str:
        return rows.dump(dataset.dict)

    def get_extension(self) -> str:
        return "json"

    def get_content_type(self) -> str:
        return "application/json; charset=utf-8"

    def can_import(self) -> bool:
        return True

    def can_export(self) -> bool:
        return True
