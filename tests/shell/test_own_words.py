"""A catalogue of the host's own says our texts in other words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polib
import pytest

from tests.shell.test_languages import MAILS, SUBJECTS, told

Say = Callable[[str, str], None]


@pytest.fixture
def say(tmp_path: Path, settings: Any) -> Say:
    """Put one text of the host's own before ours."""

    def write(text: str, own: str) -> None:
        catalogue = polib.POFile()
        catalogue.metadata = {"Content-Type": "text/plain; charset=UTF-8"}
        catalogue.append(polib.POEntry(msgid=text, msgstr=own))
        folder = tmp_path / "de" / "LC_MESSAGES"
        folder.mkdir(parents=True)
        catalogue.save_as_mofile(str(folder / "django.mo"))
        settings.LOCALE_PATHS = [tmp_path, *settings.LOCALE_PATHS]
        settings.MONITORING = {"LANGUAGE_CODE": "de"}

    return write


def test_it_wins_over_ours(say: Say) -> None:
    say("[ALERT] {task_name} Has Not Executed", "[Betrieb] {task_name} fehlt")

    assert told(*MAILS[2])["subject"] == "[Betrieb] sync fehlt"
    assert told(*MAILS[0])["subject"] == SUBJECTS["de"][0]


def test_one_that_spoils_a_placeholder_costs_only_the_translation(say: Say) -> None:
    say("[ALERT] {task_name} Has Not Executed", "[Betrieb] {name} fehlt")

    assert told(*MAILS[2])["subject"] == SUBJECTS["en"][1]
