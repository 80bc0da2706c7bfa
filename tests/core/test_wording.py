"""Texts as data: English wherever nobody translates, another language where somebody does."""

from __future__ import annotations

import copy
import json
import pickle

import pytest

from monitoring.core.statuses import Status, either, title_case
from monitoring.core.wording import ENGLISH, Text, joined, ngettext, said


class German:
    """Knows a few words."""

    WORDS = {
        "{one} or {other}": "{one} oder {other}",
        "{status} instead of {expected}": "statt {expected}: {status}",
        "Completed": "Fertig",
        "All fine": "Alles gut",
        "broken {name}": "kaputt {nmae}",
        "broken {0}": "kaputt {",
    }

    def gettext(self, message: str, /) -> str:
        return self.WORDS.get(message, message)

    def ngettext(self, singular: str, plural: str, number: int, /) -> str:
        return "{count} Regel" if number == 1 else "{count} Regeln"


GERMAN = German()
MISMATCH = Text(
    "{status} instead of {expected}",
    status=Text("Stopped"),
    expected=either((Status.COMPLETED, Status.CANCELLED)),
)


def test_a_text_is_its_english_text() -> None:
    assert MISMATCH == "Stopped instead of Completed or Cancelled"
    assert json.dumps([MISMATCH]) == '["Stopped instead of Completed or Cancelled"]'


def test_it_is_said_in_another_language_with_all_that_it_holds() -> None:
    assert said(MISMATCH, GERMAN) == "statt Fertig oder Cancelled: Stopped"
    assert said(Text("All fine"), GERMAN) == "Alles gut"


def test_it_is_english_where_nobody_translates() -> None:
    assert said(MISMATCH, ENGLISH) == str(MISMATCH)


def test_a_foreign_text_stays_as_it_is() -> None:
    assert said("All fine", GERMAN) == "All fine"


@pytest.mark.parametrize("name", ["{", "}", "{0}", "{name}", "{name.__class__}", "%s", "{{}}"])
def test_what_a_value_holds_is_no_placeholder(name: str) -> None:
    text = Text("{one} or {other}", one=name, other=Text("x"))

    assert text == f"{name} or x"
    assert said(text, GERMAN) == f"{name} oder x"


@pytest.mark.parametrize(
    "text", [Text("broken {name}", name="x"), Text("broken {name}", name=1)], ids=repr
)
def test_a_catalogue_that_spoils_a_placeholder_costs_only_the_translation(text: Text) -> None:
    assert said(text, GERMAN) == str(text)


@pytest.mark.parametrize(
    ("count", "english", "german"), [(1, "1 rule", "1 Regel"), (2, "2 rules", "2 Regeln")]
)
def test_a_text_may_depend_on_a_number(count: int, english: str, german: str) -> None:
    text = ngettext("{count} rule", "{count} rules", count)

    assert text == english
    assert said(text, GERMAN) == german


def test_several_texts_become_one() -> None:
    text = joined((Text("Completed"), "{x}", Text("All fine")), ", ")

    assert text == "Completed, {x}, All fine"
    assert said(text, GERMAN) == "Fertig, {x}, Alles gut"
    assert said(title_case((Status.COMPLETED, Status.STOPPED)), GERMAN) == "Fertig, Stopped"
    assert said(joined((), ", "), GERMAN) == ""


def test_a_copy_can_be_said_as_well() -> None:
    for text in (copy.deepcopy(MISMATCH), pickle.loads(pickle.dumps(MISMATCH))):
        assert said(text, GERMAN) == said(MISMATCH, GERMAN)
