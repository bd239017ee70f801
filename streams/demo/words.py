"""The demo's own texts in the language of its shop.

The texts are gettext messages, as the reasons are: English is in the code, the translations are in `locale`. Decision
record 0013 says why gettext.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args

from inference.translations import translations

Language = Literal["en", "zh"]
"""A language that the demo has a shop in: English or Chinese in simplified characters."""
LANGUAGES: tuple[Language, ...] = get_args(Language)
DOMAIN, LOCALE = "demo", Path(__file__).with_name("locale")

Words = Callable[[str], str]
"""Function that returns a text in the shop's language."""


def words(language: Language) -> Words:
    """Return the function that translates the demo's texts.

    >>> words("en")("bought"), words("zh")("bought")
    ('bought', '购买')
    """
    return translations(DOMAIN, LOCALE, language).gettext


ENGLISH = words("en")
