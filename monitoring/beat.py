"""Beat, watched without a rule: while it is silent, one alert says so, and others wait behind it.

It is looked at only when a rule fails that it may be to blame for, and until it is back. An alert
waits only if everybody it would go to has been told of beat, and for an hour at most, as behind any
other task.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from django.utils import translation

from monitoring import causes, runs
from monitoring.alerting import Decision, StateRow, find_causes, read_state
from monitoring.core.incidents import Action, MessageKind, step
from monitoring.core.inhibition import Upstream
from monitoring.core.keys import BEAT
from monitoring.core.recipients import resolve_recipients
from monitoring.core.statuses import NO_EXECUTION, Status
from monitoring.core.values import Rule, Verdict, VerdictKind
from monitoring.core.wording import Text as _
from monitoring.core.wording import said
from monitoring.models import AlertEvent, Notification, NotificationState
from monitoring.people import superuser_addresses
from monitoring.rendering import mail_language
from monitoring.runs import Begun

NAME = "celery beat"
WATCH = Rule(key=BEAT, task_name=NAME, expected_statuses=(Status.RUNNING,))
CATCHES_UP = timedelta(minutes=10)
"""How long alerts still wait once beat is back: it begins with what it has missed."""

_BECAUSE = "beat_silent"
"""The cause of what fails because of beat."""
_MOST_DEPENDENTS = 50
_ADVICE = _(
    "Does the process `celery beat` run, and reach broker and database? While it is silent, the "
    "alerts of the tasks it has missed wait behind this one, for an hour at most."
)

TakeStates = Callable[[Sequence[Rule]], dict[str, StateRow]]


def watch(
    decisions: Sequence[Decision],
    noted: StateRow | None,
    take_states: TakeStates,
    now: datetime,
    *,
    asks: bool,
    begun: Begun | None,
) -> list[Decision]:
    """Hold the alerts that wait for beat; return what is decided about beat itself, if anything.

    decisions: of one batch, with their causes. noted: what is remembered of beat unless it was
    fine. asks: beat has sent this check. begun: the check, unless it writes nothing; otherwise the
    event of beat is opened here if need be, because those of others point at it.
    """
    late = [one for one in decisions if _is_late(one)]
    was_silent = noted is not None and noted.pk is not None and not noted.is_fine
    told = [] if asks or was_silent else _told_before(decisions, late, now)
    if late or told:
        found = _silent(late, told, take_states, now, writes=begun is not None)
    else:
        found = _back(take_states, now, asks) if was_silent else []
    for one in found:
        if one.step.owed is not None and begun is not None:
            # Every check looks at beat, whichever rules it is about.
            one.not_checked_from = runs.gap_of_all(begun, now)
    is_back = any(one.step.action is Action.RESOLVE for one in found)
    for one in decisions:
        if (above := _waited_for(one)) is not None and _catches_up(above, is_back, now):
            _hold(one, above, now)
    return found


def _is_late(decision: Decision) -> bool:
    """Say that a rule is about to alert because of beat; JSON arguments alert as documented."""
    owed, cause = decision.step, decision.cause
    is_alert = owed.owed is MessageKind.ALERT and not owed.suppressed_by
    return decision.rule.is_stored and is_alert and cause is not None and cause.id == _BECAUSE


def _told_before(
    decisions: Sequence[Decision], late: Sequence[Decision], now: datetime
) -> list[Decision]:
    """Return the other rules that fail because of beat, which is known to be silent only now."""
    others = [one for one in decisions if _may_miss_beat(one, now) and not _is_late(one)]
    if not others or not (late or causes.is_beat_silent(now)):
        return []
    find_causes([one for one in others if one.cause is None], now)
    return [one for one in others if one.cause is not None and one.cause.id == _BECAUSE]


def _may_miss_beat(decision: Decision, now: datetime) -> bool:
    """Say that a rule misses its task, and nobody has said that he takes care of it."""
    rule, event = decision.rule, decision.event
    is_missing = rule.is_stored and decision.verdict.kind is VerdictKind.NO_EXECUTION
    is_silenced = rule.is_snoozed(now) or (event is not None and event.is_acknowledged(now))
    return is_missing and not is_silenced


def _waited_for(decision: Decision) -> AlertEvent | None:
    """Return the event of beat that an alert has waited for which is to go out now."""
    above = decision.event.upstream if decision.event is not None else None
    is_beat = above is not None and above.key == BEAT
    is_missing = decision.verdict.kind is VerdictKind.NO_EXECUTION
    is_owed = decision.step.owed is MessageKind.ALERT and not decision.step.suppressed_by
    return above if is_beat and is_missing and is_owed else None


def _catches_up(above: AlertEvent, is_back: bool, now: datetime) -> bool:
    if above.resolved_at is None:
        return is_back
    return timedelta(0) <= now - above.resolved_at < CATCHES_UP


def _hold(decision: Decision, above: AlertEvent | None, now: datetime) -> None:
    """Decide once more, now that something stands above: `core.incidents` says for how long."""
    upstream = Upstream(
        event_id=above.pk if above is not None and above.pk else 0,
        task_name=NAME,
        dependents=frozenset(),
        has_told=True,
        since=above.opened_at if above is not None else now,
    )
    before = read_state(decision.state, decision.event)
    decision.step = step(decision.rule, before, decision.verdict, now, upstream)


def _silent(
    late: Sequence[Decision],
    told_before: Sequence[Decision],
    take_states: TakeStates,
    now: datetime,
    *,
    writes: bool,
) -> list[Decision]:
    """Return what is decided about a silent beat, and hold the alerts that are late because of it.

    told_before: rules that fail because of it as well, but have alerted or do not alert yet.
    """
    missed = [*late, *told_before]
    superusers = superuser_addresses()
    if not superusers:  # nobody can be told of beat, so nothing waits for it
        return []
    reached = {one.rule.key: resolve_recipients(one.rule.notify_to, superusers) for one in missed}
    everybody = {*superusers, *(address for some in reached.values() for address in some)}
    state = take_states([WATCH])[BEAT]
    event = AlertEvent.objects.filter(open_key=BEAT).first()
    told = everybody if event is None else _told(event, now)
    rule = _watch(missed, everybody, event)
    because = missed[0].cause
    reason = because.evidence if because is not None else ""
    verdict = Verdict(VerdictKind.NO_EXECUTION, NO_EXECUTION, reason=reason)
    about_beat = Decision(
        rule=rule,
        verdict=verdict,
        step=step(rule, read_state(state, event), verdict, now),
        state=state,
        event=event,
        cause=because,
        told_cause=missed[0].told_cause,
    )
    if event is None and writes:
        about_beat.event = _opened(rule, now)
    for one in late:
        if told.issuperset(reached[one.rule.key]):
            _hold(one, about_beat.event, now)
    return [about_beat]


def _watch(missed: Sequence[Decision], everybody: set[str], event: AlertEvent | None) -> Rule:
    """Return the rule of beat while it is silent: whom it tells, and of which tasks."""
    names = {one.rule.task_name for one in missed} | set(event.dependent_tasks if event else ())
    with mail_language():
        advice = said(_ADVICE, translation)
    return replace(
        WATCH,
        description=advice,
        lookback_hours=missed[0].rule.lookback_hours,
        notify_to=tuple(sorted(everybody)),
        dependent_tasks=tuple(sorted(names)[:_MOST_DEPENDENTS]),
    )


def _opened(rule: Rule, now: datetime) -> AlertEvent:
    """Open the event of beat; the lock on its state keeps another check from doing the same."""
    return AlertEvent.objects.create(
        key=BEAT,
        open_key=BEAT,
        task_name=NAME,
        verdict=VerdictKind.NO_EXECUTION.value,
        current_status=NO_EXECUTION,
        lookback_hours=rule.lookback_hours,
        opened_at=now,
        last_checked_at=now,
    )


def _told(event: AlertEvent, now: datetime) -> set[str]:
    """Return who has heard that beat is silent, or is about to by this very check."""
    alerts = Notification.objects.filter(alert_event=event, kind=MessageKind.ALERT.value)
    states = [NotificationState.SENT]
    if event.opened_at == now:
        states.append(NotificationState.PENDING)
    return set(alerts.filter(state__in=states).values_list("recipient", flat=True))


def _back(take_states: TakeStates, now: datetime, asks: bool) -> list[Decision]:
    """Return that beat is at work again, unless it is not or nobody can tell."""
    if not asks and causes.is_beat_silent(now) is not False:
        return []
    state = take_states([WATCH])[BEAT]
    event = AlertEvent.objects.filter(open_key=BEAT).first()
    verdict = Verdict(VerdictKind.OK, Status.RUNNING.value)
    rule = WATCH
    if event is not None:
        names = tuple(event.dependent_tasks)
        rule = replace(WATCH, lookback_hours=event.lookback_hours, dependent_tasks=names)
    found = step(rule, read_state(state, event), verdict, now)
    return [Decision(rule=rule, verdict=verdict, step=found, state=state, event=event)]
