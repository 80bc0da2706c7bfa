"""Whom a message goes to: documented behaviour 10.7."""

from __future__ import annotations

import pytest

from monitoring.core.recipients import no_recipient_error, resolve_recipients


@pytest.mark.parametrize(
    ("notify_to", "superusers", "recipients"),
    [
        (
            ["admin@example.com", "devops@example.com"],
            ["root@example.com"],
            ("admin@example.com", "devops@example.com"),
        ),
        ([], ["root@example.com", "boss@example.com"], ("root@example.com", "boss@example.com")),
        ([], [], ()),
        (["a@example.com", "A@EXAMPLE.com"], [], ("a@example.com",)),
        ([], ["a@example.com", "A@EXAMPLE.com"], ("a@example.com",)),
    ],
    ids=[
        "its own addresses, superusers not included",
        "superusers when it has none",
        "nobody",
        "an address twice",
        "a superuser's address twice",
    ],
)
def test_a_message_goes_to_the_rules_own_addresses_or_else_to_superusers(
    notify_to: list[str], superusers: list[str], recipients: tuple[str, ...]
) -> None:
    assert resolve_recipients(notify_to, superusers) == recipients


def test_nobody_to_send_to_is_the_documented_error() -> None:
    assert no_recipient_error("daily_report") == (
        "notify_to is empty but no superuser found for task 'daily_report'"
    )
