"""Channels: ways beside mail by which messages reach people."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils import timezone, translation
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

from monitoring.core.channels import MAX_CHANNEL_NAME_LENGTH, read_channel_name, scheme_of
from monitoring.core.fields import InvalidValueError
from monitoring.core.wording import said
from monitoring.models.encryption import decrypt, encrypt
from monitoring.models.fields import ExactCharField


class Channel(models.Model):
    """A service that takes messages, by an address that is a secret."""

    name = ExactCharField(
        _("name"),
        max_length=MAX_CHANNEL_NAME_LENGTH,
        unique=True,
        help_text=_("Names it in rules and files; it cannot be changed later."),
    )
    enabled = models.BooleanField(
        _("enabled"),
        default=True,
        help_text=_("Without it, superusers get what the channel would have got."),
    )
    scheme = models.CharField(_("kind of service"), max_length=32, blank=True, editable=False)
    # Not serialized: an export of the database by Django is no place for a secret.
    encrypted_url = models.TextField(
        _("encrypted address"), blank=True, editable=False, serialize=False
    )
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    class Meta:
        verbose_name = _("channel")
        verbose_name_plural = _("channels")
        ordering = ("name",)
        constraints = (
            models.CheckConstraint(condition=~Q(name=""), name="monitoring_channel_has_name"),
        )

    def __str__(self) -> str:
        return str(self.name)

    def clean(self) -> None:
        try:
            read_channel_name(self.name)
        except InvalidValueError as error:
            texts = [capfirst(said(text, translation)) for text in error.problems]
            raise ValidationError({"name": texts}) from None

    @property
    def shown_url(self) -> str:
        """What people are shown of the address: which service it is of."""
        return f"{self.scheme}://…" if self.encrypted_url else ""

    def set_url(self, url: str) -> None:
        """Keep an address, encrypted.

        Raises InvalidValueError for what is no address of a service, UnreadableError if nothing
        is there to encrypt it with.
        """
        self.scheme = scheme_of(url)
        self.encrypted_url = encrypt(url)

    def read_url(self) -> str:
        """Return the address; raise UnreadableError if it cannot be decrypted."""
        return decrypt(self.encrypted_url)
