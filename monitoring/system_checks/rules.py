"""Checks of what is watched: enabled rules, and the entries of scheduled JSON arguments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from django.core.checks import CheckMessage
from django.db.models import QuerySet
from django.utils import timezone

from monitoring.channels.apprise import is_installed
from monitoring.contexts import ContextError, resolve
from monitoring.core.values import ContextFilter, Rule
from monitoring.models import Channel, MonitorRule
from monitoring.models.encryption import INSTALL
from monitoring.people import superuser_addresses
from monitoring.periodic_tasks import scheduled_entries
from monitoring.rule_rows import as_rows, read_rows
from monitoring.system_checks.messages import database_check, named, warning


@database_check
def check_contexts() -> Iterator[CheckMessage]:
    """Warn of context filters that name a model, field or key that does not exist."""
    rules = watched(MonitorRule.objects.exclude(context_model=""))
    reasons: dict[tuple[str, str], str] = {}
    labels: dict[str, list[str]] = {}
    for rule in rules:
        if rule.context is None:
            continue
        names = (rule.context.model, rule.context.field)
        if names not in reasons:
            reasons[names] = _reason(rule.context)
        if reasons[names]:
            labels.setdefault(reasons[names], []).append(label_of(rule))
    for reason, affected in labels.items():
        yield warning(
            "monitoring.W105",
            f"{named(affected)} cannot be judged: {reason}",
            "Correct the context where it stands: in the rule, in the Arguments of the periodic "
            'task, or in MONITORING["CONTEXT_FIELDS"] and ["CONTEXT_KEYS"].',
        )


@database_check
def check_recipients() -> Iterator[CheckMessage]:
    """Warn of rules without addresses while no superuser has one either."""
    if superuser_addresses():
        return
    silent = [
        label_of(rule)
        for rule in watched(MonitorRule.objects.all())
        if not (rule.notify_to or rule.channels)
    ]
    if silent:
        yield warning(
            "monitoring.W106",
            f"nobody can be told about {named(silent)} ({len(silent)} in all): notify_to holds no "
            "address, and no active superuser has one",
            "Add addresses to notify_to, or give an active superuser an e-mail address.",
        )


@database_check
def check_channels() -> Iterator[CheckMessage]:
    """Warn of rules that name a channel which cannot take a message."""
    enabled = dict(Channel.objects.values_list("name", "enabled"))
    naming: dict[str, list[str]] = {}
    telling = MonitorRule.objects.filter(enabled=True).exclude(channels=[])
    for rule in read_rows(as_rows(telling.order_by("name"))).rules:
        for name in rule.channels:
            naming.setdefault(name, []).append(label_of(rule))
    for name, labels in sorted(naming.items()):
        if name not in enabled:
            why = "does not exist"
        elif not is_installed():
            why = "needs packages that are not installed"
        elif not enabled[name]:
            why = "is disabled"
        else:
            continue
        yield warning(
            "monitoring.W112",
            f'channel "{name}", which {named(labels)} would tell, {why}',
            "Take it off the rules, or add, enable or install what is missing "
            f"({INSTALL}); superusers get its messages until then.",
        )


def _reason(context: ContextFilter) -> str:
    try:
        resolve(context)
    except ContextError as error:
        return str(error)
    return ""


def watched(rules: QuerySet[MonitorRule]) -> Sequence[Rule]:
    """Return the enabled ones of these rules and all scheduled entries, in two queries."""
    stored = read_rows(as_rows(rules.filter(enabled=True).order_by("name"))).rules
    return [*stored, *scheduled_entries(timezone.now())]


def label_of(rule: Rule) -> str:
    if rule.is_stored:
        return f'rule "{rule.name}"'
    return f'{rule.path} of periodic task "{rule.periodic_task}"'
