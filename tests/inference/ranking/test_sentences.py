"""Sentences are those of each reason in each language, and every translation is complete and compiled."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_file
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po

from inference.queries import ACTIONS
from inference.ranking import sentences as module
from inference.ranking.sentences import CATALOGUES, DOMAIN, LANGUAGES, Language, language_of, sentences
from inference.types import KINDS, NO_CLAIM, Because

TRANSLATED: tuple[Language, ...] = tuple(language for language in LANGUAGES if language != "en")
EVERY = [
    Because("search", query="red %s {boots}"),
    Because("clicked", query="red %s {boots}"),
    *(Because("together", "1", "100 % Tea", None, action) for action in (*ACTIONS, None)),
    *(Because("similar", "1", "100 % Tea", None, action) for action in (*ACTIONS, None)),
    *(Because("before", action=action) for action in ACTIONS),
    *(Because("habit", interval_days=days) for days in (1, 3, 7, 21, 30, 61)),
    Because("trending", label="100 % Tea"),
    Because("popular"),
    Because("new", label="100 % Tea"),
    Because("new"),
]
"""Reasons of every form."""


def folder(language: str) -> Path:
    return CATALOGUES / language / "LC_MESSAGES"


def translation(language: str) -> Catalog:
    with (folder(language) / f"{DOMAIN}.po").open("rb") as file:
        return read_po(file)


def test_every_kind_has_a_sentence() -> None:
    assert {because.kind for because in EVERY} == set(KINDS)
    for language in LANGUAGES:
        sentence = sentences(language)
        texts = {sentence(because) for because in EVERY}
        assert sentence(NO_CLAIM) not in texts
        # `together` without an action has the sentence of `cart`.
        assert len(texts) == len(EVERY) - 1
        for because in EVERY:
            assert (because.label or because.query or "") in sentence(because)


@pytest.mark.parametrize(
    ("because", "english", "german", "chinese"),
    [
        (
            Because("search", query="oat milk", share=0.5),
            "matches your search “oat milk”",
            "passt zu Ihrer Suche „oat milk“",
            "符合您的搜索“oat milk”",
        ),
        (
            Because("clicked", query="oat milk", share=0.5),
            "often chosen after a search for “oat milk”",
            "oft gewählt nach der Suche „oat milk“",
            "搜索“oat milk”的顾客常选",
        ),
        (
            Because("together", "1", "Two-person tent", None, "view"),
            "often viewed with Two-person tent",
            "oft zusammen angesehen mit „Two-person tent“",
            "常与“Two-person tent”一起浏览",
        ),
        (
            Because("similar", "1", "Red boots", None, "cart"),
            "because you chose Red boots",
            "weil Sie „Red boots“ gewählt haben",
            "因为您挑选过“Red boots”",
        ),
        (Because("trending", label="Tea"), "trending in Tea", "im Trend: Tea", "“Tea”热门商品"),
        (Because("of a later version", label="Tea"), "may suit you", "könnte Ihnen gefallen", "可能适合您"),
        (NO_CLAIM, "may suit you", "könnte Ihnen gefallen", "可能适合您"),
    ],
)
def test_a_sentence_is_in_the_language(because: Because, english: str, german: str, chinese: str) -> None:
    assert [sentences(language)(because) for language in ("en", "de", "zh")] == [english, german, chinese]


@pytest.mark.parametrize(
    ("days", "english", "german", "chinese"),
    [
        (0.01, "day", "jeden Tag", "每天"),
        (1.1, "day", "jeden Tag", "每天"),
        (3.0, "3 days", "alle 3 Tage", "每 3 天"),
        (7.4, "week", "jede Woche", "每周"),
        (20.0, "3 weeks", "alle 3 Wochen", "每 3 周"),
        (49.0, "2 months", "alle 2 Monate", "每 2 个月"),
        (400.0, "13 months", "alle 13 Monate", "每 13 个月"),
    ],
)
def test_an_interval_is_rendered_in_rounded_units(days: float, english: str, german: str, chinese: str) -> None:
    because = Because("habit", action="purchase", interval_days=days)
    assert sentences("en")(because) == f"you buy this about every {english}"
    assert sentences("de")(because) == f"Sie kaufen diesen Artikel etwa {german}"
    assert sentences("zh")(because) == f"您大约{chinese}购买一次"


def test_a_tag_of_a_language_is_matched_by_its_first_part() -> None:
    tags = ("en", "en-GB", "DE", "de-AT", "zh-Hans-CN", "zh", "fr", "", "*", "den")
    assert [language_of(tag) for tag in tags] == ["en", "en", "de", "de", "zh", "zh", None, None, None, None]


@pytest.mark.parametrize("language", TRANSLATED)
def test_a_translation_has_every_sentence_with_its_names(language: Language) -> None:
    used = {key(text) for _, text, _, _ in extract_from_file("python", Path(module.__file__))}
    messages = [message for message in translation(language) if message.id]
    assert {key(message.id) for message in messages} == used
    for message in messages:
        ids, texts = key(message.id), key(message.string)
        assert all(texts)
        assert not message.fuzzy
        assert {name for text in texts for name in names(text)} == {name for text in ids for name in names(text)}


def names(text: str) -> list[str]:
    return re.findall(r"%\(\w+\)[sd]", text)


def key(texts: str | Sequence[str] | None) -> tuple[str, ...]:
    return (texts,) if isinstance(texts, str) else tuple(texts or ())


@pytest.mark.parametrize("language", TRANSLATED)
def test_the_compiled_translation_is_that_of_the_text(language: Language) -> None:
    """Otherwise run: pybabel compile -D reasons -d inference/locale."""
    with (folder(language) / f"{DOMAIN}.mo").open("rb") as file:
        compiled = {key(message.id): key(message.string) for message in read_mo(file) if message.id}
    assert compiled == {key(message.id): key(message.string) for message in translation(language) if message.id}


def test_there_is_a_translation_for_each_language_alone() -> None:
    assert {path.name for path in CATALOGUES.iterdir()} == set(TRANSLATED)
