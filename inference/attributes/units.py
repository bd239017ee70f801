"""Amounts in texts: a number with a unit of length, storage, volume, mass, charge or count. No I/O.

The units are those of titles in shops, in English, German and Chinese. Each regular expression reads a text once: parts
that repeat are bounded, so its time is linear in the length of the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

LENGTH: Final = "length"
STORAGE: Final = "storage"
VOLUME: Final = "volume"
MASS: Final = "mass"
CHARGE: Final = "charge"
COUNT: Final = "count"


class Unit(NamedTuple):
    """A unit as values name it, its kind, and its size in the base unit of the kind: m, GB, l, kg, Ah, pieces.

    Watt hours and ampere hours are both of the kind charge, and cannot be converted.
    """

    name: str
    kind: str
    factor: float


class Amount(NamedTuple):
    """A number with a unit, and the part of the text that it comes from."""

    number: float
    unit: Unit
    start: int
    end: int

    @property
    def value(self) -> str:
        """The amount as a value of an attribute: `512 GB`, `1.5 m`; a count without its unit."""
        number, unit = self.number, self.unit
        if unit.kind == STORAGE and unit.name in _NEXT and number >= 1000 and number % 1000 == 0:
            number, unit = number / 1000, _NEXT[unit.name]
        shown = f"{number:.10g}"
        return shown if unit.kind == COUNT else f"{shown} {unit.name}"

    @property
    def base(self) -> float:
        """The number in the base unit of its kind."""
        return self.number * self.unit.factor


_TABLE: Final[Mapping[Unit, str]] = {
    Unit("mm", LENGTH, 1e-3): "mm millimeter millimetre millimeters millimetres 毫米",
    Unit("cm", LENGTH, 1e-2): "cm centimeter centimetre centimeters centimetres 厘米 公分",
    Unit("m", LENGTH, 1.0): "m mtr meter metre meters metres 米",
    Unit("in", LENGTH, 0.0254): "in inch inches zoll \" ″ ” '' 英寸 寸",
    Unit("ft", LENGTH, 0.3048): "ft foot feet ′ 英尺",
    Unit("yd", LENGTH, 0.9144): "yd yard yards",
    Unit("MB", STORAGE, 1e-3): "mb mbyte megabyte megabytes",
    Unit("GB", STORAGE, 1.0): "gb gbyte gigabyte gigabytes gig",
    Unit("TB", STORAGE, 1e3): "tb tbyte terabyte terabytes",
    Unit("ml", VOLUME, 1e-3): "ml milliliter millilitre milliliters millilitres 毫升",
    Unit("cl", VOLUME, 1e-2): "cl",
    Unit("l", VOLUME, 1.0): "l ltr liter litre liters litres 升",
    Unit("fl oz", VOLUME, 0.0295735): "floz fl.oz fl_oz fl._oz",
    Unit("gal", VOLUME, 3.78541): "gal gallon gallons",
    Unit("g", MASS, 1e-3): "g gr gram grams gramm 克",
    Unit("kg", MASS, 1.0): "kg kilo kilogram kilograms 千克 公斤",
    Unit("oz", MASS, 0.0283495): "oz ounce ounces",
    Unit("lb", MASS, 0.453592): "lb lbs pound pounds",
    Unit("mAh", CHARGE, 1e-3): "mah 毫安",
    Unit("Ah", CHARGE, 1.0): "ah",
    Unit("Wh", CHARGE, 1.0): "wh",
    Unit("", COUNT, 1.0): (
        "pc pcs pc(s) piece pieces pack packs pk ct count stk stück er-pack erpack er_pack set er-set er_set "
        "件 件装 个 个装 支 支装 包 包装 片 片装 只 只装 条 盒 盒装 瓶 瓶装 袋 袋装"
    ),
}
_NEXT: Final = {"MB": Unit("GB", STORAGE, 1.0), "GB": Unit("TB", STORAGE, 1e3)}
_UNIT_OF: Final = {spelling.replace("_", " "): unit for unit, each in _TABLE.items() for spelling in each.split()}

NUMBER: Final = r"\d{1,3}(?:,\d{3}){1,2}(?:\.\d{1,3})?|\d{1,7}(?:[.,]\d{1,3})?"
_UNIT: Final = r"(?:er[- ](?:pack|set)|fl\.? ?oz|pc\(s\)|[a-zäöüß]{1,12}|[\"″”′]|''|[\u4e00-\u9fff]{1,3})"
_AMOUNT: Final = re.compile(rf"(?<![\w.,/-])({NUMBER})(?:\s|-|–)?({_UNIT})(?![a-z0-9ß-ÿ]|/s|-\d)")
_SIDES: Final = re.compile(
    rf"(?<![\w.,/-])({NUMBER})\s?([a-z\"]{{0,5}})\s?[x×*]\s?({NUMBER})\s?([a-z\"]{{0,5}})"
    rf"(?:\s?[x×*]\s?({NUMBER})\s?([a-z\"]{{1,5}}))?(?![a-z0-9])"
)
_SETS: Final = re.compile(
    rf"\b(?:pack|set|box|case|packung|lot|bundle) (?:of|mit|à|zu) (\d{{1,5}})\b|"
    rf"(?<![\w.,/-])(\d{{1,3}})\s?[x×]\s?(?=(?:{NUMBER})\s?(?:ml|cl|l|g|kg|oz)\b)"
)
_TIMES: Final = Unit("", COUNT, 1.0)
_LEAST_SIDE: Final = 4
"""Sides above this many mm are dimensions: `2 x 3.5 mm` are two plugs."""
_FIRST_CHINESE: Final = "\u4e00"


def number_of(text: str) -> float:
    """Return the number that a text of NUMBER writes: a comma before three digits separates thousands.

    >>> number_of("1,000"), number_of("25,4"), number_of("1.83")
    (1000.0, 25.4, 1.83)
    """
    whole, comma, rest = text.rpartition(",")
    if not comma:
        return float(text)
    # `25,4` and `0,125` are decimal commas. Three digits after a comma, as in `1,000`, are thousands.
    is_decimal = "," not in whole and "." not in rest and (len(rest) != 3 or whole == "0")
    return float(f"{whole}.{rest}" if is_decimal else text.replace(",", ""))


def amounts(text: str) -> Iterator[Amount]:
    """Yield the amounts of a text in lower case, in their order.

    >>> [each.value for each in amounts("6 ft cable, 1.8 m, 3-pack")]
    ['6 ft', '1.8 m', '3']
    """
    for found in _AMOUNT.finditer(text):
        unit = _unit_of(found[2])
        if unit is not None:
            yield Amount(number_of(found[1]), unit, found.start(), found.end())


def counts(text: str) -> Iterator[Amount]:
    """Yield the counts that stand before or behind other words: `pack of 6`, `6 x 330 ml`."""
    for found in _SETS.finditer(text):
        yield Amount(float(found[1] or found[2]), _TIMES, found.start(), found.end())


def dimensions(text: str) -> tuple[str, int, int] | None:
    """Return the first two or three sides with a unit of length as a value, and where the text has them.

    >>> dimensions("labels 63.5x38.1 mm")
    ('63.5 x 38.1 mm', 7, 19)
    """
    for found in _SIDES.finditer(text):
        unit = _UNIT_OF.get(found[6] or found[4])
        if unit is not None and unit.kind == LENGTH:
            sides = [number_of(side) for side in (found[1], found[3], found[5]) if side]
            if min(sides) > _LEAST_SIDE or unit.name != "mm":
                return f"{' x '.join(f'{side:.10g}' for side in sides)} {unit.name}", found.start(), found.end()
    return None


def _unit_of(text: str) -> Unit | None:
    unit = _UNIT_OF.get(text)
    if unit is None and text[0] >= _FIRST_CHINESE:
        # Chinese has no spaces: the unit is the longest one that the characters begin with.
        unit = next((found for end in (2, 1) if (found := _UNIT_OF.get(text[:end])) is not None), None)
    return unit
