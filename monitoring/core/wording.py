"""Texts for people as data: an English message with named values, said in a language later.

What decides does not know who will read it, nor in which language. A `Text` is its English text,
so that logs, errors and JSON have it as it is; the shell says it in another one.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from gettext import NullTranslations
from typing import Any, Protocol


class Words(Protocol):
    """What translates: the module `django.utils.translation`, or a class of Python's `gettext`."""

    def gettext(self, message: str, /) -> str: ...

    def ngettext(self, singular: str, plural: str, number: int, /) -> str: ...


ENGLISH: Words = NullTranslations()


class Remembered:
    """Words that look each message up once: a batch says the same few a thousand times over."""

    def __init__(self, words: Words) -> None:
        self.gettext = cache(words.gettext)
        self.ngettext = words.ngettext


class Text(str):
    """An English text that remembers the message and the values it was made of.

    Import it as `_`: then the tools that collect messages find its first argument.
    """

    message: str
    plural: str
    values: dict[str, Any]

    def __new__(cls, message: str, /, **values: Any) -> Text:
        text = super().__new__(cls, message.format(**values) if values else message)
        text.message, text.plural, text.values = str(message), "", values
        return text


def ngettext(singular: str, plural: str, count: int) -> Text:
    """Return a text that depends on a number, which stands in both messages as `{count}`."""
    text = Text(singular if count == 1 else plural, count=count)
    text.message, text.plural = singular, plural
    return text


def joined(texts: Iterable[str], between: str) -> Text:
    """Return several texts as one, each of which is said in the language of the reader."""
    values = {f"text{number}": text for number, text in enumerate(texts)}
    return Text(between.join(f"{{{name}}}" for name in values), **values)


def said(text: str, words: Words) -> str:
    """Return a text in the language of `words`; one that is no `Text` is foreign, and stays.

    Never raises: a catalogue that spoils a placeholder costs the translation, not the text.
    """
    if not isinstance(text, Text):
        return text
    pattern = (
        words.ngettext(text.message, text.plural, text.values["count"])
        if text.plural
        else words.gettext(text.message)
    )
    values = {
        name: said(value, words) if isinstance(value, str) else value
        for name, value in text.values.items()
    }
    try:
        return pattern.format(**values) if values else pattern
    except (LookupError, ValueError, AttributeError):
        return str(text)
