"""What is odd about rules that are valid: warnings with a fix each, never a refusal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from monitoring.core.durations import duration
from monitoring.core.findings import Finding, World
from monitoring.core.messages import number
from monitoring.core.retention import Needs, is_too_short
from monitoring.core.statuses import FINISHED
from monitoring.core.values import Rule
from monitoring.core.wording import Text
from monitoring.core.wording import Text as _

FEWEST_RUNS = 10
"""Of fewer executions nobody can say that a status never comes."""
LONG = timedelta(days=30)
"""A rule that failed or was silent for so long is not read any more."""
_HOUR = timedelta(hours=1)


def lint(rules: Iterable[Rule], others: Iterable[Rule], world: World) -> list[Finding]:
    """Return what is odd about some rules, in their order.

    others: the rules that are in force beside them.
    """
    rules = list(rules)
    everyone = [*rules, *others]
    alone = [finding for rule in rules for check in _ALONE for finding in check(rule, world)]
    together = [*_same(rules, everyone), *_cycles(rules, everyone)]
    together += _unknown_dependents(rules, everyone, world)
    place = {id(rule): number for number, rule in enumerate(rules)}
    return sorted([*alone, *together], key=lambda finding: place[id(finding.rule)])


def outlives(rule: Rule, kept: timedelta | None) -> bool:
    """Say that a rule looks back further than something is kept; None: that is kept for ever."""
    return kept is not None and rule.lookback_hours * 3600 > kept.total_seconds()


def _lookback(rule: Rule, world: World) -> Iterator[Finding]:
    gap = world.gaps.get(rule.task_name)
    if gap is not None and rule.lookback_hours < gap / _HOUR:
        yield Finding(
            id="lookback-shorter-than-schedule",
            rule=rule,
            message=_(
                "it looks back {hours} h, but its schedule leaves up to {gap} between two runs",
                hours=number(rule.lookback_hours),
                gap=duration(gap),
            ),
            fix=_("Let it look back further than that, or it alarms although all is well."),
        )
    interval = world.check_interval
    if interval is not None and rule.lookback_hours < interval / _HOUR:
        yield Finding(
            id="lookback-shorter-than-checks",
            rule=rule,
            message=_(
                "it looks back {hours} h, but a check comes only every {interval}",
                hours=number(rule.lookback_hours),
                interval=duration(interval),
            ),
            fix=_("Check more often, or let it look back further: what lies between is not seen."),
        )


def _retention(rule: Rule, world: World) -> Iterator[Finding]:
    needs = Needs(lookback_hours=rule.lookback_hours)
    if is_too_short(world.days_kept, needs):
        yield Finding(
            id="lookback-longer-than-retention",
            rule=rule,
            message=_(
                "it looks back {hours} h, but executions are meant to be kept for {days} days",
                hours=number(rule.lookback_hours),
                days=world.days_kept,
            ),
            fix=_(
                'Raise MONITORING["RETENTION_DAYS"]["executions"], or let it look back less far.'
            ),
        )
    elif outlives(rule, world.results_kept):
        yield Finding(
            id="lookback-longer-than-retention",
            rule=rule,
            message=_(
                "it looks back {hours} h, but Celery keeps results only for {kept}",
                hours=number(rule.lookback_hours),
                kept=duration(world.results_kept or timedelta(0)),
            ),
            fix=_("Set CELERY_RESULT_EXPIRES longer than that, or let it look back less far."),
        )


def _task(rule: Rule, world: World) -> Iterator[Finding]:
    name = rule.task_name
    if not world.knows(name):
        yield Finding(
            id="task-unknown",
            rule=rule,
            message=world.nowhere(name),
            fix=_("Correct the name, in the spelling that Celery knows it by."),
        )
    elif name in world.switched_off:
        yield Finding(
            id="task-disabled",
            rule=rule,
            message=_('every periodic task that runs "{task}" is disabled', task=name),
            fix=_("Enable one of them, or disable the rule."),
        )
    elif name in world.scheduled and name not in world.in_code and not world.has_run(name):
        yield Finding(
            id="task-not-registered",
            rule=rule,
            message=_('beat sends "{task}", which is not registered here and never ran', task=name),
            fix=_("Correct the name in the periodic task, or let the workers import the task."),
        )


def _statuses(rule: Rule, world: World) -> Iterator[Finding]:
    ends = world.ends.get(rule.task_name, ())
    finished = [status for status in ends if status in FINISHED]
    if len(finished) < FEWEST_RUNS or rule.context is not None:
        return
    for status in rule.expected_statuses:
        if status in FINISHED and status not in finished:
            yield Finding(
                id="status-never-seen",
                rule=rule,
                message=_(
                    "it expects {status}, but none of the last {count} executions ended so",
                    status=_(status.value),
                    count=len(finished),
                ),
                fix=_("Take the status out, or look at why the task never ends like that."),
            )


def _recipients(rule: Rule, world: World) -> Iterator[Finding]:
    for address in rule.notify_to:
        if address.casefold() in world.bounced:
            yield Finding(
                id="recipient-bounced",
                rule=rule,
                message=_("the last message to {address} was refused for good", address=address),
                fix=_("Correct the address, or take it out."),
            )


def _silent(rule: Rule, world: World) -> Iterator[Finding]:
    since = world.open_since.get(rule.key)
    if since is not None and world.now - since >= LONG:
        yield Finding(
            id="failing-for-long",
            rule=rule,
            message=_("it has been failing for {days} days", days=(world.now - since).days),
            fix=_("Repair the task, correct what is expected of it, or disable the rule."),
        )
    if rule.snoozed_until is None or not rule.is_snoozed(world.now):
        return
    written = world.snoozed_since.get(rule.rule_id or 0, world.now)
    if world.now - written >= LONG or rule.snoozed_until - world.now >= LONG:
        yield Finding(
            id="snoozed-for-long",
            rule=rule,
            message=_(
                "it is snoozed until {until}, for {days} days or more",
                until=f"{rule.snoozed_until:%Y-%m-%d}",
                days=LONG.days,
            ),
            fix=_("End the snooze, or disable the rule if nobody needs its messages."),
        )


_ALONE: tuple[Callable[[Rule, World], Iterator[Finding]], ...] = (
    _lookback,
    _retention,
    _task,
    _statuses,
    _recipients,
    _silent,
)


def _said(rule: Rule) -> Rule:
    """Return what a rule says of its task, without whom it tells and when."""
    nothing = Rule(key="", task_name="", expected_statuses=())
    return replace(
        rule,
        expected_statuses=tuple(sorted(set(rule.expected_statuses))),
        **{name: getattr(nothing, name) for name in _NOT_SAID},
    )


_NOT_SAID = (
    *("key", "name", "rule_id", "periodic_task", "path", "description", "notify_to"),
    *("dependent_tasks", "alert_after", "remind_hours", "notify_on_recovery"),
    *("snoozed_until", "watched_since"),
)


def _same(rules: Sequence[Rule], everyone: Sequence[Rule]) -> Iterator[Finding]:
    of_task: dict[str, list[Rule]] = {}
    for rule in everyone:
        of_task.setdefault(rule.task_name, []).append(rule)
    # Most tasks have one rule, and what it says need not be made out then.
    shared = [rule for some in of_task.values() if len(some) > 1 for rule in some]
    said = {id(rule): _said(rule) for rule in shared}
    groups: dict[Rule, list[Rule]] = {}
    for rule in shared:
        groups.setdefault(said[id(rule)], []).append(rule)
    for rule in rules:
        same = groups[said[id(rule)]] if id(rule) in said else ()
        twins = [other for other in same if other is not rule]
        if twins:
            message, fix = _twin(twins[0])
            yield Finding(id="same-rule", rule=rule, message=message, fix=fix)


def _twin(other: Rule) -> tuple[Text, Text]:
    """Return what to say of another rule that says the same, and how to keep one of them."""
    if not other.periodic_task:
        return (
            _('it says the same as "{other}"', other=other.label),
            _("Keep one of them: each opens an alert event of its own."),
        )
    return (
        _(
            'it says the same as the JSON arguments of the periodic task "{periodic_task}"',
            periodic_task=other.periodic_task,
        ),
        _(
            "Take the entry out of these arguments, or disable that periodic task once all of "
            "them are rules: each opens an alert event of its own."
        ),
    )


def _cycles(rules: Sequence[Rule], everyone: Sequence[Rule]) -> Iterator[Finding]:
    dependents: dict[str, set[str]] = {}
    for rule in everyone:
        dependents.setdefault(rule.task_name, set()).update(rule.dependent_tasks)
    for rule in rules:
        path = _way_back(rule, dependents)
        if path:
            yield Finding(
                id="dependency-cycle",
                rule=rule,
                message=_("its dependent tasks lead back to it: {path}", path=" → ".join(path)),
                fix=_("Take one of these dependent tasks out: none can be the cause of itself."),
            )


def _way_back(rule: Rule, dependents: Mapping[str, set[str]]) -> list[str]:
    """Return the shortest way from a rule's task to itself, or nothing."""
    came_from: dict[str, str] = {}
    waiting = sorted(rule.dependent_tasks)
    came_from.update(dict.fromkeys(waiting, rule.task_name))
    for name in waiting:
        if name == rule.task_name:
            path = [name]
            while len(path) == 1 or path[-1] != rule.task_name:
                path.append(came_from[path[-1]])
            return path[::-1]
        for other in sorted(dependents.get(name, ())):
            if other not in came_from:
                came_from[other] = name
                waiting.append(other)
    return []


def _unknown_dependents(
    rules: Sequence[Rule], everyone: Sequence[Rule], world: World
) -> Iterator[Finding]:
    watched = {rule.task_name for rule in everyone}
    for rule in rules:
        for name in rule.dependent_tasks:
            if name in watched or world.knows(name):
                continue
            yield Finding(
                id="dependent-unknown",
                rule=rule,
                message=_(
                    'its dependent task "{task}" is nowhere known{hint}',
                    task=name,
                    hint=world.hint(name),
                ),
                fix=_("Correct the name, or take it out."),
            )
