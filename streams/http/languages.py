"""The language of the reasons in an answer. No I/O."""

from __future__ import annotations

from contextlib import suppress

from inference.ranking.sentences import Language, language_of

MOST_CHARS = 200
"""Characters of the header that are read."""


def language_for(tag: str | None, accepted: str | None) -> Language | None:
    """Return the language that a request asks for, None if there are no sentences in it.

    Args:
        tag: the language that the caller chose, which goes before what its browser accepts.
        accepted: the header `Accept-Language` of RFC 9110, section 12.5.4.

    >>> [language_for("de-AT", "zh"), language_for(None, "fr, zh;q=0.5, en;q=0.8"), language_for("fr", "de")]
    ['de', 'en', None]
    """
    if tag is not None:
        return language_of(tag)
    if not accepted:
        return None
    weighted: list[tuple[float, Language]] = []
    for part in accepted[:MOST_CHARS].split(","):
        name, *parameters = (each.strip() for each in part.split(";"))
        language = language_of(name)
        weight = next((_weight(each) for each in parameters if each.lower().startswith("q=")), 1.0)
        if language is not None and weight > 0:
            weighted.append((weight, language))
    # Of equal weights `max` returns the first, as the header's order means it.
    return max(weighted, key=lambda each: each[0])[1] if weighted else None


def _weight(parameter: str) -> float:
    with suppress(ValueError):
        return float(parameter[2:])
    return 0.0
