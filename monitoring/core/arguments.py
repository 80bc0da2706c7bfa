"""The documented JSON arguments of `monitor_task_status`, read into rules.

Nothing is raised: each entry that can be judged becomes a rule, and everything wrong becomes a
problem with its path, so that one bad entry never costs a good one its check.
Source: documented behaviour 10.3 and 10.5.3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from monitoring.core.fields import (
    InvalidValueError,
    read_addresses,
    read_context,
    read_lookback_hours,
    read_names,
    read_statuses,
    read_task_name,
    shown,
)
from monitoring.core.keys import argument_key
from monitoring.core.names import did_you_mean
from monitoring.core.values import DEFAULT_LOOKBACK_HOURS, Rule

ENTRY_KEYS = (
    "expected_statuses",
    "notify_to",
    "dependent_tasks",
    "lookback_hours",
    "context_model",
    "context_type",
)
SELECTION_KEYS = ("rules", "tasks")

T = TypeVar("T")

_EXAMPLE = '[{"task_name": {"expected_statuses": ["Completed"]}}]'


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One thing that is wrong with the arguments."""

    path: str
    """Where: `arguments[0]["task"].lookback_hours`."""
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Arguments:
    """What one call of `monitor_task_status` asks for."""

    entries: tuple[Rule, ...] = ()
    problems: tuple[Problem, ...] = ()
    rule_names: tuple[str, ...] | None = None
    """Stored rules to check by name; None: not asked for."""
    task_names: tuple[str, ...] | None = None
    """Stored rules to check by task; None: not asked for."""
    all_rules: bool = False


ALL_RULES = "all rules"
"""The name of a check of every enabled rule."""
LONGEST_NAME = 255
"""Characters of the name of a check that are kept."""


def check_name(arguments: Arguments, periodic_task: str = "") -> str:
    """Return what one call asks for, in a few words: the same for the same call at another time."""
    if arguments.all_rules:
        return ALL_RULES
    selections = (("task_name", arguments.task_names), ("name", arguments.rule_names))
    for column, names in selections:
        if names:
            return f"rules with {column} {', '.join(names)}"[:LONGEST_NAME]
    return ("JSON arguments" + (f" of {periodic_task}" if periodic_task else ""))[:LONGEST_NAME]


def parse_arguments(
    args: Sequence[object], kwargs: Mapping[str, object], periodic_task: str = ""
) -> Arguments:
    """Read the arguments of one call.

    No arguments at all ask for every enabled rule; one dictionary is the documented form;
    `rules=[...]` and `tasks=[...]` ask for stored rules.
    periodic_task: name of the periodic task that sent the call; part of the entries' identity.
    """
    if not args and not kwargs:
        return Arguments(all_rules=True)
    problems: list[Problem] = []
    entries: dict[str, Rule] = {}
    for config, path in _dictionaries(args, problems):
        for rule in _read_config(config, path, periodic_task, problems):
            if rule.key in entries:
                problems.append(
                    Problem(path=rule.path, message="listed twice: the first one was checked")
                )
            else:
                entries[rule.key] = rule
    selection = _read_selection(kwargs, problems)
    return Arguments(
        entries=tuple(entries.values()),
        problems=tuple(problems),
        rule_names=selection.get("rules"),
        task_names=selection.get("tasks"),
    )


def _dictionaries(
    args: Sequence[object], problems: list[Problem]
) -> Iterable[tuple[Mapping[object, object], str]]:
    if args and all(isinstance(item, str) for item in args):
        # What is left of a dictionary that was spread over positional arguments.
        message = (
            f"expected one dictionary, got the text {shown(args[0])}: "
            f"the outer [ ] is missing, write {_EXAMPLE}"
        )
        problems.append(Problem(path="arguments", message=message))
        return
    for index, item in enumerate(args):
        path = f"arguments[{index}]"
        if not isinstance(item, Mapping):
            message = f"expected one dictionary, got {shown(item)}: write {_EXAMPLE}"
            problems.append(Problem(path=path, message=message))
            continue
        if not item:
            message = f"the dictionary names no task: write {_EXAMPLE}, or [] to check all rules"
            problems.append(Problem(path=path, message=message))
            continue
        if index:
            message = "only one dictionary is expected: move its tasks into the first one"
            problems.append(Problem(path=path, message=message))
        yield item, path


def _read_config(
    config: Mapping[object, object], path: str, periodic_task: str, problems: list[Problem]
) -> Iterable[Rule]:
    for name, entry in config.items():
        entry_path = f"{path}[{shown(name)}]"
        try:
            yield _read_entry(name, entry, entry_path, periodic_task, problems)
        except InvalidValueError as error:
            problems.append(Problem(path=entry_path, message=str(error)))


def _read_entry(
    name: object, entry: object, path: str, periodic_task: str, problems: list[Problem]
) -> Rule:
    """Return the rule of one entry; raise InvalidValueError when it cannot be judged."""
    task_name = read_task_name(name)
    if not isinstance(entry, Mapping):
        raise InvalidValueError(
            f"expected a dictionary with expected_statuses, got {shown(entry)}: "
            'write {"expected_statuses": ["Completed"]}'
        )
    problems.extend(_unknown_keys(entry, path))
    given = {key: value for key, value in entry.items() if value is not None}
    if "expected_statuses" not in given:
        raise InvalidValueError(
            'expected_statuses is required: write "expected_statuses": ["Completed"]'
        )
    statuses = _named("expected_statuses", read_statuses, given)
    lookback = (
        _named("lookback_hours", read_lookback_hours, given)
        if "lookback_hours" in given
        else DEFAULT_LOOKBACK_HOURS
    )
    context = read_context(given.get("context_model"), given.get("context_type"))
    addresses, complaints = read_addresses(given.get("notify_to", []))
    problems.extend(Problem(path=f"{path}.notify_to", message=text) for text in complaints)
    return Rule(
        key=argument_key(periodic_task, task_name, context),
        task_name=task_name,
        periodic_task=periodic_task,
        path=path,
        expected_statuses=statuses,
        lookback_hours=lookback,
        notify_to=addresses,
        dependent_tasks=_read_dependents(given.get("dependent_tasks", []), path, problems),
        context=context,
        remind_hours=0,
        notify_on_recovery=False,
    )


def _named(key: str, read: Callable[[object], T], given: Mapping[object, object]) -> T:
    try:
        return read(given[key])
    except InvalidValueError as error:
        raise InvalidValueError(f"{key} {error}") from None


def _read_dependents(value: object, path: str, problems: list[Problem]) -> tuple[str, ...]:
    try:
        return read_names(value)
    except InvalidValueError as error:
        # The check does not need them, so the entry is judged without.
        problems.append(Problem(path=f"{path}.dependent_tasks", message=str(error)))
        return ()


def _unknown_keys(entry: Mapping[object, object], path: str) -> Iterable[Problem]:
    for key in entry:
        if key not in ENTRY_KEYS:
            hint = did_you_mean(str(key), ENTRY_KEYS) or f": known are {', '.join(ENTRY_KEYS)}"
            yield Problem(path=path, message=f"unknown key {shown(key)}{hint}")


def _read_selection(
    kwargs: Mapping[str, object], problems: list[Problem]
) -> dict[str, tuple[str, ...]]:
    selection: dict[str, tuple[str, ...]] = {}
    for key, value in kwargs.items():
        if key not in SELECTION_KEYS:
            problems.append(Problem(path=f"keyword argument {shown(key)}", message=_stray(key)))
            continue
        try:
            selection[key] = read_names(value, key.removesuffix("s"))
        except InvalidValueError as error:
            problems.append(Problem(path=key, message=str(error)))
        else:
            if not selection[key]:
                message = "is empty: name at least one, or leave it out to check all rules"
                problems.append(Problem(path=key, message=message))
    return selection


def _stray(key: str) -> str:
    hint = did_you_mean(key, SELECTION_KEYS)
    return (
        f"unknown{hint}: only rules=[...] and tasks=[...] are keyword arguments; "
        f"task configurations belong into the positional arguments, {_EXAMPLE}"
    )
