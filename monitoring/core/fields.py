"""Reading one configured value: the same judgement for JSON arguments, admin forms and rows.

Each reader returns the clean value or raises `InvalidValueError`, whose text says what is wrong
with the value and what to write instead. Source of the types: documented behaviour 10.3.1.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable

from monitoring.core.statuses import Status, nearest_status, parse_status
from monitoring.core.texts import is_storable
from monitoring.core.values import (
    DURATION_FACTORS,
    MAX_LOOKBACK_HOURS,
    SUCCESS_RATES,
    ContextFilter,
)
from monitoring.core.wording import Text as _

MAX_NAME_LENGTH = 255
MAX_ADDRESS_LENGTH = 254

_ADDRESS = re.compile(r"[^\s@<>()\[\],;:\\\"\x00-\x1f\x7f]+@(?:[\w-]+\.)*[\w-]+")
_IN_BRACKETS = re.compile(r"[^<>]*<([^<>]+)>\s*")
_CONTEXT_MODEL = re.compile(r"[A-Za-z_]\w*(?:\.models)?\.[A-Za-z_]\w*")


class InvalidValueError(ValueError):
    """A configured value cannot be used; the text names the value and the fix."""

    def __init__(self, *problems: str) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def shown(value: object, most: int = 80) -> str:
    """Return `value` as JSON spells it, cut to `most` characters, for error messages."""
    try:
        text = json.dumps(value, ensure_ascii=False, default=repr)
    except (TypeError, ValueError, RecursionError):
        text = f"<{type(value).__name__}>"
    text = text.encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= most else f"{text[: most - 1]}…"


def read_task_name(value: object, what: str = "task") -> str:
    """Return a name as it is; `what` it names is for the error's text."""
    if not isinstance(value, str) or not value.strip():
        raise InvalidValueError(
            _(
                "the {what} name must be a non-empty text, got {value}",
                what=_(what),
                value=shown(value),
            )
        )
    if len(value) > MAX_NAME_LENGTH:
        raise InvalidValueError(
            _(
                "the {what} name is longer than {most} characters: {value}",
                what=_(what),
                most=MAX_NAME_LENGTH,
                value=shown(value),
            )
        )
    if not is_storable(value):
        raise InvalidValueError(
            _(
                "the {what} name holds characters that cannot be stored: {value}",
                what=_(what),
                value=shown(value),
            )
        )
    return value


def read_statuses(value: object) -> tuple[Status, ...]:
    """Return the expected statuses without repetition, in the order given."""
    if isinstance(value, str):
        raise InvalidValueError(_no_list(value))
    if not isinstance(value, list | tuple):
        raise InvalidValueError(
            _('must be a list of statuses such as ["Completed"], got {value}', value=shown(value))
        )
    if not value:
        raise InvalidValueError(
            _("is empty: name at least one of {statuses}", statuses=_all_statuses())
        )
    return tuple(dict.fromkeys(_read_status(item) for item in value))


def _read_status(item: object) -> Status:
    if not isinstance(item, str):
        raise InvalidValueError(_no_status(item, ""))
    status = parse_status(item)
    if status is None:
        raise InvalidValueError(_no_status(item, nearest_status(item)))
    return status


def _no_status(item: object, near: str) -> str:
    if near:
        text = _(
            "{value} is not a status: did you mean {near}?", value=shown(item), near=shown(near)
        )
    else:
        text = _(
            "{value} is not a status: use {statuses}", value=shown(item), statuses=_all_statuses()
        )
    return text


def _no_list(text: str) -> str:
    return _("must be a list, got the text {value}: write [{value}]", value=shown(text))


def _all_statuses() -> str:
    return ", ".join(status.value for status in Status)


def read_lookback_hours(value: object) -> float:
    """Return hours as a float: more than 0 and at most ten years."""
    advice = f": write a number of hours above 0 and up to {MAX_LOOKBACK_HOURS}"
    hours = read_number(value, advice=advice)
    if not 0 < hours <= MAX_LOOKBACK_HOURS:
        raise InvalidValueError(f"is out of range, got {shown(value)}{advice}")
    return hours


def read_duration_factor(value: object) -> float:
    """Return how many times the usual duration an execution may take: from 1 to 1000."""
    return _read_between(
        value, DURATION_FACTORS, _("write how many times the usual duration is allowed, such as 2")
    )


def read_success_rate(value: object) -> float:
    """Return a share of executions in percent: from 1 to 100."""
    return _read_between(value, SUCCESS_RATES, _("write a percentage, such as 90 for 90 %"))


def _read_between(value: object, bounds: tuple[int, int], advice: str) -> float:
    number = read_number(value)
    least, most = bounds
    if not least <= number <= most:
        raise InvalidValueError(
            _(
                "must be from {least} to {most}, got {value}: {advice}",
                least=least,
                most=most,
                value=f"{number:g}",
                advice=advice,
            )
        )
    return number


def read_number(value: object, expected: str = "a number", advice: str = "") -> float:
    """Return a finite number as a float; `expected` and `advice` are for the error's text."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        unquoted = f"{advice}, without quotes" if advice else ""
        raise InvalidValueError(f"must be {expected}, got {shown(value)}{unquoted}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise InvalidValueError(f"must be a finite number, got {shown(value)}{advice}")
    return number


def read_names(value: object, what: str = "task") -> tuple[str, ...]:
    """Return a list of names without repetition; `what` they name is for the error's text."""
    if isinstance(value, str):
        raise InvalidValueError(_no_list(value))
    if not isinstance(value, list | tuple):
        raise InvalidValueError(
            _(
                'must be a list of {what} names such as ["{example} Y"], got {value}',
                what=_(what),
                example=what.title(),
                value=shown(value),
            )
        )
    return tuple(dict.fromkeys(read_task_name(item, what) for item in value))


def is_address(value: object) -> bool:
    """Say whether `value` is one plain e-mail address that is safe in a mail header."""
    return (
        isinstance(value, str)
        and len(value) <= MAX_ADDRESS_LENGTH
        and is_storable(value)
        and _ADDRESS.fullmatch(value) is not None
    )


def read_addresses(value: object) -> tuple[tuple[str, ...], list[str]]:
    """Return the usable addresses and a complaint for each thing that is not one.

    A rule can be judged without a right address, so nothing is raised.
    """
    if isinstance(value, str):
        good = (value,) if is_address(value) else ()
        return good, [_no_list(value)]
    if not isinstance(value, list | tuple):
        return (), [
            _('must be a list such as ["admin@example.com"], got {value}', value=shown(value))
        ]
    complaints: list[str] = [_no_address(item) for item in value if not is_address(item)]
    return unique_addresses(item for item in value if is_address(item)), complaints


def _no_address(item: object) -> str:
    """Return a complaint; `Ann <ann@example.com>` is how mail programs copy an address."""
    address = _IN_BRACKETS.fullmatch(item) if isinstance(item, str) else None
    if address is not None and is_address(address[1]):
        return _(
            '{value} is not an e-mail address: write only "{address}"',
            value=shown(item),
            address=address[1],
        )
    return _(
        '{value} is not an e-mail address: write it like "admin@example.com"', value=shown(item)
    )


def read_all_addresses(value: object) -> tuple[str, ...]:
    """Return addresses; forms and files, unlike a check, refuse the list for one that is wrong."""
    addresses, complaints = read_addresses(value)
    if complaints:
        raise InvalidValueError(*complaints)
    return addresses


def unique_addresses(addresses: Iterable[str]) -> tuple[str, ...]:
    """Return addresses without repetition, the first spelling of each; case makes no second."""
    first: dict[str, str] = {}
    for address in addresses:
        first.setdefault(address.casefold(), address)
    return tuple(first.values())


def read_context(model: object, type_: object, field: object = "") -> ContextFilter | None:
    """Return the context filter, or None when none is configured."""
    if _absent(model) and _absent(type_):
        if not _absent(field):
            raise InvalidValueError(
                _("context_field needs context_model and context_type beside it")
            )
        return None
    if _absent(model) or _absent(type_):
        given, missing = (
            ("context_type", "context_model")
            if _absent(model)
            else ("context_model", "context_type")
        )
        raise InvalidValueError(
            _(
                "{given} is given without {missing}: set both or neither",
                given=given,
                missing=missing,
            )
        )
    if not isinstance(model, str) or not _CONTEXT_MODEL.fullmatch(model):
        raise InvalidValueError(
            _(
                'context_model must look like "gap.models.IngestorSession", got {value}',
                value=shown(model),
            )
        )
    if not isinstance(type_, str) or len(type_) > MAX_NAME_LENGTH:
        raise InvalidValueError(
            _(
                "context_type must be a text of up to {most} characters, got {value}",
                most=MAX_NAME_LENGTH,
                value=shown(type_),
            )
        )
    if not is_storable(type_):
        raise InvalidValueError(
            _("context_type holds characters that cannot be stored: {value}", value=shown(type_))
        )
    if not isinstance(field, str):
        raise InvalidValueError(
            _("context_field must be a field name, got {value}", value=shown(field))
        )
    return ContextFilter(model=model, field=field, type=type_)


def _absent(value: object) -> bool:
    return value is None or value == ""
