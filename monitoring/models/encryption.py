"""Texts that the database holds encrypted, by the optional package `cryptography`."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from django.conf import settings as django_settings

from monitoring.conf import get_settings

INSTALL = "pip install django-task-monitoring[channels]"
# Part of what every key is derived from: what is encrypted here cannot be decrypted elsewhere.
_PURPOSE = b"django-task-monitoring: addresses of channels"


class UnreadableError(Exception):
    """A text cannot be encrypted or decrypted; the error says what to do."""


def is_available() -> bool:
    """Say whether the package that encrypts is installed."""
    return find_spec("cryptography") is not None


def encrypt(text: str) -> str:
    """Return a text encrypted by the first key; raise UnreadableError without the package."""
    token: bytes = _cipher(*_keys()).encrypt(text.encode())
    return token.decode()


def decrypt(token: str) -> str:
    """Return what was encrypted by any of the keys; raise UnreadableError if by none of them."""
    cipher = _cipher(*_keys())
    try:
        text: bytes = cipher.decrypt(token.encode())
    except _module("fernet").InvalidToken:
        raise UnreadableError(
            "its address was encrypted by a key that is no longer in "
            'MONITORING["CHANNEL_KEYS"] or SECRET_KEY_FALLBACKS: enter it again'
        ) from None
    return text.decode()


def _keys() -> tuple[str, ...]:
    """Return the keys, the one that encrypts first; Django's own always decrypt.

    So that one who begins to use keys of their own, or ends it, loses nothing.
    """
    of_django = (django_settings.SECRET_KEY, *django_settings.SECRET_KEY_FALLBACKS)
    return (*get_settings().CHANNEL_KEYS, *map(str, of_django))


@lru_cache(maxsize=8)
def _cipher(*keys: str) -> Any:
    fernet = _module("fernet")
    return fernet.MultiFernet([fernet.Fernet(_derived(key)) for key in keys])


def _derived(key: str) -> bytes:
    """Return a key of the length that is needed, by HKDF with SHA-256 (RFC 5869)."""
    hkdf, hashes = _module("hazmat.primitives.kdf.hkdf"), _module("hazmat.primitives.hashes")
    material = hkdf.HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=_PURPOSE)
    return urlsafe_b64encode(material.derive(key.encode()))


def _module(name: str) -> Any:
    """Import a part of the package only when it is needed: it may not be there."""
    try:
        return import_module(f"cryptography.{name}")
    except ImportError:
        raise UnreadableError(
            f"addresses of channels are encrypted by a package that is not installed: {INSTALL}"
        ) from None
