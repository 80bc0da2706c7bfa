"""A file of rules as rows of plain values: what it may hold, and how it is spelt.

Numbers, lists, booleans and null stand in the file as such, so that what was exported is imported
unchanged. Each value has one reader, which raises `InvalidValueError` with what is wrong with it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from monitoring.core.channels import read_channel_names
from monitoring.core.fields import (
    InvalidValueError,
    read_all_addresses,
    read_duration_factor,
    read_lookback_hours,
    read_names,
    read_number,
    read_statuses,
    read_success_rate,
    read_task_name,
    shown,
)
from monitoring.core.values import WhileRunning

MAX_BYTES = 5 * 1024 * 1024
TOO_LARGE = "the file is larger than 5 MB: split it"

# What every database stores in an integer column.
_MAX_WHOLE_NUMBER = 2**31 - 1

Row = dict[str, Any]
Reader = Callable[[object], object]


class FileError(ValueError):
    """A file cannot be read as rules: everything that is wrong with it."""

    def __init__(self, *problems: str) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def parse(data: bytes | str) -> object:
    """Return what a file of JSON says.

    Raises FileError if it is too large or not JSON, and for what JSON readers let pass in silence:
    a key that is there twice, and NaN.
    """
    if len(data) > MAX_BYTES:
        raise FileError(TOO_LARGE)
    try:
        text = data.decode("utf-8-sig") if isinstance(data, bytes) else data
        return json.loads(text, object_pairs_hook=_without_repetition, parse_constant=_refuse)
    except FileError:
        raise
    except UnicodeDecodeError:
        raise FileError("the file is not text in UTF-8: save it as such") from None
    except RecursionError:
        raise FileError("the file is not JSON of rules: it is nested too deeply") from None
    except ValueError as error:
        raise FileError(f"the file is not JSON: {error}") from None


def _without_repetition(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise FileError(f"the key {shown(key)} is there twice in one dictionary")
        found[key] = value
    return found


def _refuse(constant: str) -> object:
    raise FileError(f"the file is not JSON: {constant} is not a number")


def as_rows(value: object) -> list[Row]:
    """Return the rules of a parsed file; raise FileError for whatever is none."""
    if not isinstance(value, list):
        raise FileError(f"expected an array of rules, got {shown(value)}")
    problems = [
        f"row {number}: expected a dictionary, got {shown(item)}"
        for number, item in enumerate(value, 1)
        if not isinstance(item, Mapping)
    ]
    if problems:
        raise FileError(*problems)
    return [dict(item) for item in value]


def dump(value: object) -> str:
    """Return JSON as it is kept in version control: indented, readable, with a newline."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def plain(value: object) -> object:
    """Return a field's value as it stands in a file."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, float) and value.is_integer():
        return int(value)  # 24, as people write it
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise InvalidValueError(f"must be a text, got {shown(value)}")
    if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise InvalidValueError(f"holds characters that cannot be stored: {shown(value)}")
    return value


def _yes_or_no(value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidValueError(f"must be true or false, got {shown(value)}")
    return value


def _statuses(value: object) -> list[str]:
    return [status.value for status in read_statuses(value)]


def _names(value: object) -> list[str]:
    return list(read_names(value))


def _addresses(value: object) -> list[str]:
    return list(read_all_addresses(value))


def _channels(value: object) -> list[str]:
    return list(read_channel_names(value))


def _whole_number(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidValueError(f"must be a whole number, got {shown(value)}")
    if not 1 <= value <= _MAX_WHOLE_NUMBER:
        raise InvalidValueError(f"must be 1 or more, up to {_MAX_WHOLE_NUMBER}, got {shown(value)}")
    return value


def _number_or_null(value: object) -> float | None:
    return None if value is None else read_number(value, "a number or null")


def _or_null(read: Reader) -> Reader:
    return lambda value: None if value is None else read(value)


def _while_running(value: object) -> str:
    choices = [str(choice.value) for choice in WhileRunning]
    if value not in choices:
        raise InvalidValueError(f'must be "judge" or "wait", got {shown(value)}')
    return str(value)


def _moment_or_null(value: object) -> datetime | None:
    if value is None:
        return None
    advice = 'write it in UTC like "2026-04-01T09:30:00Z", or null'
    if not isinstance(value, str):
        raise InvalidValueError(f"must be a point in time, got {shown(value)}: {advice}")
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            raise InvalidValueError(f"has no time zone, got {shown(value)}: {advice}")
        return moment.astimezone(UTC)
    except InvalidValueError:
        raise
    except (ValueError, OverflowError):
        raise InvalidValueError(f"is not a point in time, got {shown(value)}: {advice}") from None


def _rule_name(value: object) -> str:
    return read_task_name(value, "rule")


READERS: dict[str, Reader] = {
    "name": _rule_name,
    "task_name": read_task_name,
    "description": _text,
    "enabled": _yes_or_no,
    "expected_statuses": _statuses,
    "lookback_hours": read_lookback_hours,
    "notify_to": _addresses,
    "channels": _channels,
    "dependent_tasks": _names,
    "context_model": _text,
    "context_field": _text,
    "context_type": _text,
    "alert_after": _whole_number,
    "remind_hours": _number_or_null,
    "notify_on_recovery": _yes_or_no,
    "max_runtime_minutes": _number_or_null,
    "max_duration_factor": _or_null(read_duration_factor),
    "min_success_rate": _or_null(read_success_rate),
    "while_running": _while_running,
    "snoozed_until": _moment_or_null,
}
"""A reader for each field of a rule that files hold, in the order they stand in there."""

FIELDS = tuple(READERS)

MOMENTARY = frozenset({"snoozed_until"})
"""Fields that say how a rule is doing, not what it is: exports leave them out."""


def unknown_keys(row: Mapping[str, object]) -> Iterable[str]:
    """Return the keys of a row that are no field of a rule."""
    return [key for key in row if key not in READERS]
