"""Whom a message goes to. Source: documented behaviour 10.7.1."""

from __future__ import annotations

from collections.abc import Sequence

from monitoring.core.fields import unique_addresses
from monitoring.core.wording import Text as _


def resolve_recipients(
    notify_to: Sequence[str], superusers: Sequence[str], channels: Sequence[str] = ()
) -> tuple[str, ...]:
    """Return the rule's own addresses and channels, else the superusers' addresses.

    A channel is named as it is; `channel_of` tells it from an address. Empty when there is nobody.
    """
    return (*unique_addresses(notify_to), *channels) or unique_addresses(superusers)


def no_recipient_error(task_name: str) -> str:
    """Return the documented error text (10.7.1)."""
    return _(
        "notify_to is empty but no superuser found for task '{task_name}'", task_name=task_name
    )
