"""The demo's own texts: every translation is complete and compiled."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_file

from streams.demo import words as module
from streams.demo.statistics import REASONS
from streams.demo.view import FIELDS, KINDS, SOURCE_TITLES, VERBS
from streams.demo.words import DOMAIN, LANGUAGES, LOCALE
from streams.outcomes import FALLBACKS
from tests.translations import compiled, translated

TRANSLATED = [language for language in LANGUAGES if language != "en"]
CODE = Path(module.__file__).parent
LATE = {fallback.replace("_", " ") for fallback in FALLBACKS}
LOOKED_UP = {
    *KINDS.values(),
    *FIELDS.values(),
    *VERBS.values(),
    *REASONS.values(),
    *SOURCE_TITLES.values(),
    "others",
    *LATE,
}
"""Texts that are values of tables."""


def used() -> set[str]:
    calls = dict.fromkeys(("words", "translated", "_words"))
    # `words` is another function in the modules that do not import this one.
    files = (file for file in CODE.rglob("*.py") if "from streams.demo.words" in file.read_text(encoding="utf-8"))
    found = (each[1] for file in files for each in extract_from_file("python", file, keywords=calls))
    return {str(text) for text in found if text}


@pytest.mark.parametrize("language", TRANSLATED)
def test_every_text_is_translated(language: str) -> None:
    texts = translated(DOMAIN, LOCALE, language)
    assert texts.keys() == {(text,) for text in used() | LOOKED_UP}
    for (text,), (found,) in texts.items():
        assert found
        assert sorted(placeholders(text)) == sorted(placeholders(found))


def placeholders(text: str) -> list[str]:
    is_date = text.endswith(("%Y", "日"))
    return [] if is_date else re.findall(r"%(?:\(\w+\))?[.\d]*[sdf]", text)


@pytest.mark.parametrize("language", TRANSLATED)
def test_the_compiled_translation_is_that_of_the_text(language: str) -> None:
    """Otherwise run: pybabel compile -D demo -d streams/demo/locale."""
    assert compiled(DOMAIN, LOCALE, language) == translated(DOMAIN, LOCALE, language)


def test_there_is_a_translation_for_each_language_alone() -> None:
    assert {path.name for path in LOCALE.iterdir()} == set(TRANSLATED)
