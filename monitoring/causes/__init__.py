"""The probable causes of what fails: the facts of one batch, read in a constant number of queries.

Nothing here makes a check fail. What cannot be read is logged, and no cause rests on it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime

from django.db import router, transaction
from django_celery_beat.models import PeriodicTask

from monitoring.causes.known import Failing, Known, look_at_beat
from monitoring.core.causes import Cause, probable_cause
from monitoring.core.values import Rule, Verdict
from monitoring.tasklogs import evidence

logger = logging.getLogger("monitoring.causes")


def find(failing: Sequence[Failing], now: datetime, *, beat_asks: bool = False) -> dict[str, Cause]:
    """Return the probable cause of each failing rule that has one, by rule key.

    now: aware, UTC. beat_asks: beat has sent the check, and therefore lives. Never raises.
    """
    failing = [(rule, verdict) for rule, verdict in failing if verdict.is_failing]
    if not failing:
        return {}
    known = Known(now, failing)
    _quietly(known.read_log, evidence.alias)
    if any(rule.context is not None for rule, _ in known.missing):
        _quietly(known.read_contexts, evidence.alias)
    if known.missing:
        _quietly(lambda: known.read_schedules(beat_asks), _beat_alias)
    if known.free:
        _quietly(known.read_gaps, evidence.alias)
    found = {rule.key: _cause(known, rule, verdict) for rule, verdict in failing}
    traceless = known.left_no_trace([pair for pair in failing if found[pair[0].key] is None])
    if traceless:
        _quietly(lambda: known.read_scheduled(traceless), _beat_alias)
    if known.strangers:
        _quietly(known.read_names, evidence.alias)
        found |= {rule.key: _cause(known, rule, verdict) for rule, verdict in known.strangers}
    return {key: cause for key, cause in found.items() if cause is not None}


def is_beat_silent(now: datetime) -> bool | None:
    """Say whether beat is silent; None: nobody can tell. now: aware, UTC. Never raises."""
    try:
        with transaction.atomic(using=_beat_alias()):
            beat = look_at_beat(now)
    except Exception:
        logger.exception("nobody can tell whether beat is silent")
        return None
    return beat is not None and beat.is_silent(now)


def _quietly(read: Callable[[], None], alias: Callable[[], str]) -> None:
    """Read something that a cause may do without; a savepoint keeps the check's transaction."""
    try:
        with transaction.atomic(using=alias()):
            read()
    except Exception:  # whatever a database, a host's model or a schedule of beat's raises
        logger.exception("facts for probable causes cannot be read")


def _beat_alias() -> str:
    return router.db_for_read(PeriodicTask)


def _cause(known: Known, rule: Rule, verdict: Verdict) -> Cause | None:
    try:
        return probable_cause(known.facts(rule, verdict))
    except Exception:
        logger.exception("the cause of rule %r cannot be told", rule.label)
        return None
