"""The form of a channel: an address goes in and never comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_variables

from monitoring.admin.display import in_words
from monitoring.channels.apprise import Caller, is_installed
from monitoring.channels.base import DeliveryError
from monitoring.core.channels import scheme_of
from monitoring.core.fields import InvalidValueError
from monitoring.models import Channel
from monitoring.models.encryption import INSTALL

if TYPE_CHECKING:
    _Form = forms.ModelForm[Channel]
else:  # not subscriptable at run time
    _Form = forms.ModelForm


class SecretInput(forms.PasswordInput):
    """Shows what is typed, so that one sees what one has pasted, and never what was stored."""

    input_type = "text"


class ChannelForm(_Form):
    url = forms.CharField(
        label=_("Address"),
        max_length=4000,
        required=False,
        widget=SecretInput(
            attrs={"class": "vTextField", "autocomplete": "off", "spellcheck": "false"}
        ),
    )

    class Meta:
        model = Channel
        fields = ("name", "enabled")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        address = self.fields.get("url")
        if address is None:  # of one who may only look
            return
        if self.instance.encrypted_url:
            address.label = _("New address")
            address.help_text = _("It is not shown again. Empty: it stays as it is.")
        else:
            address.required = True
            address.help_text = _(
                "As Apprise writes it: slack://…, msteams://…, pagerduty://…, json://…. "
                "It is stored encrypted, and not shown again."
            )

    @sensitive_variables("given")
    def clean_url(self) -> str:
        """Refuse what is no address of a service; no error repeats it."""
        given = str(self.cleaned_data["url"]).strip()
        if not given:
            return ""
        if not is_installed():
            text = gettext("Channels need packages that are not there: %s") % INSTALL
            raise ValidationError(text, code="not_installed")
        try:
            scheme_of(given)
            with Caller() as caller:
                caller.read(given)
        except InvalidValueError as error:
            raise ValidationError(
                [ValidationError(capfirst(in_words(text))) for text in error.problems]
            ) from None
        except DeliveryError as error:
            raise ValidationError(capfirst(str(error)), code="not_usable") from None
        return given

    def save(self, commit: bool = True) -> Channel:
        if given := self.cleaned_data.get("url"):
            self.instance.set_url(given)
        saved: Channel = super().save(commit)
        return saved
