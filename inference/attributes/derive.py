"""Derives the attributes that a shop left empty from an item's title and description. No I/O.

The result depends on the item and on the brands of the catalogue only, so it is the same in every process. It never
contains an attribute that the shop itself gives, under whichever of its usual names.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache

from inference.attributes.brands import Brands, brand_words
from inference.attributes.lexicons import colours, materials
from inference.attributes.names import (
    BRAND,
    CAPACITY,
    CATALOGUE,
    COLOUR,
    MATERIAL,
    MODEL,
    NAMES,
    QUANTITY,
    SIZE,
    Derived,
    given_names,
)
from inference.attributes.rules import READERS, Text, read_model
from inference.attributes.units import amounts, dimensions
from inference.encoding.text import MAX_ITEM_CHARS, MAX_TITLE_CHARS, clean
from inference.plain_text import readable
from inference.records import Item

CHARS_READ = 4 * MAX_ITEM_CHARS
"""Characters of a raw text that are read at most: markup can take most of them."""


_TITLE_ONLY = frozenset({BRAND, MODEL})


def derive(item: Item, names: Collection[str] = NAMES, brands: Brands | None = None) -> tuple[Derived, ...]:
    """Return the values for those of `names` that the shop left empty, in the order of NAMES.

    The title comes first, then the beginning of the description. Without `brands` there is no brand.
    """
    wanted = [name for name in NAMES if name in names]
    given = given_names(item)
    wanted = [name for name in wanted if name not in given]
    if not wanted:
        return ()
    title = clean(item.title[:CHARS_READ], MAX_TITLE_CHARS)
    # Sizes and colours need the brand also if it is not wanted itself: a brand such as `Orange` is no colour.
    brand = None if brands is None or BRAND in given else brands.find(title)
    words = () if brand is None else brand.words
    texts = [Text(title.lower(), is_title=True, brand=words or brand_words(readable(item.brand or "")))]
    if item.description and not _TITLE_ONLY.issuperset(wanted):
        described = clean(item.description[:CHARS_READ], MAX_ITEM_CHARS)
        # Many shops repeat the title.
        if described not in title:
            texts.append(Text(described.lower(), is_title=False, brand=texts[0].brand))
    found = []
    for name in wanted:
        if name == BRAND:
            value = None if brand is None else Derived(BRAND, brand.spelling, CATALOGUE, " ".join(brand.words))
        elif name == MODEL:
            value = next(read_model(title), None)
        else:
            value = next((value for text in texts for value in READERS[name](text)), None)
        if value is not None:
            found.append(value)
    return tuple(found)


@lru_cache(maxsize=2**14)
def normal_value(name: str, value: str) -> str:
    """Return a shop's value of one of NAMES as `derive` writes it, so that both can be compared.

    >>> normal_value("colour", "Light Gray"), normal_value("capacity", "1000GB"), normal_value("size", "xl")
    ('grey', '1 TB', 'XL')
    """
    folded = clean(value, MAX_TITLE_CHARS).lower()
    if name in (COLOUR, MATERIAL):
        words = list(colours(folded) if name == COLOUR else materials(folded))
        return (words[-1] if name == COLOUR else words[0]).value if words else folded
    if name == SIZE:
        sides = dimensions(folded)
        if sides is not None and sides[1:] == (0, len(folded)):
            return sides[0]
    if name in (SIZE, CAPACITY, QUANTITY):
        amount = next(amounts(folded), None)
        is_whole = amount is not None and (amount.start, amount.end) == (0, len(folded))
        return amount.value if amount is not None and is_whole else folded.upper() if name == SIZE else folded
    return folded
