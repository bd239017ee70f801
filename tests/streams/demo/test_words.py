"""The demo's own texts: every translation is complete and compiled."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_file
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po

from streams.demo import words as module
from streams.demo.statistics import REASONS
from streams.demo.view import SOURCE_TITLES, VERBS
from streams.demo.words import DOMAIN, LANGUAGES, LOCALE

TRANSLATED = [language for language in LANGUAGES if language != "en"]
CODE = Path(module.__file__).parent
LOOKED_UP = {*VERBS.values(), *REASONS.values(), *SOURCE_TITLES.values(), "others"}
"""Texts that are values of tables."""


def translation(language: str) -> Catalog:
    with (LOCALE / language / "LC_MESSAGES" / f"{DOMAIN}.po").open("rb") as file:
        return read_po(file)


def texts_of(catalog: Catalog) -> dict[str, str]:
    return {str(message.id): str(message.string) for message in catalog if message.id}


def used() -> set[str]:
    calls = dict.fromkeys(("words", "translated", "_words"))
    files = (CODE / f"{name}.py" for name in ("environment", "output", "run", "view"))
    return {str(each[1]) for file in files for each in extract_from_file("python", file, keywords=calls)}


@pytest.mark.parametrize("language", TRANSLATED)
def test_every_text_is_translated(language: str) -> None:
    texts = texts_of(translation(language))
    assert texts.keys() == used() | LOOKED_UP
    for text, translated in texts.items():
        assert translated
        assert sorted(placeholders(text)) == sorted(placeholders(translated))


def placeholders(text: str) -> list[str]:
    is_date = text.endswith(("%Y", "日"))
    return [] if is_date else re.findall(r"%(?:\(\w+\))?[.\d]*[sdf]", text)


@pytest.mark.parametrize("language", TRANSLATED)
def test_the_compiled_translation_is_that_of_the_text(language: str) -> None:
    """Otherwise run: pybabel compile -D demo -d streams/demo/locale."""
    with (LOCALE / language / "LC_MESSAGES" / f"{DOMAIN}.mo").open("rb") as file:
        assert texts_of(read_mo(file)) == texts_of(translation(language))


def test_there_is_a_translation_for_each_language_alone() -> None:
    assert {path.name for path in LOCALE.iterdir()} == set(TRANSLATED)
