"""The form of a rule: one error per wrong value, at its field."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from monitoring.admin.context_access import ContextRefusedError, User, require
from monitoring.admin.display import in_words
from monitoring.admin.fields import ListField, NumberInput
from monitoring.core.fields import (
    InvalidValueError,
    read_all_addresses,
    read_context,
    read_duration_factor,
    read_names,
    read_statuses,
    read_success_rate,
)
from monitoring.models import Channel, MonitorRule, TaskStatus
from monitoring.models.rule import default_expected_statuses

if TYPE_CHECKING:
    _Form = forms.ModelForm[MonitorRule]
else:  # not subscriptable at run time
    _Form = forms.ModelForm

_STATUSES = [{"value": value, "title": label} for value, label in TaskStatus.choices]
CONTEXT = ("context_model", "context_field", "context_type")


def _channels(named: object) -> list[tuple[str, str]]:
    """Return the channels there are, and those that the rule names and are there no more."""
    found = {
        name: name if enabled else gettext("%s (disabled)") % name
        for name, enabled in Channel.objects.order_by("name").values_list("name", "enabled")
    }
    gone = [name for name in named if name not in found] if isinstance(named, list) else []
    return [*found.items(), *((str(name), gettext("%s (does not exist)") % name) for name in gone)]


class RuleForm(_Form):
    """One error per wrong value, at its field, in the words of the JSON arguments' errors."""

    user: User

    expected_statuses = ListField(
        name=_("Expected statuses"),
        required=True,
        initial=default_expected_statuses,
        items={"choices": _STATUSES, "widget": "multiselect"},
        read=read_statuses,
        help_text=_("Any of these is fine; everything else alerts."),
    )
    notify_to = ListField(
        name=_("Notify"),
        items={"placeholder": "team@example.com"},
        read=read_all_addresses,
        help_text=_("E-mail addresses. None: all superusers who have one."),
    )
    channels = forms.MultipleChoiceField(
        label=_("Channels"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("Told beside these addresses. With a channel alone, no superuser is told."),
    )
    dependent_tasks = ListField(
        name=_("Dependent tasks"),
        items={"placeholder": _("name of a task")},
        read=read_names,
        help_text=_("Tasks that suffer when this one fails; the mail warns of them."),
    )

    class Meta:
        model = MonitorRule
        fields = (
            "name",
            "task_name",
            "enabled",
            "expected_statuses",
            "lookback_hours",
            "max_runtime_minutes",
            "max_duration_factor",
            "min_success_rate",
            "while_running",
            "notify_to",
            "channels",
            "description",
            "alert_after",
            "remind_hours",
            "notify_on_recovery",
            "snoozed_until",
            "dependent_tasks",
            *CONTEXT,
        )
        # All of them: the history of a rule translates them as they stand here.
        labels = {
            "name": _("Name"),
            "task_name": _("Task"),
            "enabled": _("Enabled"),
            "while_running": _("While it runs"),
            "notify_on_recovery": _("Notify on recovery"),
            "snoozed_until": _("Snoozed until"),
            "context_model": _("Context model"),
            "context_field": _("Context field"),
            "context_type": _("Context type"),
            "max_runtime_minutes": _("Longest runtime, in minutes"),
            "max_duration_factor": _("Slow from, times the usual"),
            "min_success_rate": _("Lowest success rate, in percent"),
            "lookback_hours": _("Look back, in hours"),
            "alert_after": _("Alert after"),
            "remind_hours": _("Remind every, in hours"),
            "description": _("What to do"),
        }
        help_texts = {
            "name": _("Names the rule in lists, mails and commands."),
            "enabled": _("Only then it is checked; an open alert event is closed without it."),
            "lookback_hours": _(
                "A little longer than the gap between two runs: 1 to 2 for an hourly task, "
                "24 to 25 for a daily one, 168 to 170 for a weekly one. 1.5 is 90 minutes."
            ),
            "max_runtime_minutes": _("Running for longer is a failure. Empty: no limit."),
            "max_duration_factor": _(
                # xgettext:no-python-format
                "Usual is what 95 % of its last 50 completed runs did not exceed. 2: an execution "
                "that takes more than twice that is a failure. Empty: no limit."
            ),
            "min_success_rate": _(
                "Of the executions of the window that have finished, so many must have an expected "
                "status. Empty: only the latest counts."
            ),
            "while_running": _("What to make of an execution that has not finished."),
            "description": _("Shown in the mail; a good place for a link to a runbook."),
            "alert_after": _("Failing checks in a row before the first message."),
            "remind_hours": _("While it keeps failing. 0: at every check. Empty: never."),
            "notify_on_recovery": _("Tell those who got the alert when it is fine again."),
            "snoozed_until": _("No message goes out before then; checks go on."),
            "context_model": _("Model whose row says what an execution was for: gap.Session."),
            "context_field": _("Field of that model. Empty: its default, if it has one."),
            "context_type": _("Watch only executions whose row has this value there."),
        }
        widgets = {
            "description": forms.Textarea(attrs={"rows": 4}),
            "lookback_hours": NumberInput,
            "max_runtime_minutes": NumberInput,
            "max_duration_factor": NumberInput,
            "min_success_rate": NumberInput,
            "remind_hours": NumberInput,
            "context_model": forms.TextInput(attrs={"class": "vTextField"}),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if isinstance(channels := self.fields.get("channels"), forms.MultipleChoiceField):
            channels.choices = _channels(self.instance.channels)
            if not channels.choices:
                channels.help_text = _("There is none yet; they have a page of their own.")

    def clean_max_duration_factor(self) -> float | None:
        return _measure(self.cleaned_data["max_duration_factor"], read_duration_factor)

    def clean_min_success_rate(self) -> float | None:
        return _measure(self.cleaned_data["min_success_rate"], read_success_rate)

    def _post_clean(self) -> None:
        # After the model's own clean(), which would take a refused context for half a one.
        super()._post_clean()  # type: ignore[misc]
        if set(CONTEXT) & set(self.changed_data) and not set(CONTEXT) & set(self.errors):
            self._check_context()

    def _check_context(self) -> None:
        """Refuse a context that the editor changes into one that is not theirs to use."""
        model, field, value = (self.cleaned_data[name] for name in CONTEXT)
        context = read_context(model, value, field)
        if context is None:
            return
        try:
            require(context, self.user)
        except ContextRefusedError as refusal:
            self.add_error(refusal.field, in_words(refusal.text))


def _measure(value: float | None, read: Callable[[object], float]) -> float | None:
    """Return what was typed. Raises ValidationError in a sentence, as the other fields do."""
    try:
        return None if value is None else read(value)
    except InvalidValueError as error:
        text = capfirst("; ".join(map(in_words, error.problems)))
        raise ValidationError(text, code="not_readable") from None
