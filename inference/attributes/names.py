"""The attributes that are derived from texts, and the names that shops give to them. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

import msgspec

from inference.plain_text import has_words, readable
from inference.records import Item

BRAND: Final = "brand"
COLOUR: Final = "colour"
SIZE: Final = "size"
MATERIAL: Final = "material"
CAPACITY: Final = "capacity"
QUANTITY: Final = "quantity"
MODEL: Final = "model"
NAMES: Final = (BRAND, COLOUR, SIZE, MATERIAL, CAPACITY, QUANTITY, MODEL)
DEFAULTS: Final = NAMES
"""The attributes that workers derive unless their settings say otherwise."""
FACETS: Final = (COLOUR, SIZE, MATERIAL, CAPACITY, QUANTITY)
"""The attributes that have facets. Brands have a facet of their own, and nearly every item has its own model number."""

RULE: Final = "rule"
LEXICON: Final = "lexicon"
CATALOGUE: Final = "catalogue"
SOURCES: Final = (RULE, LEXICON, CATALOGUE)
"""Sources of a value: a rule, a word list of the program, or the brands of the shop's own catalogue."""

VERSION: Final = 1
"""Version of the rules and word lists. It rises when they derive other values."""


class Derived(msgspec.Struct, frozen=True, gc=False):
    """A value that was derived from an item's texts.

    `name` is one of NAMES, `source` one of SOURCES. `text` is the part of the item's text that the value comes from.
    """

    name: str
    value: str
    source: str
    text: str


_SYNONYMS: Final[Mapping[str, tuple[str, ...]]] = {
    BRAND: ("brand", "marke", "品牌"),
    COLOUR: ("colour", "color", "colours", "colors", "farbe", "farben", "颜色", "顏色"),
    SIZE: ("size", "sizes", "größe", "grösse", "尺寸", "尺码", "尺碼"),
    MATERIAL: ("material", "materials", "材质", "材質", "材料"),
    CAPACITY: ("capacity", "kapazität", "容量"),
    QUANTITY: ("quantity", "pack size", "menge", "数量", "數量"),
    MODEL: ("model", "model number", "modell", "modellnummer", "型号", "型號"),
}
"""Names that mean the same: a filter by one of them sees the values of all."""
_RELATED: Final[Mapping[str, tuple[str, ...]]] = {
    BRAND: ("manufacturer", "hersteller"),
    COLOUR: ("colour family", "color family"),
    SIZE: (
        "dimensions", "length", "diagonal", "display size", "screen size", "cable length", "abmessungen", "länge",
        "大小",
    ),
    MATERIAL: ("fabric", "stoff", "面料"),
    CAPACITY: (
        "storage", "storage capacity", "memory", "volume", "contents", "net content", "net weight", "weight",
        "speicher", "inhalt", "volumen", "gewicht", "净含量", "淨含量",
    ),
    QUANTITY: ("package quantity", "pieces", "count", "anzahl", "stückzahl"),
    MODEL: ("model no", "mpn", "part number", "artikelnummer"),
}  # fmt: skip
"""Names under which a shop may give the same property. Where it does, nothing is derived."""
_NAME_OF: Final = {alias: name for name, aliases in _SYNONYMS.items() for alias in aliases}
_GIVES: Final = {**{alias: name for name, aliases in _RELATED.items() for alias in aliases}, **_NAME_OF}


@lru_cache(maxsize=2**12)
def standard_name(name: str) -> str | None:
    """Return which of NAMES a shop's name of an attribute means, None if it is another one.

    >>> standard_name("Color"), standard_name("pack_size"), standard_name("drop")
    ('colour', 'quantity', None)
    """
    return _NAME_OF.get(_folded(name))


@lru_cache(maxsize=2**12)
def _given_name(name: str) -> str | None:
    return _GIVES.get(_folded(name))


def _folded(name: str) -> str:
    return " ".join(readable(name).casefold().replace("_", " ").replace("-", " ").split())


def given_names(item: Item) -> set[str]:
    """Return which of NAMES the shop itself gives a value that is not blank."""
    given = {_given_name(name) for name, value in item.attributes.items() if has_words(value)}
    if item.brand is not None and has_words(item.brand):
        given.add(BRAND)
    return {name for name in given if name is not None}
