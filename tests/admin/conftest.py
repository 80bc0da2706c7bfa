"""People who open the admin: Root may do everything, Vera may look, Ed edits rules, Nora is staff
without any permission."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.test import Client

from tests.admin.browser import chromium, complaints, live_server, page
from tests.admin.data import MODELS
from tests.factories import superuser

VIEWS = tuple(f"view_{model._meta.model_name}" for model in MODELS)

__all__ = ["chromium", "complaints", "live_server", "page"]


def staff(username: str, *codenames: str) -> Any:
    """Store a member of staff with these permissions of the monitoring app."""
    user = get_user_model().objects.create(username=username, is_staff=True)
    permissions = Permission.objects.filter(
        content_type__app_label="monitoring", codename__in=codenames
    )
    assert len(permissions) == len(codenames)
    user.user_permissions.set(permissions)
    return user


def client_of(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def root(db: None) -> Client:
    return client_of(superuser())


@pytest.fixture
def vera(db: None) -> Client:
    return client_of(staff("vera", *VIEWS))


@pytest.fixture
def ed(db: None) -> Client:
    actions = ("add", "change", "delete", "view", "snooze")
    return client_of(staff("ed", *(f"{action}_monitorrule" for action in actions)))


@pytest.fixture
def olga(db: None) -> Client:
    """Who is on call: looks at everything, checks, snoozes, acknowledges, and edits no rule."""
    actions = ("check_monitorrule", "snooze_monitorrule", "acknowledge_alertevent")
    return client_of(staff("olga", *VIEWS, *actions))


@pytest.fixture
def nora(db: None) -> Client:
    return client_of(staff("nora"))
