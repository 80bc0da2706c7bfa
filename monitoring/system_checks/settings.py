"""Checks of the settings; they read no database."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from django.conf import global_settings
from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Tags, register
from django.core.exceptions import ImproperlyConfigured

from monitoring import contexts
from monitoring.conf import read_settings
from monitoring.system_checks.messages import error, warning


@register(Tags.compatibility)
def check_settings(**_: Any) -> Sequence[CheckMessage]:
    """Refuse unknown keys and wrong types in MONITORING."""
    _settings, complaints = read_settings(getattr(django_settings, "MONITORING", {}))
    return [
        error(
            "monitoring.E001",
            f"MONITORING: {complaint}",
            "Correct it: docs/settings.md lists every key with its type.",
        )
        for complaint in complaints
    ]


@register(Tags.models)
def check_context_settings(**_: Any) -> Sequence[CheckMessage]:
    """Warn of context models, fields and keys in MONITORING that do not exist."""
    try:
        problems = list(contexts.setting_problems())
    except ImproperlyConfigured:  # E001 says so
        return []
    return [
        warning("monitoring.W105", problem, "Correct or remove this entry of the setting.")
        for problem in problems
    ]


@register(Tags.compatibility)
def check_sender(**_: Any) -> Sequence[CheckMessage]:
    """Warn if alerts would come from the address that Django makes up."""
    settings, _complaints = read_settings(getattr(django_settings, "MONITORING", {}))
    sender = django_settings.DEFAULT_FROM_EMAIL
    if settings.FROM_EMAIL or sender != global_settings.DEFAULT_FROM_EMAIL:
        return []
    return [
        warning(
            "monitoring.W108",
            f"alerts would come from {sender}, Django's default, which mail servers refuse",
            'Set MONITORING["FROM_EMAIL"] or DEFAULT_FROM_EMAIL to an address of yours.',
        )
    ]


@register(Tags.compatibility)
def check_metrics(**_: Any) -> Sequence[CheckMessage]:
    """Warn if Prometheus is to be answered and its library is not there."""
    settings, _complaints = read_settings(getattr(django_settings, "MONITORING", {}))
    if not settings.METRICS_TOKEN or find_spec("prometheus_client") is not None:
        return []
    return [
        warning(
            "monitoring.W111",
            'MONITORING["METRICS_TOKEN"] is set, but prometheus-client is not installed',
            "pip install 'django-task-monitoring[prometheus]', or leave the setting out.",
        )
    ]
