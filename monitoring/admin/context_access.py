"""Which context models an editor of rules may use, without telling which others exist.

A rule's verdict says whether some row of the context model holds a value. Naming a model is
therefore reading it, and needs the same permission.
"""

from __future__ import annotations

from django.apps import apps
from django.contrib.auth import get_permission_codename
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Model

from monitoring.conf import get_settings
from monitoring.contexts import ContextError, field_of, resolve, short_label
from monitoring.core.names import did_you_mean
from monitoring.core.values import ContextFilter
from monitoring.core.wording import Text as _

User = AbstractBaseUser | AnonymousUser


class ContextRefusedError(Exception):
    """A context filter that this editor cannot set: the field of the form and what is wrong."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.text = message


def require(context: ContextFilter, user: User) -> None:
    """Make sure that a context filter can be applied and that the user may apply it.

    Raises ContextRefusedError. A model that the user may not use gets the very answer of one that
    does not exist.
    """
    model = _find(context.model)
    if model is None or not may_use(model, user):
        usable = [known._meta.label for known in apps.get_models() if may_use(known, user)]
        hint = did_you_mean(short_label(context.model), usable)
        text = _('"{name}" is not an installed model{hint}', name=context.model, hint=hint)
        raise ContextRefusedError("context_model", text)
    if leads_astray(model, context.field, user):
        text = _('"{field}" leads to a model that you may not view', field=context.field)
        raise ContextRefusedError("context_field", text)
    try:
        resolve(context)
    except ContextError as error:
        raise ContextRefusedError("context_field", error.text) from None
    except ValueError:  # Django's answer to blanks and quotation marks
        text = _('"{field}" is not the name of a field', field=context.field)
        raise ContextRefusedError("context_field", text) from None


def may_use(model: type[Model], user: User) -> bool:
    """Say whether the setting lists a model or the user may view it."""
    listed = {short_label(label).casefold() for label in get_settings().CONTEXT_MODELS}
    if model._meta.label_lower in listed:
        return True
    codename = get_permission_codename("view", model._meta)
    has_perm = getattr(user, "has_perm", None)
    return has_perm is not None and bool(has_perm(f"{model._meta.app_label}.{codename}"))


def usable_field(label: str, path: str, user: User) -> type[Model] | None:
    """Return the model of a context, if the user may read that field of it; else None."""
    model = _find(label)
    if model is None or not may_use(model, user) or leads_astray(model, path, user):
        return None
    return model


def leads_astray(model: type[Model], path: str, user: User) -> bool:
    """Say whether a field path such as `user__password` crosses into a model out of bounds."""
    current = model
    for name in path.split("__")[:-1]:
        try:
            related = field_of(current, name).related_model
        except FieldDoesNotExist:
            return False  # that is another error
        if related is None:
            return False  # a key inside a JSON field
        if not may_use(related, user):
            return True
        current = related
    return False


def _find(name: str) -> type[Model] | None:
    try:
        return apps.get_model(short_label(name))
    except (LookupError, ValueError):
        return None
