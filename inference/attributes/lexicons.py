"""Words for colours and materials in English, German and Chinese. No I/O.

A value has the language of its word, in one spelling: `grey` for gray and grey, `schwarz` for schwarze and schwarzer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple


class Word(NamedTuple):
    """A word of a list in a text: its value, and where the text has it."""

    value: str
    start: int
    end: int


_COLOURS: Final = {
    "black": "", "white": "", "grey": "gray greys grays", "silver": "", "blue": "navy", "red": "", "green": "",
    "yellow": "",
    "orange": "", "purple": "violet", "pink": "", "brown": "", "beige": "", "cyan": "", "magenta": "", "gold": "golden",
    "turquoise": "", "ivory": "", "transparent": "", "multicolour": "multicolor multicoloured multicolored",
    "bronze": "", "burgundy": "", "aqua": "", "anthracite": "", "khaki": "",
    "schwarz": "schwarze schwarzer schwarzes", "weiß": "weiss weiße weißer weißes", "grau": "graue grauer graues",
    "blau": "blaue blauer blaues", "rot": "rote roter rotes", "grün": "grüne grüner grünes gruen",
    "gelb": "gelbe gelber gelbes", "braun": "braune brauner braunes", "rosa": "", "silber": "silbern", "türkis": "",
}  # fmt: skip
_CHINESE_COLOURS: Final = (
    "黑色", "白色", "灰色", "银色", "蓝色", "红色", "绿色", "黄色", "橙色", "紫色",
    "粉色", "棕色", "米色", "金色", "咖啡色", "透明",
)  # fmt: skip
_MATERIALS: Final = {
    "cotton": "", "wool": "", "merino": "", "linen": "", "silk": "", "denim": "", "leather": "", "faux leather": "",
    "suede": "", "canvas": "", "polyester": "", "nylon": "", "neoprene": "", "rubber": "", "silicone": "", "felt": "",
    "stainless steel": "", "steel": "", "aluminium": "aluminum", "brass": "", "cast iron": "", "titanium": "",
    "wood": "wooden", "oak": "", "bamboo": "", "rattan": "", "cork": "", "porcelain": "", "ceramic": "",
    "polycarbonate": "", "polypropylene": "", "pvc": "", "acrylic": "", "plastic": "", "carbon fibre": "carbon fiber",
    "baumwolle": "", "wolle": "", "leinen": "", "seide": "", "leder": "", "edelstahl": "", "holz": "", "kunststoff": "",
    "keramik": "", "glas": "",
}  # fmt: skip
_CHINESE_MATERIALS: Final = (
    "纯棉", "全棉", "羊毛", "亚麻", "真丝", "真皮", "牛皮", "不锈钢",
    "铝合金", "实木", "竹", "陶瓷", "玻璃", "塑料", "硅胶", "尼龙",
)  # fmt: skip
_LATIN: Final = re.compile(r"[a-zß-ÿ]+")
_NOT_A_COLOUR: Final = re.compile(
    r"(?:\s|-|\s?&\s?)(?:friday|decker|box|jack|plated|certified|tea|wine|pepper|beans?|bread|rice|juice|beer|chocolate|"
    r"onions?|cabbage|sugar|tooth|ray|screen|list|point|cross|hat|dwarf|bull|label|balance|noise|paper|backing)\b"
)
"""What stands behind a word that then is no colour: `black tea`, `gold plated`, `white noise`."""


class _List:
    """A list of words by their spellings. A spelling has one or two words, or is Chinese."""

    def __init__(self, words: Mapping[str, str], chinese: tuple[str, ...]) -> None:
        self._value_of = {value: value for value in words}
        for value, others in words.items():
            for each in (others,) if " " in value else others.split():
                self._value_of[each] = value
        self._firsts = {spelling.split()[0] for spelling in self._value_of if " " in spelling}
        self._any = self._firsts | self._value_of.keys()
        self._chinese = re.compile("|".join(chinese))

    def find(self, text: str) -> Iterator[Word]:
        """Yield the words of a text in lower case, in their order; Chinese words last."""
        if not self._any.isdisjoint(_LATIN.findall(text)):
            yield from self._latin(list(_LATIN.finditer(text)))
        if not text.isascii():
            for found in self._chinese.finditer(text):
                yield Word(found[0], found.start(), found.end())

    def _latin(self, words: Sequence[re.Match[str]]) -> Iterator[Word]:
        behind = 0
        for at, found in enumerate(words):
            if found.start() < behind:  # the second word of a pair
                continue
            last = found
            value = None
            if found[0] in self._firsts and at + 1 < len(words) and words[at + 1].start() == found.end() + 1:
                last = words[at + 1]
                value = self._value_of.get(f"{found[0]} {last[0]}")
            if value is None:
                last, value = found, self._value_of.get(found[0])
            if value is not None:
                behind = last.end()
                yield Word(value, found.start(), last.end())


_COLOUR: Final = _List(_COLOURS, _CHINESE_COLOURS)
_MATERIAL: Final = _List(_MATERIALS, _CHINESE_MATERIALS)


def colours(text: str) -> Iterator[Word]:
    """Yield the colours of a text in lower case."""
    for word in _COLOUR.find(text):
        if not _NOT_A_COLOUR.match(text, word.end):
            yield word


def materials(text: str) -> Iterator[Word]:
    """Yield the materials of a text in lower case."""
    yield from _MATERIAL.find(text)


def colour_of(value: str) -> str:
    """Return a colour as this module spells it: the last colour of the text, or else the text in lower case."""
    folded = value.casefold()
    return next((word.value for word in reversed(list(colours(folded)))), folded)


def material_of(value: str) -> str:
    """Return a material as this module spells it, or else the text in lower case."""
    folded = value.casefold()
    return next((word.value for word in materials(folded)), folded)
