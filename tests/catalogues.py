"""What the code and the templates say to people, and what the catalogues make of it.

Read without gettext's tools, so that a machine without them tells what is missing as well.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import polib
import pytest
from django.utils.translation.template import templatize

ROOT = Path(__file__).resolve().parents[1]
LOCALE = ROOT / "monitoring" / "locale"
LANGUAGES = ("de", "es", "fr")
EACH_LANGUAGE = [
    LANGUAGES[0],
    *(pytest.param(code, marks=pytest.mark.matrix) for code in LANGUAGES[1:]),
]
"""The same for tests that draw pages and mails; the quick run has one language."""

CALLS = {"_", "gettext", "gettext_lazy", "gettext_noop", "ngettext", "pgettext", "pgettext_lazy"}
"""Names that `makemessages` looks for, as far as they are used here."""
_STRING = r"""u?('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
_IN_TEMPLATE = re.compile(rf"\b(_|gettext|ngettext|pgettext)\({_STRING}(?:,\s*{_STRING})?")
_PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|%[sd]|\{\w+\}|</?\w+[^>]*>")


class Message(NamedTuple):
    text: str
    plural: str = ""
    context: str | None = None


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def sources() -> list[Path]:
    """Return the modules of the app; migrations repeat what the models say."""
    paths = (ROOT / "monitoring").rglob("*.py")
    return sorted(path for path in paths if "migrations" not in path.parts)


def templates() -> list[Path]:
    paths = (ROOT / "templates").rglob("*.*")
    return sorted(path for path in paths if path.suffix in {".html", ".txt"})


@cache
def extracted() -> set[Message]:
    """Return every message that the code and the templates hold."""
    found = {message for path in sources() for message in _in_module(path)}
    return found | {message for path in templates() for message in _in_template(path)}


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    """Yield the calls that a message is the first argument of."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and name_of(node) in CALLS and _literals(node):
            yield node


def name_of(call: ast.Call) -> str:
    function = call.func
    return str(getattr(function, "id", getattr(function, "attr", "")))


def _in_module(path: Path) -> Iterator[Message]:
    for call in calls(parsed(path)):
        yield _message(name_of(call), _literals(call))


def _literals(call: ast.Call) -> list[str]:
    values = [arg.value for arg in call.args[:2] if isinstance(arg, ast.Constant)]
    return [value for value in values if isinstance(value, str)]


def _in_template(path: Path) -> Iterator[Message]:
    plain = templatize(path.read_text(encoding="utf-8"), origin=str(path))
    for name, *strings in _IN_TEMPLATE.findall(plain):
        yield _message(name, [ast.literal_eval(string) for string in strings if string])


def _message(name: str, strings: list[str]) -> Message:
    if name == "ngettext":
        return Message(strings[0], strings[1])
    if name.startswith("pgettext"):
        return Message(strings[1], context=strings[0])
    return Message(strings[0])


def catalogue(language: str) -> polib.POFile:
    return polib.pofile(str(folder(language) / "django.po"))


def folder(language: str) -> Path:
    return LOCALE / language / "LC_MESSAGES"


def entry_message(entry: polib.POEntry) -> Message:
    return Message(entry.msgid, entry.msgid_plural, entry.msgctxt)


def forms(entry: polib.POEntry) -> list[str]:
    """Return what an entry is translated to: one text, or one for each plural form."""
    return [*entry.msgstr_plural.values()] if entry.msgid_plural else [entry.msgstr]


def placeholders(text: str) -> list[str]:
    """Return what a translation has to keep as it is, whatever its place in the sentence."""
    return sorted(_PLACEHOLDER.findall(text))


def _between_placeholders(text: str) -> list[str]:
    return [part.strip(" .,:;()") for part in re.split(r"%\(\w+\)[sd]|%[sd]|\{\w+\}", text)]


def fixed_phrases(language: str, *places: str) -> set[str]:
    """Return English wording of some parts of the code that must not be seen in a language.

    places: beginnings of paths. Only phrases of several words: single ones may be names.
    """
    phrases = set()
    for entry in catalogue(language):
        if not any(path.startswith(places) for path, _line in entry.occurrences):
            continue
        for text in filter(None, (entry.msgid, entry.msgid_plural)):
            parts = (
                part.strip(" .,:;()") for part in re.split(r"%\(\w+\)[sd]|%[sd]|\{\w+\}", text)
            )
            phrases |= {
                part
                for part in parts
                if " " in part and len(part) > 9 and not any(part in form for form in forms(entry))
            }
    return phrases
