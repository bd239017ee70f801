"""The console's own texts: every translation is complete and compiled."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import pytest
from babel.messages.extract import extract_from_file

from inference.ranking.features import FEATURES
from inference.ranking.sentences import LANGUAGES
from streams import outcomes
from streams.assets.expectations import Expected
from streams.assets.personal import CLASSES
from streams.assets.registry import EVENT_PURPOSES, OPEN_PURPOSES
from streams.assets.registry import TABLES as ASSET_TABLES
from streams.assets.registry import TOPICS as ASSET_TOPICS
from streams.console import value_words, words
from streams.console.cards import FALLBACKS, LAST, VERBS
from streams.console.data_assets import CHANGELOG, LISTED, OWNERS
from streams.console.data_assets import KINDS as NODES
from streams.console.data_fields import BY_CONTRACT, KINDS, OPEN_TYPES, PERSONAL
from streams.console.data_findings import MEANINGS, SENTENCES
from streams.console.data_streams import MARKS, TYPES
from streams.console.explain import FEATURE_TITLES, SOURCE_TITLES, feature_title
from streams.console.flow import REASONS
from streams.console.gauges import STAGE_TITLES
from streams.console.histories import Histories
from streams.console.numbers import DURATIONS, RATES
from streams.console.pages import HEADINGS
from streams.console.shop import ATTRIBUTES
from streams.console.shopper import WHAT_IF
from streams.console.words import DOMAIN, LOCALE
from streams.value.costs import Advice
from streams.value.file import Fault
from streams.value.report import EFFECTS
from tests.translations import compiled, forms, translated

TRANSLATED = [language for language in LANGUAGES if language != "en"]
CODE = Path(words.__file__).parent
TABLES: tuple[Mapping[Any, str], ...] = (
    ATTRIBUTES, FALLBACKS, LAST, VERBS, FEATURE_TITLES, SOURCE_TITLES, REASONS, STAGE_TITLES, WHAT_IF, BY_CONTRACT,
    KINDS, OPEN_TYPES, PERSONAL, MARKS, TYPES, DURATIONS, RATES, SENTENCES, NODES, LISTED, OWNERS, EVENT_PURPOSES,
    OPEN_PURPOSES, value_words.KINDS, value_words.KIND_NOTES, value_words.FIELDS, value_words.FIELD_NOTES,
    value_words.ATTRIBUTES, value_words.GROUPS, value_words.SESSION_GROUPS, value_words.MEMBERS, value_words.EFFECTS,
    value_words.STATES, value_words.ADVICE, value_words.REASONS, value_words.WHOLE, value_words.LOSSES,
    value_words.PROTOCOLS, value_words.MODELS, value_words.MODEL_NOTES, value_words.FAULTS,
)  # fmt: skip
LOOKED_UP = {text for table in TABLES for text in table.values()} | {
    *HEADINGS.values(), *Histories().hits_over_time(), *MEANINGS,
    *(each.purpose for table in (ASSET_TOPICS, ASSET_TABLES) for each in table.values()), CHANGELOG,
    "Encodes texts and ranks candidates",
}  # fmt: skip
"""Texts that are values of tables."""


def used() -> set[tuple[str, ...]]:
    keywords = {"gettext": None, "ngettext": (1, 2), "_": None}
    found = [each for file in CODE.glob("*.py") for each in extract_from_file("python", file, keywords=keywords)]
    for file in (CODE / "templates").glob("*.html"):
        found += extract_from_file("jinja2.ext:babel_extract", file, keywords=keywords, options={"trimmed": "true"})
    return {forms(each[1]) for each in found}


@pytest.mark.parametrize("language", TRANSLATED)
def test_every_text_is_translated(language: str) -> None:
    messages = translated(DOMAIN, LOCALE, language)
    assert messages.keys() == used() | {(text,) for text in LOOKED_UP}
    for texts, found in messages.items():
        assert all(found)
        for each in found:
            assert placeholders(each) == placeholders(texts[0])
            assert re.findall(r"<[^>]*>", each) == re.findall(r"<[^>]*>", texts[0])


def placeholders(text: str) -> list[str]:
    return sorted(re.findall(r"%(?:\(\w+\))?.", text))


@pytest.mark.parametrize("language", TRANSLATED)
def test_the_compiled_translation_is_that_of_the_text(language: str) -> None:
    """Otherwise run: pybabel compile -D console -d streams/console/locale."""
    assert compiled(DOMAIN, LOCALE, language) == translated(DOMAIN, LOCALE, language)


def test_there_is_a_translation_for_each_language_of_the_reasons() -> None:
    assert {path.name for path in LOCALE.iterdir()} == set(TRANSLATED)


def test_every_fallback_has_words_for_people() -> None:
    assert set(FALLBACKS) == {*outcomes.FALLBACKS, *outcomes.HTTP_FALLBACKS}


def test_every_class_of_personal_data_and_every_kind_of_finding_has_words_for_people() -> None:
    assert set(PERSONAL) == set(CLASSES)
    assert set(SENTENCES) == set(Expected)


def test_every_feature_has_a_name_for_people() -> None:
    titles = {feature_title(name) for name in FEATURES}
    assert len(titles) == len(FEATURES)
    assert titles.isdisjoint(FEATURES)


def test_every_advice_effect_and_fault_of_a_value_report_has_words_for_people() -> None:
    assert set(value_words.ADVICE) == set(value_words.REASONS) == set(get_args(Advice))
    assert set(value_words.EFFECTS) == set(EFFECTS)
    assert set(value_words.FAULTS) == set(get_args(Fault))
