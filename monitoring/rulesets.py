"""From what a call asks for to rules that the core can judge."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from django.db.models import QuerySet

from monitoring.core.arguments import Arguments, check_name
from monitoring.core.names import did_you_mean
from monitoring.core.values import Rule
from monitoring.core.wording import Text as _
from monitoring.models import MonitorRule
from monitoring.rule_rows import Batch, as_rows, read_rows
from monitoring.sieve import sift
from monitoring.transactions import in_transaction

T = TypeVar("T")
Rows = QuerySet[MonitorRule, tuple[Any, ...]]

BATCH_SIZE = 1000
"""Rules per transaction: bounds memory, the size of a statement and how long locks are held."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RuleSet:
    """Everything one call asks for."""

    name: str
    """What was asked for, for people."""
    identity: str
    """The same for two calls that ask for the same."""
    is_complete: bool
    """All enabled stored rules: whoever is missing from it is watched no longer."""
    entries: Sequence[Rule]
    stored: QuerySet[MonitorRule] | None
    problems: Sequence[str]
    periodic_task: str = ""
    """Who asks, if a periodic task does."""

    def batches(self, now: datetime | None = None) -> Iterator[Batch]:
        """Yield the rules, at most `BATCH_SIZE` at a time.

        now: only count those that the database finds to be fine at this instant, as they were.
        """
        yield from (Batch(rules=part) for part in _parts(self.entries))
        if self.stored is None:
            return
        rows = as_rows(self.stored)
        found = sift(now) if now is not None and self.is_complete else None
        if found is None:
            yield from _pages(rows)
            return
        if found.fine:
            first, *others = _parts(found.stale) or [()]
            yield Batch(rules=(), fine=found.fine, stale=first)
            yield from (Batch(rules=(), stale=part) for part in others)
        for part in _parts(found.rest):
            yield read_rows(in_transaction(partial(_some, rows, part)))


def _pages(rows: Rows) -> Iterator[Batch]:
    last_pk = 0
    while page := in_transaction(partial(_page, rows, last_pk)):
        last_pk = page[-1][0]
        yield read_rows(page)


def _page(rows: Rows, after: int) -> list[tuple[Any, ...]]:
    return list(rows.filter(pk__gt=after).order_by("pk")[:BATCH_SIZE])


def _some(rows: Rows, pks: Sequence[int]) -> list[tuple[Any, ...]]:
    return list(rows.filter(pk__in=pks).order_by("pk"))


def _parts(whole: Sequence[T]) -> list[Sequence[T]]:
    return [whole[start : start + BATCH_SIZE] for start in range(0, len(whole), BATCH_SIZE)]


def select(arguments: Arguments, periodic_task: str = "") -> RuleSet:
    """Find the rules that a call asks for; names that are not there become problems."""
    problems: list[str] = [str(problem) for problem in arguments.problems]
    enabled = MonitorRule.objects.filter(enabled=True)
    stored: QuerySet[MonitorRule] | None = None
    name = check_name(arguments, periodic_task)
    wanted = [rule.key for rule in arguments.entries]
    if arguments.all_rules:
        stored = enabled
    for column, names in (("name", arguments.rule_names), ("task_name", arguments.task_names)):
        if not names:
            continue
        part = enabled.filter(**{f"{column}__in": names})
        problems += _missing(column, names, part)
        stored = part if stored is None else stored | part
        wanted += [f"{column}={item}" for item in names]
    return RuleSet(
        name=name,
        identity=_digest(name, wanted),
        is_complete=arguments.all_rules,
        entries=arguments.entries,
        stored=stored,
        problems=problems,
        periodic_task=periodic_task,
    )


def _missing(column: str, names: Sequence[str], found: QuerySet[MonitorRule]) -> Iterator[str]:
    there = set(found.values_list(column, flat=True))
    missing = [name for name in names if name not in there]
    if not missing:
        return
    disabled = set(
        MonitorRule.objects.filter(**{f"{column}__in": missing}).values_list(column, flat=True)
    )
    known = list(MonitorRule.objects.values_list(column, flat=True).distinct()[:10_000])
    is_named = column == "name"
    for name in missing:
        hint = did_you_mean(name, known)
        if name in disabled and is_named:
            yield _('the rule named "{name}" is disabled: enable it in the admin', name=name)
        elif name in disabled:
            yield _('the rule for task "{name}" is disabled: enable it in the admin', name=name)
        elif is_named:
            yield _('there is no rule named "{name}"{hint}', name=name, hint=hint)
        else:
            yield _('there is no rule for task "{name}"{hint}', name=name, hint=hint)


def _digest(name: str, wanted: Sequence[str]) -> str:
    return hashlib.sha256("\n".join([name, *sorted(wanted)]).encode()).hexdigest()[:32]
