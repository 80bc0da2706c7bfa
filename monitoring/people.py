"""Who is told when nobody is named."""

from __future__ import annotations

from django.contrib.auth import get_user_model
from django.core.exceptions import FieldError

from monitoring.core.fields import is_address


def superuser_addresses() -> tuple[str, ...]:
    """Return the addresses of active superusers (documented behaviour 10.7.1)."""
    users = get_user_model()
    email = users.get_email_field_name()
    try:
        rows = users._default_manager.filter(is_superuser=True, is_active=True).order_by("pk")
        return tuple(
            address for address in rows.values_list(email, flat=True) if is_address(address)
        )
    except FieldError:  # a user model without superusers
        return ()
