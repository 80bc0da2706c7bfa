"""Checks of how long history is kept."""

from __future__ import annotations

import math
from collections.abc import Iterator

from django.core.checks import CheckMessage
from django.utils import timezone

from monitoring import lookbacks
from monitoring.conf import get_settings
from monitoring.core.retention import is_too_short
from monitoring.system_checks.messages import database_check, warning


@database_check
def check_retention() -> Iterator[CheckMessage]:
    """Warn of executions that are meant to go while a rule in force still looks at them."""
    days = get_settings().RETENTION_DAYS["executions"]
    needs = lookbacks.needs(timezone.now())
    if not is_too_short(days, needs):
        return
    enough = math.ceil(needs.whole.total_seconds() / 86_400)
    yield warning(
        "monitoring.W104",
        f'MONITORING["RETENTION_DAYS"]["executions"] is {days}, but {needs.who} looks back '
        f"{needs.lookback_hours:g} hours: executions are kept for as long as that needs.",
        f"Set it to {enough} or more, or let the rule look back less far.",
    )
