"""Renders the reason of an item as a sentence for the shopper, in one of the shop's languages.

The sentences are gettext messages: English is in this file, the translations are in `inference/locale`. Decision record
0013 says why gettext. This module does not import NumPy, so that settings can read the languages fast.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from gettext import NullTranslations
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from inference.translations import translations

if TYPE_CHECKING:
    from inference.types import Because

Language = Literal["en", "de", "zh"]
"""A language of the sentences: English, German or Chinese in simplified characters."""
LANGUAGES: tuple[Language, ...] = get_args(Language)
DOMAIN, CATALOGUES = "reasons", Path(__file__).parents[1] / "locale"

_Key = tuple[str | None, str | None, bool]
"""Kind and action of a reason, and whether it has neither label nor query."""
_NAME = re.compile(r"%\((?:label|query)\)s")


def language_of(tag: str) -> Language | None:
    """Return the language for a tag of BCP 47 in any case, such as `de-AT`; None if there are no sentences in it.

    >>> [language_of(tag) for tag in ("en", "DE-at", "zh-Hans-CN", "fr")]
    ['en', 'de', 'zh', None]
    """
    primary = tag.partition("-")[0].lower()
    return next((language for language in LANGUAGES if language == primary), None)


@cache
def sentences(language: Language) -> Callable[[Because], str]:
    """Return the function that renders a reason in a language.

    It returns "may suit you" in that language if nothing is claimed, or if the reason's kind is unknown.

    >>> sentences("de")(Because("habit", interval_days=20.3))
    'Sie kaufen diesen Artikel etwa alle 3 Wochen'
    """
    texts = translations(DOMAIN, CATALOGUES, language)
    # An event has 20 sentences, so a template is split once at its only name: "often bought with %(label)s".
    split = {key: (*_NAME.split(text), "")[:2] for key, text in _templates(texts.gettext).items()}
    neutral = texts.gettext("may suit you")

    def sentence(because: Because) -> str:
        if because.kind == "habit" and because.interval_days is not None:
            return _every(because.interval_days, texts)
        name = because.label or because.query or ""
        parts = split.get((because.kind, because.action, not name))
        return neutral if parts is None else f"{parts[0]}{name}{parts[1]}"

    return sentence


def _templates(gettext: Callable[[str], str]) -> Mapping[_Key, str]:
    """Return the sentences that have no number. `pybabel extract` finds the calls of `gettext`."""
    return {
        ("search", None, False): gettext("matches your search “%(query)s”"),
        ("clicked", None, False): gettext("often chosen after a search for “%(query)s”"),
        ("together", "view", False): gettext("often viewed with %(label)s"),
        ("together", "click", False): gettext("often clicked with %(label)s"),
        ("together", "cart", False): gettext("often chosen with %(label)s"),
        ("together", "purchase", False): gettext("often bought with %(label)s"),
        ("together", None, False): gettext("often chosen with %(label)s"),
        ("similar", "view", False): gettext("because you viewed %(label)s"),
        ("similar", "click", False): gettext("because you clicked %(label)s"),
        ("similar", "cart", False): gettext("because you chose %(label)s"),
        ("similar", "purchase", False): gettext("because you bought %(label)s"),
        ("similar", None, False): gettext("similar to %(label)s"),
        ("before", "view", True): gettext("you viewed it before"),
        ("before", "click", True): gettext("you clicked it before"),
        ("before", "cart", True): gettext("you chose it before"),
        ("before", "purchase", True): gettext("you bought it before"),
        ("trending", None, False): gettext("trending in %(label)s"),
        ("popular", None, True): gettext("popular right now"),
        ("new", None, False): gettext("new in %(label)s"),
        ("new", None, True): gettext("new in the shop"),
    }


@lru_cache(maxsize=1024)
def _every(days: float, texts: NullTranslations) -> str:
    """Return the sentence of an interval of `days`, in rounded units, as people express it."""
    unit, number = ("day", days) if days < 5.5 else ("week", days / 7) if days < 49 else ("month", days / 30.4)
    whole = max(round(number), 1)
    if whole == 1:
        # Languages have idioms for one: "every day", "jede Woche".
        every = {
            "day": texts.gettext("you buy this about every day"),
            "week": texts.gettext("you buy this about every week"),
            "month": texts.gettext("you buy this about every month"),
        }[unit]
    else:
        every = {
            "day": texts.ngettext(
                "you buy this about every %(number)d day", "you buy this about every %(number)d days", whole
            ),
            "week": texts.ngettext(
                "you buy this about every %(number)d week", "you buy this about every %(number)d weeks", whole
            ),
            "month": texts.ngettext(
                "you buy this about every %(number)d month", "you buy this about every %(number)d months", whole
            ),
        }[unit]
    return every % {"number": whole}
