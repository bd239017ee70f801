"""Derives the attributes of one text by rules and word lists. No I/O."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Final

from inference.attributes import lexicons, units
from inference.attributes.models import model_numbers
from inference.attributes.names import (
    CAPACITY,
    COLOUR,
    LEXICON,
    MATERIAL,
    MODEL,
    QUANTITY,
    RULE,
    SIZE,
    Derived,
)
from inference.attributes.units import Amount

_WORKING_MEMORY: Final = re.compile(r"\s?(?:[a-z]{0,3}ddr|s?dram|ram\b|memory|vram|of ram|arbeitsspeicher|内存)")
_CACHE: Final = re.compile(r"\s?(?:l[123]\b|cache|buffer|/|bit|ecc)")
_DRIVE: Final = re.compile(r"\s?(?:ssd|hdd|emmc|flash|nvme|storage|hard|solid|m\.2|rom\b|festplatte|speicher|硬盘)")
_DIGIT: Final = re.compile(r"\d")
_LETTER_SIZE: Final = re.compile(
    r"\b(?:size|größe|gr\.|groesse|尺码)[:\s]{0,2}(\d{1,2}x?[sml]|x{0,3}[sl]|m|\d{2}(?:[.,]5)?)(?![\w])"
)
_LAST_LETTER: Final = re.compile(r"(?:,|\s-|\s/|\s\()\s?(x{0,3}[sl]|[2-5]xl)\)?$")


class Text:
    """A text in lower case, read once for all attributes.

    `is_title` is False for a description, which also speaks of other things: it gives no weight and no last letter.
    `brand` are the words of the item's brand.
    """

    def __init__(self, text: str, *, is_title: bool, brand: tuple[str, ...] = ()) -> None:
        self.text = text
        self.brand = brand
        self.is_title = is_title
        self.has_digits = _DIGIT.search(text) is not None
        self.amounts: list[Amount] = list(units.amounts(text)) if self.has_digits else []


def read_size(read: Text) -> Iterator[Derived]:
    """Yield the sizes of a text: of clothes, then sides, then lengths, those in mm last."""
    text = read.text
    found = _LETTER_SIZE.search(text) or (_LAST_LETTER.search(text) if read.is_title else None)
    if found is not None:
        yield Derived(SIZE, found[1].upper().replace(",", "."), RULE, found[0].strip())
    sides = units.dimensions(text) if read.has_digits else None
    if sides is not None:
        yield Derived(SIZE, sides[0], RULE, text[sides[1] : sides[2]])
    lengths = [each for each in read.amounts if each.unit.kind == units.LENGTH and each.number]
    # `39.6 cm (15.6")` is one size in two units. Shops everywhere name a diagonal by its inches.
    for first, second in pairwise(lengths):
        if first.unit.name == "cm" and second.unit.name == "in" and second.start - first.end <= 2:
            yield _amount(SIZE, second, text)
    # Small sizes such as `3.5 mm` are mostly those of a part.
    for each in sorted(lengths, key=lambda each: each.unit.name == "mm"):
        yield _amount(SIZE, each, text)


def read_capacity(read: Text) -> Iterator[Derived]:
    """Yield the capacities of a text: of drives, other storage, the largest first, contents, and working memory last.

    The weight of an item with a model number is not what it contains.
    """
    text = read.text
    drives, storage, contents, memory = [], [], [], []
    for each in read.amounts:
        kind = each.unit.kind
        if not each.number:
            continue
        if kind in (units.VOLUME, units.CHARGE):
            contents.append(each)
        elif kind == units.MASS:
            if read.is_title and not model_numbers(text):
                contents.append(each)
        elif kind == units.STORAGE:
            if _DRIVE.match(text, each.end):
                drives.append(each)
            elif _WORKING_MEMORY.match(text, each.end):
                memory.append(each)
            elif not _CACHE.match(text, each.end):
                storage.append(each)
    storage.sort(key=lambda each: -each.base)
    for each in (*drives, *storage, *contents, *memory):
        yield _amount(CAPACITY, each, text)


def read_quantity(read: Text) -> Iterator[Derived]:
    """Yield the numbers of pieces of a text."""
    if read.has_digits:
        for each in (*units.counts(read.text), *read.amounts):
            if each.unit.kind == units.COUNT and each.number and each.number % 1 == 0:
                yield _amount(QUANTITY, each, read.text)


def read_colour(read: Text) -> Iterator[Derived]:
    """Yield the colours of a text, the last first: a title ends with the colour of the item. A brand is no colour."""
    for word in reversed(list(lexicons.colours(read.text))):
        if read.text[word.start : word.end] in read.brand:
            continue
        yield Derived(COLOUR, word.value, LEXICON, read.text[word.start : word.end])


def read_material(read: Text) -> Iterator[Derived]:
    """Yield the materials of a text."""
    for word in lexicons.materials(read.text):
        yield Derived(MATERIAL, word.value, LEXICON, read.text[word.start : word.end])


def read_model(title: str) -> Iterator[Derived]:
    """Yield the model numbers of a title as it is written."""
    for number in model_numbers(title) if _DIGIT.search(title) else ():
        yield Derived(MODEL, number, RULE, number)


READERS: Final[Mapping[str, Callable[[Text], Iterator[Derived]]]] = {
    COLOUR: read_colour, SIZE: read_size, MATERIAL: read_material, CAPACITY: read_capacity, QUANTITY: read_quantity,
}  # fmt: skip
"""The readers of texts in lower case. Model numbers keep their case, and brands depend on the catalogue."""


def _amount(name: str, each: Amount, text: str) -> Derived:
    return Derived(name, each.value, RULE, text[each.start : each.end])
