"""Rules: what is expected of each task, and what is remembered of them between checks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Case, Q, When
from django.utils import timezone, translation
from django.utils.translation import gettext_lazy as _

from monitoring.core.channels import read_channel_names
from monitoring.core.fields import (
    InvalidValueError,
    read_addresses,
    read_context,
    read_duration_factor,
    read_names,
    read_statuses,
    read_success_rate,
)
from monitoring.core.statuses import FINISHED
from monitoring.core.values import DURATION_FACTORS, FAILING, MAX_LOOKBACK_HOURS, SUCCESS_RATES
from monitoring.core.wording import said
from monitoring.models.choices import VerdictChoices, WhileRunningChoices
from monitoring.models.fields import ExactCharField

MAX_RUNTIME_MINUTES = MAX_LOOKBACK_HOURS * 60


def default_expected_statuses() -> list[str]:
    return ["Completed"]


def validate_positive(value: float) -> None:
    if not value > 0:
        raise ValidationError(_("Must be greater than 0."), code="not_positive")


def _refusal(*problems: str) -> list[ValidationError]:
    """Return what the core complains of, in the language of whoever reads it."""
    return [ValidationError(said(text, translation), code="not_readable") for text in problems]


class MonitorRule(models.Model):
    """What is expected of one task."""

    name = ExactCharField(_("name"), max_length=255, unique=True)
    task_name = ExactCharField(
        _("task"), max_length=255, help_text=_("Exact, case-sensitive name of the Celery task.")
    )
    description = models.TextField(
        _("description"), blank=True, help_text=_("What to do when it alerts; shown in the mail.")
    )
    enabled = models.BooleanField(_("enabled"), default=True)
    expected_statuses = models.JSONField(
        _("expected statuses"), default=default_expected_statuses, blank=True
    )
    lookback_hours = models.FloatField(
        _("lookback hours"),
        default=1,
        validators=[validate_positive, MaxValueValidator(MAX_LOOKBACK_HOURS)],
        help_text=_("How far back to look; slightly longer than the task's interval."),
    )
    notify_to = models.JSONField(
        _("notify to"), default=list, blank=True, help_text=_("Empty: all superusers.")
    )
    channels = models.JSONField(
        _("channels"), default=list, blank=True, help_text=_("Names of channels that are told too.")
    )
    dependent_tasks = models.JSONField(_("dependent tasks"), default=list, blank=True)
    context_model = models.CharField(
        _("context model"), max_length=255, blank=True, help_text=_("app_label.Model")
    )
    context_field = models.CharField(_("context field"), max_length=255, blank=True)
    context_type = ExactCharField(_("context type"), max_length=255, blank=True)
    alert_after = models.PositiveIntegerField(
        _("alert after"),
        default=1,
        validators=[MinValueValidator(1)],
        help_text=_("Failing checks in a row before the first message."),
    )
    remind_hours = models.FloatField(
        _("remind hours"),
        null=True,
        blank=True,
        validators=[MinValueValidator(0), MaxValueValidator(MAX_LOOKBACK_HOURS)],
        help_text=_("Hours between reminders; 0: at every check; empty: never."),
    )
    notify_on_recovery = models.BooleanField(_("notify on recovery"), default=True)
    max_runtime_minutes = models.FloatField(
        _("longest runtime in minutes"), null=True, blank=True, validators=[validate_positive]
    )
    max_duration_factor = models.FloatField(
        _("duration factor"),
        null=True,
        blank=True,
        help_text=_("How many times its own 95th percentile an execution may take; empty: any."),
    )
    min_success_rate = models.FloatField(
        _("lowest success rate in percent"),
        null=True,
        blank=True,
        help_text=_("Share of the window's finished executions that must end as expected."),
    )
    while_running = models.CharField(
        _("while it runs"),
        max_length=8,
        choices=WhileRunningChoices,
        default=WhileRunningChoices.WAIT,
    )
    snoozed_until = models.DateTimeField(_("snoozed until"), null=True, blank=True)
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    class Meta:
        verbose_name = _("rule")
        verbose_name_plural = _("rules")
        ordering = ("name",)
        permissions = (
            ("check_monitorrule", _("Can check rules now")),
            ("snooze_monitorrule", _("Can snooze rules")),
        )
        indexes = (models.Index(fields=("task_name",), name="monitoring_rule_task"),)
        constraints = (
            models.CheckConstraint(condition=~Q(name=""), name="monitoring_rule_has_name"),
            models.CheckConstraint(condition=~Q(task_name=""), name="monitoring_rule_has_task"),
            models.CheckConstraint(
                condition=Q(lookback_hours__gt=0, lookback_hours__lte=MAX_LOOKBACK_HOURS),
                name="monitoring_rule_lookback",
            ),
            models.CheckConstraint(
                condition=Q(alert_after__gte=1), name="monitoring_rule_alert_after"
            ),
            models.CheckConstraint(
                condition=Q(remind_hours__isnull=True)
                | Q(remind_hours__gte=0, remind_hours__lte=MAX_LOOKBACK_HOURS),
                name="monitoring_rule_remind_hours",
            ),
            models.CheckConstraint(
                condition=Q(max_runtime_minutes__isnull=True) | Q(max_runtime_minutes__gt=0),
                name="monitoring_rule_max_runtime",
            ),
            models.CheckConstraint(
                condition=Q(max_duration_factor__isnull=True)
                | Q(max_duration_factor__range=DURATION_FACTORS),
                name="monitoring_rule_duration_factor",
            ),
            models.CheckConstraint(
                condition=Q(min_success_rate__isnull=True)
                | Q(min_success_rate__range=SUCCESS_RATES),
                name="monitoring_rule_success_rate",
            ),
            models.CheckConstraint(
                condition=Q(while_running__in=WhileRunningChoices.values),
                name="monitoring_rule_while_running",
            ),
            models.CheckConstraint(
                condition=Q(context_model="", context_type="", context_field="")
                | (~Q(context_model="") & ~Q(context_type="")),
                name="monitoring_rule_context_whole",
            ),
        )

    def __str__(self) -> str:
        return str(self.name)

    def clean(self) -> None:
        """Refuse what the database cannot check, in the words of the JSON arguments' errors."""
        errors: dict[str, Any] = {}
        readers: dict[str, Callable[[object], Iterable[str]]] = {
            "expected_statuses": read_statuses,
            "dependent_tasks": read_names,
            "channels": read_channel_names,
        }
        for field, read in readers.items():
            try:
                setattr(self, field, [str(item) for item in read(getattr(self, field))])
            except InvalidValueError as error:
                errors[field] = _refusal(*error.problems)
        addresses, complaints = read_addresses(self.notify_to)
        if complaints:
            errors["notify_to"] = _refusal(*complaints)
        else:
            self.notify_to = list(addresses)
        try:
            read_context(self.context_model, self.context_type, self.context_field)
        except InvalidValueError as error:
            errors["context_model"] = _refusal(*error.problems)
        errors |= self._unbounded() | self._unmeasurable()
        readable = not {"expected_statuses", "min_success_rate"} & set(errors)
        if readable and self._counts_no_success():
            text = _("Needs an expected status that ends an execution, such as Completed.")
            errors["min_success_rate"] = ValidationError(text, "no_end")
        if errors:
            raise ValidationError(errors)

    def _unbounded(self) -> dict[str, ValidationError]:
        """Refuse numbers that pass the fields' validators and would break every check."""
        errors: dict[str, ValidationError] = {}
        if self.remind_hours is not None and math.isnan(self.remind_hours):
            errors["remind_hours"] = ValidationError(_("Must be a finite number."), "not_finite")
        if self.max_runtime_minutes is not None and self.max_runtime_minutes > MAX_RUNTIME_MINUTES:
            text = _("Must be at most %(most)d (ten years).")
            errors["max_runtime_minutes"] = ValidationError(
                text, "too_long", {"most": MAX_RUNTIME_MINUTES}
            )
        return errors

    def _unmeasurable(self) -> dict[str, Any]:
        """Refuse what no execution could be measured by."""
        errors: dict[str, Any] = {}
        readers = {
            "max_duration_factor": read_duration_factor,
            "min_success_rate": read_success_rate,
        }
        for field, read in readers.items():
            value = getattr(self, field)
            try:
                setattr(self, field, None if value is None else read(value))
            except InvalidValueError as error:
                errors[field] = _refusal(*error.problems)
        return errors

    def _counts_no_success(self) -> bool:
        """Say that it wants a share of successes and expects no status that ends an execution."""
        return self.min_success_rate is not None and FINISHED.isdisjoint(self.expected_statuses)


class RuleStateQuerySet(models.QuerySet["RuleState"]):
    def of_enabled_rules(self) -> RuleStateQuerySet:
        """Return what is remembered of rules in force.

        A rule that has just been pointed elsewhere may have two until the old one is forgotten.
        """
        rules = MonitorRule.objects.filter(enabled=True).order_by().values("pk")
        return self.filter(rule__in=rules)

    def worst_first(self) -> RuleStateQuerySet:
        """Order by how bad it is: failing for longest, not judged, in progress, fine."""
        rank = Case(
            When(verdict__in=FAILING, then=0),
            When(verdict__in=("", VerdictChoices.UNKNOWN), then=1),
            When(verdict=VerdictChoices.IN_PROGRESS, then=2),
            default=3,
        )
        return self.order_by(rank, "-failing_checks", "pk")


class RuleState(models.Model):
    """What one check remembers for the next about one rule or one entry of JSON arguments.

    Kept apart from the rule, so that a check never writes what an editor is changing.
    """

    key = ExactCharField(_("key"), max_length=64, unique=True)
    # Outlives the rule until a check forgets it, and asks nothing of who deletes a rule.
    rule = models.ForeignKey(
        MonitorRule,
        verbose_name=_("rule"),
        null=True,
        blank=True,
        db_constraint=False,
        on_delete=models.DO_NOTHING,
        related_name="states",
    )
    has_context = models.BooleanField(_("has a context filter"), default=False)
    task_name = ExactCharField(_("task"), max_length=255)
    verdict = models.CharField(
        _("verdict"), max_length=16, choices=VerdictChoices, blank=True, default=""
    )
    failing_checks = models.PositiveIntegerField(_("failing checks"), default=0)
    unknown_checks = models.PositiveIntegerField(_("unknown checks"), default=0)
    last_checked_at = models.DateTimeField(_("last checked at"), null=True, blank=True)

    objects = RuleStateQuerySet.as_manager()

    class Meta:
        verbose_name = _("rule state")
        verbose_name_plural = _("rule states")
        ordering = ("key",)
        indexes = (
            # What a message says of the tasks that depend on the one that fails.
            models.Index(fields=("task_name",), name="monitoring_state_task"),
            # The few that fail among many that are fine.
            models.Index(fields=("verdict",), name="monitoring_state_verdict"),
        )

    def __str__(self) -> str:
        verdict = self.get_verdict_display() or _("never checked")
        return f"{self.task_name}: {verdict}"
