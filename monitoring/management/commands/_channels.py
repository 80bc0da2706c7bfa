"""`monitor reencrypt-channels`: the addresses of channels, encrypted by the first key of today."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import transaction

from monitoring.models import Channel
from monitoring.models.encryption import UnreadableError, encrypt


def add_subcommand(commands: Any) -> CommandParser:
    """Add the subcommand to the parsers of `monitor`, and return its own."""
    parser: CommandParser = commands.add_parser(
        "reencrypt-channels",
        help="encrypt the addresses of channels by the first key, so that an old one can go",
        description=(
            "Encrypt the addresses of all channels by the first of the keys. Exit status: 0 all "
            "were, 1 some cannot be read by any key and were left as they are."
        ),
    )
    return parser


def run(write: Callable[[str], object]) -> None:
    """Encrypt every address anew; raise CommandError with the channels that cannot be read."""
    unreadable = []
    done = 0
    with transaction.atomic():
        for channel in Channel.objects.select_for_update().exclude(encrypted_url=""):
            try:
                channel.encrypted_url = encrypt(channel.read_url())
            except UnreadableError as error:
                unreadable.append(f'channel "{channel.name}": {error}')
                continue
            channel.save(update_fields=["encrypted_url", "updated_at"])
            done += 1
    write(f"{done} encrypted by the first key")
    if unreadable:
        raise CommandError("\n".join(unreadable))
