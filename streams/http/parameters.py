"""Parameters and bodies of requests, and the language that a request asks for.

OpenAPI is generated from the classes.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated

import msgspec

from inference.placements import DEFAULT, PlacementName
from inference.ranking.sentences import Language, language_of
from inference.records import Identifier
from inference.retrieval.filters import Filter, Label

MOST_ITEMS = 100
"""Most items in a list."""
MOST_EXCLUDED = 500
MOST_CANDIDATES = 500
MOST_IN_CART = 100
TEXT_LENGTH = 1000
MOST_SUGGESTIONS = 50

Length = Annotated[
    int, msgspec.Meta(ge=1, le=MOST_ITEMS, description="items in the list; unset: INTENTSTREAM_LIST_SIZE")
]
Excluded = Annotated[
    tuple[Identifier, ...],
    msgspec.Meta(max_length=MOST_EXCLUDED, description="items to leave out; repeat the parameter"),
]
Shopper = Annotated[Identifier, msgspec.Meta(description="id of the shopper for whom the answer is personal")]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=TEXT_LENGTH, description="what the shopper typed")]
Category = Annotated[
    tuple[Label, ...],
    msgspec.Meta(
        max_length=20,
        description="a category at any level, or consecutive levels of a path: repeat the parameter, or join the "
        "levels with ` > `",
    ),
]
Place = Annotated[PlacementName, msgspec.Meta(description="a placement of INTENTSTREAM_PLACEMENTS_FILE")]
FilterText = Annotated[
    str, msgspec.Meta(min_length=2, max_length=8000, description="a filter as JSON, as in docs/placements.md")
]
LanguageTag = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*$",
        max_length=35,
        description="language of the reasons, such as de or de-AT; unset: the header Accept-Language. Unknown "
        "languages: INTENTSTREAM_LANGUAGE",
    ),
]
Explain = Annotated[bool, msgspec.Meta(description="whether to explain the score of each item")]


class ListQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of a list."""

    k: Length | None = None
    exclude: Excluded = ()
    lang: LanguageTag | None = None


class PlacedQuery(ListQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of a ranked list."""

    placement: Place = DEFAULT
    filter: FilterText | None = None
    explain: Explain = False


class CategoryQuery(ListQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of a list that can be limited to a category."""

    category: Category = ()


class SearchQuery(PlacedQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of a search. With `user` the results are personal."""

    q: Text
    user: Shopper | None = None
    matching: Annotated[bool, msgspec.Meta(description="whether to leave out items that do not match")] = False


class SuggestQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of suggestions. With `user` they are personal."""

    q: Annotated[
        str, msgspec.Meta(max_length=TEXT_LENGTH, description="what the shopper has typed so far; unset: nothing yet")
    ] = ""
    user: Shopper | None = None
    k: Annotated[int, msgspec.Meta(ge=1, le=MOST_SUGGESTIONS, description="most suggestions")] = 10
    lang: Annotated[
        LanguageTag, msgspec.Meta(description="without effect: suggestions are searches and texts of the catalogue")
    ] | None = None  # fmt: skip


class CartBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A cart: its items in the order in which they were put into it."""

    items: Annotated[tuple[Identifier, ...], msgspec.Meta(min_length=1, max_length=MOST_IN_CART)]
    k: Length | None = None
    exclude: Excluded = ()
    lang: LanguageTag | None = None
    placement: Place = DEFAULT
    filter: Filter | None = None
    explain: Explain = False


class RankBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Items to be put in order: for a shopper, for what the shopper typed, or for both."""

    items: Annotated[tuple[Identifier, ...], msgspec.Meta(min_length=1, max_length=MOST_CANDIDATES)]
    user: Shopper | None = None
    q: Text | None = None
    lang: LanguageTag | None = None
    explain: Explain = False


MOST_HEADER_CHARS = 200
"""Most characters of the header `Accept-Language` that are read."""


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
    for part in accepted[:MOST_HEADER_CHARS].split(","):
        name, *parameters = (each.strip() for each in part.split(";"))
        language = language_of(name)
        weight = next((_quality(each) for each in parameters if each.lower().startswith("q=")), 1.0)
        if language is not None and weight > 0:
            weighted.append((weight, language))
    # Of equal weights `max` returns the first, as the header's order means it.
    return max(weighted, key=lambda each: each[0])[1] if weighted else None


def _quality(parameter: str) -> float:
    with suppress(ValueError):
        return float(parameter[2:])
    return 0.0
