"""Texts for people in several languages, as gettext messages. Decision record 0013 says why gettext."""

from __future__ import annotations

from functools import cache
from gettext import NullTranslations, translation
from pathlib import Path


@cache
def translations(domain: str, folder: Path, language: str) -> NullTranslations:
    """Return the texts of a language, from LANGUAGE/LC_MESSAGES/DOMAIN.mo in `folder`. English is in the code."""
    return NullTranslations() if language == "en" else translation(domain, folder, [language])
