"""Chorus electronics with its attributes hidden: what the texts should give, and whether a derived value is right.

The products come from Icecat, whose editors fill fields such as `attr_t_product_colour`. Numbers there have no unit, so
a derived amount is right if its number fits in one of the units that the field can have.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from inference.attributes.brands import brand_words
from inference.attributes.lexicons import colour_of, material_of
from inference.attributes.models import model_key
from inference.attributes.names import BRAND, CAPACITY, COLOUR, MATERIAL, MODEL, QUANTITY, SIZE
from inference.attributes.units import COUNT, Amount, amounts, counts
from inference.types import Item, stable_key
from training.datasets.chorus import products

TOLERANCE: Final = 0.03
"""Relative error of a number that still is right: catalogues round 6 ft to 1.8 m or 1.83 m."""

_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    BRAND: ("supplier",),
    COLOUR: ("attr_t_product_colour", "attr_t_printing_colours", "attr_t_cable_colour"),
    MATERIAL: ("attr_t_material", "attr_t_housing_material"),
    SIZE: ("attr_n_display_diagonal", "attr_n_cable_length"),
    CAPACITY: (
        "attr_n_total_storage_capacity", "attr_n_ssd_capacity", "attr_n_hdd_capacity", "attr_n_capacity",
        "attr_n_battery_capacity", "attr_n_colour_ink_volume", "attr_n_internal_memory",
    ),
    QUANTITY: ("attr_n_quantity_per_pack",),
}  # fmt: skip
"""The fields of the products that an attribute can come from."""


Label = tuple[tuple[str, tuple[str, ...]], ...]
"""The fields that a product has for one attribute, and their values.

One right value is enough: a phone has a storage and a battery."""


class Hidden(NamedTuple):
    """A product without attributes, and the labels that are hidden: for each name the field and its values."""

    item: Item
    labels: Mapping[str, Label]


_SHOWN: Final[Mapping[str, Callable[[str], object]]] = {
    BRAND: brand_words, COLOUR: colour_of, MATERIAL: material_of, MODEL: model_key,
}  # fmt: skip
_WORDS: Final = re.compile(r"\w+")


def hidden_items(folder: Path) -> list[Hidden]:
    """Return the products by id. Raises ConfigurationError."""
    found = {str(each["id"]): each for each in products(folder)}
    return [Hidden(_item(key, each), _labels(each)) for key, each in sorted(found.items())]


def part_of(text: str, parts: int) -> int:
    """Return the part of a split, from 0 on, that a text belongs to."""
    return stable_key(f"attributes\0{text}") % parts


def is_right(name: str, value: str, label: Label) -> bool:
    """Return whether a derived value is one of the label's."""
    values = [each for _, given in label for each in given]
    if name == QUANTITY:
        return any(_near(float(value), float(each)) for each in values)
    if name in (SIZE, CAPACITY):
        amount = next(amounts(value.casefold()), None)
        return amount is not None and _fits(amount, label)
    shown = _SHOWN[name]
    return shown(value) in map(shown, values)


def is_in_text(name: str, item: Item, label: Label) -> bool:
    """Return whether the texts of an item contain one of the label's values, numbers in one of the units."""
    text = f"{item.title} {item.description or ''}".casefold()
    if name in (SIZE, CAPACITY):
        return any(_fits(found, label) for found in amounts(text))
    values = [each for _, given in label for each in given]
    if name == QUANTITY:
        found = [each for each in (*amounts(text), *counts(text)) if each.unit.kind == COUNT]
        return any(_near(each.number, float(value)) for each in found for value in values)
    words = set(_WORDS.findall(text))
    if name in (COLOUR, MATERIAL):
        return any(set(_WORDS.findall(each.casefold())) <= words or _SHOWN[name](each) in words for each in values)
    return any(each.casefold() in text for each in values)


def _fits(amount: Amount, label: Label) -> bool:
    return any(_near(each, float(values[0])) for field, values in label for each in _readings(field, amount))


def _readings(field: str, amount: Amount) -> tuple[float, ...]:
    """Return the numbers that a field without a unit can have for an amount."""
    if field == "attr_n_display_diagonal":
        return (amount.base / 0.0254,) if amount.unit.kind == "length" else ()
    if field == "attr_n_cable_length":
        return (amount.base,) if amount.unit.kind == "length" else ()
    # Storage in MB, GB or TB; contents in ml or l; charge in mAh or Ah.
    return (
        amount.number,
        amount.base,
        1000 * amount.base,
        1024 * amount.base,
        amount.base / 1000,
        amount.base * 1000 / 1024,
    )


def _near(number: float, other: float) -> bool:
    return abs(number - other) <= TOLERANCE * max(abs(number), abs(other))


def _item(key: str, product: Mapping[str, Any]) -> Item:
    title = str(product.get("title") or product.get("name") or key)[:1000]
    return Item(item_id=key, title=title, description=product.get("short_description") or None)


def _labels(product: Mapping[str, Any]) -> dict[str, Label]:
    labels: dict[str, Label] = {}
    for name, fields in _FIELDS.items():
        given = [(field, str(product[field])) for field in fields if product.get(field) not in (None, "", 0)]
        if given:
            several = name in (COLOUR, MATERIAL)
            labels[name] = tuple((field, tuple(value.split(",")) if several else (value,)) for field, value in given)
    number = str(product.get("name") or "")
    # A name of one word with a digit is the model number. Others are titles.
    if " " not in number and any(map(str.isdigit, number)):
        labels[MODEL] = (("name", (number,)),)
    return labels
