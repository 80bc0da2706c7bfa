"""Tags and filters of the admin's templates."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import template
from django.contrib import admin

from monitoring.admin import display
from monitoring.admin.overview import overview
from monitoring.admin.picture import LANE_HEIGHT

register = template.Library()


@register.simple_tag(takes_context=True)
def monitoring_overview(context: dict[str, Any]) -> dict[str, Any]:
    """Return what the overview shows to whoever asks for the page."""
    return overview(context["request"], admin.site)


@register.filter
def monitoring_instant(at: datetime) -> str:
    return display.instant(at)


@register.filter
def monitoring_statuses(value: list[str]) -> str:
    return display.statuses(value)


@register.filter
def unlocalize_number(value: float) -> str:
    """Return a number as SVG wants it, whatever the language of the page."""
    return f"{value:g}"


@register.filter
def lane_top(number: int) -> int:
    return 8 + number * LANE_HEIGHT
