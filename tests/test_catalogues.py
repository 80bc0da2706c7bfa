"""Every text for people is translated into every language that the app speaks."""

from __future__ import annotations

import ast
import gettext
import re
from pathlib import Path

import polib
import pytest

from tests.catalogues import (
    CALLS,
    LANGUAGES,
    LOCALE,
    Message,
    calls,
    catalogue,
    entry_message,
    extracted,
    folder,
    forms,
    parsed,
    placeholders,
    sources,
)

WIDEST_LABEL = 17
"""Columns that the text part of a mail leaves for a label."""
LABELS = (
    *("Task", "Rule", "Context", "Context model", "Current status", "Expected status"),
    *("Lookback window", "Last started", "Last finished", "Runtime limit", "Last known run"),
    *("Failed checks", "Checked at", "Worker", "Task id"),
)


def test_the_languages_are_those_that_have_a_folder() -> None:
    assert sorted(path.name for path in LOCALE.iterdir()) == list(LANGUAGES)


@pytest.fixture(params=LANGUAGES)
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def entries(language: str) -> polib.POFile:
    return catalogue(language)


class TestACatalogue:
    """If one of these fails: `make messages`, translate what is empty, and run it again."""

    def test_holds_every_text_and_no_other(self, entries: polib.POFile) -> None:
        held = {entry_message(entry) for entry in entries if not entry.obsolete}

        assert sorted(map(str, extracted() - held)) == []
        assert sorted(map(str, held - extracted())) == []

    def test_translates_every_text(self, entries: polib.POFile) -> None:
        number = int(re.findall(r"nplurals=(\d)", entries.metadata["Plural-Forms"])[0])

        untranslated = [
            entry.msgid
            for entry in entries
            if not all(forms(entry)) or (entry.msgid_plural and len(forms(entry)) != number)
        ]
        assert untranslated == []

    def test_guesses_nothing(self, entries: polib.POFile) -> None:
        assert [entry.msgid for entry in entries if entry.fuzzy or entry.obsolete] == []

    def test_keeps_placeholders_and_tags(self, entries: polib.POFile) -> None:
        spoilt = [
            form
            for entry in entries
            for form in forms(entry)
            if placeholders(form) != placeholders(entry.msgid_plural or entry.msgid)
        ]
        assert spoilt == []

    def test_keeps_blanks_and_line_breaks_at_the_ends(self, entries: polib.POFile) -> None:
        moved = [
            form
            for entry in entries
            for form in forms(entry)
            if _blanks(form) != _blanks(entry.msgid)
        ]
        assert moved == []

    def test_is_compiled(self, language: str, entries: polib.POFile) -> None:
        with (folder(language) / "django.mo").open("rb") as file:
            compiled = dict(vars(gettext.GNUTranslations(file))["_catalog"])
        del compiled[""]

        assert compiled == dict(_compiled(entries))

    def test_has_labels_that_fit_into_the_text_part_of_a_mail(self, entries: polib.POFile) -> None:
        said = {entry.msgid: entry.msgstr for entry in entries}

        assert [said[label] for label in LABELS if len(said[label]) > WIDEST_LABEL] == []


def _blanks(text: str) -> tuple[str, str]:
    inner = text.strip(" \n")
    start = text.index(inner)
    return text[:start], text[start + len(inner) :]


def _compiled(entries: polib.POFile) -> list[tuple[object, str]]:
    pairs: list[tuple[object, str]] = []
    for entry in entries:
        key = f"{entry.msgctxt}\x04{entry.msgid}" if entry.msgctxt else entry.msgid
        if entry.msgid_plural:
            pairs += [((key, number), form) for number, form in entry.msgstr_plural.items()]
        else:
            pairs.append((key, entry.msgstr))
    return pairs


class TestWhatMakemessagesFinds:
    @pytest.mark.parametrize("path", sources(), ids=lambda path: path.stem)
    def test_a_module_calls_gettext_by_a_name_that_it_knows(self, path: Path) -> None:
        tree = parsed(path)

        imported = [
            name.asname or name.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module == "django.utils.translation"
            for name in node.names
            if "gettext" in name.name
        ]
        assert set(imported) <= CALLS

    @pytest.mark.parametrize("path", sources(), ids=lambda path: path.stem)
    def test_a_module_hides_no_text_in_an_f_string(self, path: Path) -> None:
        tree = parsed(path)

        hidden = [
            f"line {call.lineno}"
            for node in ast.walk(tree)
            if isinstance(node, ast.JoinedStr)
            for call in calls(node)
        ]
        assert hidden == []

    def test_texts_of_the_core_are_among_them(self) -> None:
        assert Message("[ALERT] {task_name} Has Not Executed") in extracted()
        assert Message("{status} instead of {expected}") in extracted()
