"""Model numbers in titles: the word that mixes letters and digits and names no size, speed or standard. No I/O."""

from __future__ import annotations

import re
from typing import Final

_WORD: Final = re.compile(r"(?<![\w/.-])[a-z0-9][a-z0-9/._#-]{2,39}(?![\w])", re.IGNORECASE)
_STANDARD: Final = re.compile(
    r"(?:usb|ddr|pc|cat|hdmi|sata|wi-?fi|ip|rj|lga|mp|av|cd|dvd|win|ps|aaa?|h|x|g|gen|iec|nema|db|qwert|awg|iso|om|os|"
    r"bluetooth|bt|hd|uhd|fhd|qhd|led|lcd|core|socket|gddr|pcie?|raid|mini|type|v|version|vol|class|level|stage|size|"
    r"pack|no|nr|hr|mk)?[-.]?\d{1,4}[a-z]?",
    re.IGNORECASE,
)
"""Names of standards and versions, and plain numbers: DDR4, Cat5e, USB3.0, 802.11n, LGA1151."""
_PROCESSOR: Final = re.compile(r"[im][3579]-?\d{3,5}[a-z]{0,3}\d?|[gr]tx?-?\d{3,4}", re.IGNORECASE)
_MEASURE: Final = re.compile(
    r"\d[\d.,/x×-]*-?(?:[kmgt]?b(?:it|yte|ps)?|[kmg]?hz|[kmgt]bit|[kmgt]b/s|[kmu]?[wva]|va|kva|mah|ah|wh|mm|cm|m|in|inch|ft|"
    r"ml|cl|l|g|kg|oz|lb|dpi|ppm|mp|megapixels?|p|k|x|rpm|pcs?|pk|pack|port|ports|bay|way|pin|pins|core|er|th|st|nd|rd|u|s|"
    r"d|h|c|f|fps|db|lm|led|key|keys|digits?|sheets?|pages?|years?|yr|ct|series|a|e|n|ac|gen|in-1)?",
    re.IGNORECASE,
)
_DIGITS: Final = re.compile(r"\d")
MOST_CHARS: Final = 300


def model_numbers(title: str) -> list[str]:
    """Return the words of a title that can be model numbers, in their order.

    >>> model_numbers("Seagate Barracuda 1TB SATA 6Gb/s HDD (ST1000DM003)")
    ['ST1000DM003']
    """
    found = []
    for match in _WORD.finditer(title[:MOST_CHARS]):
        word = match[0].rstrip("/._-")
        digits = len(_DIGITS.findall(word))
        letters = sum(map(str.isalpha, word))
        if digits < 2 or len(word) < 4 or (not letters and digits < 6) or (letters > 3 * digits + 3):
            continue
        if _STANDARD.fullmatch(word) or _MEASURE.fullmatch(word) or _PROCESSOR.fullmatch(word):
            continue
        if word.startswith("802.11"):
            continue
        found.append(word)
    return found


def model_key(number: str) -> str:
    """Return a model number for comparison: upper case, without separators.

    >>> model_key("KVR29N21D8/32")
    'KVR29N21D832'
    """
    return "".join(filter(str.isalnum, number)).upper()
