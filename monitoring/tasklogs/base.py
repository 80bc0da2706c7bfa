"""What a task log is: a model whose rows are executions, and the words that tell how to read it.

Each log is described in a module of its own; `evidence` and `history` read whatever is described,
in the same few statements.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import models, router
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Coalesce

from monitoring.core.context_ids import as_text
from monitoring.core.messages import MAX_ERROR_LENGTH
from monitoring.core.statuses import NOT_STARTED, Status, parse_status
from monitoring.core.verdicts import MAX_CLOCK_SKEW

REQUIRED = ("task_name", "status", "started_at")
OPTIONAL = ("task_id", "submitted_at", "finished_at", "worker", "errors", "context_id")
"""What else is used where a log has it."""


class UnknownStatusError(Exception):
    """A row holds a status that stands for none of the seven; the text says how to map it."""


def same_text(_status: Status, text: str) -> str:
    return text


def _first(_task_name: str, value: Any = None, *_: Any) -> str:
    return "" if value is None else as_text(value)


def column_of(model: type[models.Model], name: str) -> str:
    """Return the database column of a field."""
    field: Any = model._meta.get_field(name)
    return str(field.column)


@dataclass(frozen=True, kw_only=True, eq=False)
class TaskLog:
    """How executions are read from one model."""

    model: type[models.Model]
    fields: Mapping[str, str]
    """What we call it (`REQUIRED`, `OPTIONAL`) to the model's field; without `started_at`."""
    started: tuple[str, ...]
    """Fields that say when the latest attempt began; the first that is not empty counts."""
    statuses: Mapping[Any, Status]
    """Every spelling that is stored, to the status it stands for."""
    other_status: Status | None = None
    """What a status stands for that `statuses` does not list; None: that is an error."""
    start_is_a_guess: bool = False
    """`started` may hold a time although nothing has started: waiting rows are told by status."""
    since: tuple[str, ...] = ()
    """Fields whose earliest says when the oldest row was written."""
    times: tuple[str, ...] = ()
    """Fields that say when something happened to an execution."""
    is_own: bool = False
    """The recorder writes it."""
    context_fields: tuple[str, ...] = ()
    read_context_id: Callable[..., str] = field(default=_first)
    """(task name, values of `context_fields`) to the key of the context row, or an empty text."""
    error_length: int = MAX_ERROR_LENGTH
    """How much of the field `errors` is read, in characters."""
    read_error: Callable[[Status, str], str] = field(default=same_text)
    """(status, value of the field `errors`) to what went wrong, for people."""

    @property
    def alias(self) -> str:
        """The database that the log is read from."""
        return router.db_for_read(self.model)

    @property
    def label(self) -> str:
        return self.model._meta.label

    def column(self, name: str) -> str:
        """Return the database column of something that the log has. Raises KeyError if not."""
        return column_of(self.model, self.fields[name])

    @property
    def counts_up(self) -> bool:
        """Whether the oldest row has the smallest primary key."""
        pk: Any = self.model._meta.pk
        return pk.get_internal_type() in {"AutoField", "BigAutoField"}

    @property
    def start(self) -> F | Coalesce:
        """When the latest attempt began, as an expression."""
        first, *others = (F(name) for name in self.started)
        return Coalesce(first, *others) if others else first

    def rows(self) -> QuerySet[Any]:
        """Return every row, in no order, with its start as `log_start`.

        An order that nobody needs, of the model itself, makes PostgreSQL walk a whole table.
        """
        rows: QuerySet[Any] = self.model._default_manager.using(self.alias).order_by()
        started: QuerySet[Any] = rows.alias(log_start=self.start)
        return started

    def started_rows(self, now: datetime | None = None) -> QuerySet[Any]:
        """Return executions that have started.

        now: without those that start later than that by more than clocks differ.
        """
        rows = self.rows()
        if now is None:
            rows = rows.filter(log_start__isnull=False)
        else:
            rows = rows.filter(log_start__lte=now + MAX_CLOCK_SKEW)
        return rows.exclude(self.has_status(NOT_STARTED)) if self.start_is_a_guess else rows

    def has_status(self, wanted: Collection[Status]) -> Q:
        """Return the condition that a row has one of these statuses."""
        name = self.fields["status"]
        stored = [text for text, status in self.statuses.items() if status in wanted]
        found = Q(**{f"{name}__in": stored})
        if self.other_status in wanted:
            found |= ~Q(**{f"{name}__in": list(self.statuses)})
        return found

    @property
    def not_started(self) -> list[Any]:
        """What is stored of executions that wait for a worker."""
        return [text for text, status in self.statuses.items() if status in NOT_STARTED]

    def of_tasks(self, names: Collection[str]) -> Q:
        """Return the condition that a row is of one of these tasks.

        Where the database ignores case in the host's column, rows of others come too.
        """
        return Q(**{f"{self.fields['task_name']}__in": list(names)})

    def status_of(self, stored: Any) -> Status:
        """Return what a stored status stands for. Raises UnknownStatusError if for none."""
        found = self.statuses.get(stored)
        if found is None:
            # MariaDB's check of our own column ignores case, and a host may spell as it likes.
            found = parse_status(str(stored)) or self.other_status
        if found is None:
            raise UnknownStatusError(
                f'{self.label} holds the status "{stored}", which is none of the seven: say what '
                f'it stands for in MONITORING["TASK_LOG_STATUSES"]'
            )
        return found

    def pk_of(self, raw: Any) -> Any:
        """Return a primary key as the ORM has it, from how the database driver gave it."""
        pk: Any = self.model._meta.pk
        return raw if isinstance(raw, int) else pk.to_python(raw)
