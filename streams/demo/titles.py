"""Readable product names, made from the till's abbreviations. No I/O.

Common types have a name in `names.py`. For the others abbreviations are written out, words that the till cut off at 30
characters are dropped, and the case is changed.
"""

from __future__ import annotations

import re
from collections.abc import Set

from streams.demo.names import LABELS, NAMES

FIELD_WIDTH = 28
"""The till keeps 30 characters of a product type, some of them spaces. The last word of a field of at least this length
may be incomplete."""

_WORDS = {
    "ACCSS": "accessories", "ASST": "assorted", "BEERALEMALT": "beer, ale, malt", "BG": "bags", "BKD": "baked",
    "BN": "bean", "BRD": "breaded", "BRKFST": "breakfast", "BTL": "bottle", "BTR": "butter", "CARB": "carbonated",
    "CATFD": "cat food", "CHICK": "chicken", "CHIX": "chicken", "CHOC": "chocolate", "CHOCOCLATE": "chocolate",
    "CKTLS": "cocktails", "CLEANG": "cleaning", "CND": "canned", "CNDLES": "candles", "CNDY": "candy",
    "CRBNTD": "carbonated", "CRMD": "creamed", "DAN": "Danish", "DNR": "dinner", "DNRS": "dinners",
    "DOGFD": "dog food", "DPS": "dips", "DRNK": "drink", "DRNKING": "drinking", "DRNKNG": "drinking",
    "DRNKS": "drinks", "DRSNG": "dressing", "DSH": "dish", "EXCP": "except", "FD": "food", "FEM": "feminine",
    "FLVR": "flavoured", "FLVRD": "flavoured", "FRD": "fried", "FRE": "fresh", "FRZ": "frozen", "FRZN": "frozen",
    "FS": "French style", "GDS": "goods", "GM": "and general merchandise", "GRND": "ground",
    "HANDKE": "handkerchiefs", "HBC": "health and beauty", "HYGN": "hygiene", "INCL": "including",
    "IQF": "individually frozen", "IWS": "individually wrapped", "JCE": "juice", "LOZNG": "lozenges",
    "MACH": "machine", "MISC": "miscellaneous", "MIXS": "mixes", "MLK": "milk", "MLT": "multi", "MNERAL": "mineral",
    "MNRL": "mineral", "MXS": "mixes", "NDAIRY": "non-dairy", "PC": "piece", "PCKGD": "packaged", "PK": "pack",
    "PKG": "package", "PKGD": "packaged", "PKLD": "pickled", "PLSTC": "plastic", "PNCH": "punch", "PNT": "peanut",
    "PORTON": "portion", "PRCPK": "prepacked", "PREP": "prepared", "PRPCK": "prepacked", "PWDR": "powder",
    "PWDRS": "powders", "REFRGRATD": "refrigerated", "REFRIG": "refrigerated", "RETL": "retail",
    "RTS": "ready-to-serve", "SAL": "salad", "SALD": "salad", "SAUS": "sausage", "SECT": "sections", "SFT": "soft",
    "SGL": "single", "SHERBTS": "sherbets", "SNDWCH": "sandwich", "SNGL": "single", "SNKS": "snacks",
    "SPECILATY": "speciality", "SPLY": "supplies", "SPRD": "spread", "SRV": "serve", "SS": "single serve",
    "STK": "stick", "SUBS": "substitutes", "SUP": "super", "SV": "serve", "SW": "sweet", "SWEETNERS": "sweeteners",
    "SYRP": "syrup", "TISS": "tissue", "TORT": "tortilla", "TRSH": "trash", "VEG": "vegetable", "VEND": "vending",
    "WHL": "whole", "WHLSM": "wholesome", "WT": "weight", "WTR": "water",
}  # fmt: skip
_AS_THEY_ARE = frozenset({"BBQ", "TV", "IV", "UPC"})
_SMALL = frozenset({"and", "at", "for", "in", "not", "of", "on", "only", "or", "the", "to", "with"})
_QUALIFIERS = frozenset({
    "ANGUS", "BEEF", "BETTER", "BLENDS", "BONE", "BONELESS", "BREAST", "CHOICE", "ECONOMY", "ENHANCED", "ENTREES",
    "FOR", "FRESH", "GARDEN", "LEAN", "LINKS", "MAINSTREAM", "MEAT", "MISCELLANEOUS", "NATURAL", "OTHER", "PATTIES",
    "PINTS", "PLUS", "PREMIUM", "PRIMAL", "RAW", "REGULAR", "RIBS", "ROLLS", "SELECT", "SMOKED", "SMOKED/COOKED",
    "SNACKS/APPETIZERS", "SOUP/STEW", "STICKS/ENROBED", "SUPER", "TRADITIONAL", "VALUE", "YOU", "-",
})  # fmt: skip
"""Words that describe a product without naming it. A product type of such words alone needs its category as well."""

_LISTED = re.compile(r"[^\W\d_]{3,}(?:/[^\W\d_]{3,})+")
"""Words between slashes."""
_NOISE = re.compile(r"\(BULK\s*[&/][^)]*\)?|\([^)]*$")
_LOOSE_END = re.compile(r"(?:[\s&/:,(-]|\b(?:AND|OF|WITH|FOR|INCL|EXCP|EX|[A-Z])$)+$")
_WORD = re.compile(r"[A-Z]+(?:'[A-Z]+)?")
_LAST_WORD = re.compile(r"[\s/&(-]*([A-Z]+)$")
_UNITS = {"CT": "ct", "DZ": "dozen", "FT": "ft", "GA": "gal", "L": "L", "LB": "lb", "LT": "L", "ML": "ml", "OZ": "oz",
          "OZS": "oz", "PC": "pc", "PK": "pk", "PT": "pt", "QT": "qt", "SQ FT": "sq ft"}  # fmt: skip
_SIZE = re.compile(r"(?:\(\d+\)\s*)?(\d*\.?\d+(?:\s\d+/\d+|/\d*\.?\d+|-\d+)?)\s*([A-Z]+(?: FT)?)")


def readable(raw: str, vocabulary: Set[str] = frozenset()) -> str:
    """Write out a till's text. A last word that is not in `vocabulary` counts as cut off.

    >>> readable("FRZN BAGGED VEGETABLES - PLAIN")
    'Frozen Bagged Vegetables - Plain'
    >>> readable("MAINSTREAM WHEAT/MULTIGRAIN BR", {"WHEAT", "MULTIGRAIN"})
    'Mainstream Wheat/Multigrain'
    """
    text = _NOISE.sub("", raw)
    last = _LAST_WORD.search(text)
    if len(raw) >= FIELD_WIDTH:
        if text == raw and last and vocabulary and last[1] not in vocabulary | _WORDS.keys():
            text = text[: last.start()]
        text = _LOOSE_END.sub("", text)
    text = re.sub(r"\s*&\s*", " & ", text)
    text = re.sub(r"(?<=\D)\s*:\s*", ": ", text)
    text = re.sub(r"(?<=\d)(?=[A-Z]{2})|(?<=[A-Z])\.", " ", text)
    words = _WORD.sub(lambda match: _cased(match[0]), " ".join(text.split())).strip(" -/&:,(")
    head, space, tail = words.rpartition(" ")
    words = head + space + tail[:1].upper() + tail[1:]
    return words[:1].upper() + words[1:]


def product_name(kind: str, category: str, vocabulary: Set[str] = frozenset()) -> str:
    """Return the name of a product type, after its category if the type alone does not name a product.

    >>> product_name("SGL SV/VEND MACH SNACKS CHIP/P", "BAG SNACKS"), product_name("SELECT", "BEEF")
    ('Snack Chips, Single Serve', 'Beef, Select')
    >>> product_name("PEPPERONI/SALAMI", "LUNCHMEAT")
    'Pepperoni and Salami'
    """
    given = NAMES.get(f"{kind}|{category}") or NAMES.get(kind)
    if given is not None:
        return given
    name = _LISTED.sub(_as_list, readable(kind, vocabulary))
    if set(kind.split()) <= _QUALIFIERS:
        what = label(category)
        return name if what.casefold() in name.casefold() else f"{what}, {name}"
    return name


def label(raw: str) -> str:
    """Return the name of a department or category.

    >>> label("FRZN VEGETABLE/VEG DSH"), label("SNACK NUTS")
    ('Frozen Vegetables', 'Snack Nuts')
    """
    return LABELS.get(raw) or _LISTED.sub(_as_list, readable(raw))


def _as_list(match: re.Match[str]) -> str:
    *first, last = match[0].split("/")
    return f"{', '.join(first)} and {last}"


def package(raw: str | None, *, produce: bool = False) -> str | None:
    """Return a package size, or None if the field contains something else.

    With `produce`, the sizes of crates are left out: the field then contains the shop's own delivery unit, such as
    40 lb of bananas.

    >>> package(".50 OZ"), package("8.50 OZ"), package("(600) 4 LB"), package("974188  PK")
    ('0.5 oz', '8.5 oz', '4 lb', None)
    """
    match = _SIZE.fullmatch((raw or "").strip())
    unit = _UNITS.get(match[2]) if match else None
    if match is None or unit is None:
        return None
    number = match[1]
    if re.fullmatch(r"\d*\.?\d+", number):
        value = float(number)
        if value > 5000 or (produce and (unit == "ct" or (unit == "lb" and value > 10))):
            return None
        number = f"{value:g}"
    elif produce:
        return None
    return f"{number} {unit}"


def query_of(name: str) -> str:
    """Return a likely search for a product of this name.

    >>> query_of("Yogurt not Multi-Packs"), query_of("Beef, Lean"), query_of("Broccoli Whole and Crowns")
    ('yogurt', 'beef', 'broccoli whole')
    """
    head = re.split(r"[,:/(&]| - | not\b| only\b| all\b| other\b|\d", name, maxsplit=1, flags=re.IGNORECASE)[0]
    words = head.casefold().split()[:3]
    while words and words[-1] in _SMALL:
        del words[-1]
    return " ".join(words) or name.casefold()


def _cased(word: str) -> str:
    if word in _AS_THEY_ARE:
        return word
    whole = _WORDS.get(word, word.casefold())
    return whole if whole in _SMALL else " ".join(part[:1].upper() + part[1:] for part in whole.split(" "))
