"""Chinese in traditional and in simplified characters. No I/O beyond reading the table.

The encoder, the word index, learned searches and suggestions compare texts in simplified characters, so a search in
one script finds items in the other.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

TABLE = Path(__file__).with_name("simplified.txt")


def simplified(text: str) -> str:
    """Return a text with each traditional character replaced by the simplified one.

    One character at a time: the result does not depend on its neighbours, so a part of a text is converted as the whole
    text is, and texts keep their length. Two words that differ in traditional characters alone become one: 乾 (dry) and
    幹 (do) are 干 in both. Kanji are replaced as well. The text must be in NFKC, as the table is.

    >>> simplified("無線藍牙耳機 Pro")
    '无线蓝牙耳机 Pro'
    """
    return text if text.isascii() else text.translate(_table())


def is_chinese(text: str) -> bool:
    """Return whether a text has Chinese characters.

    >>> is_chinese("Apple 手机"), is_chinese("Apple phone")
    (True, False)
    """
    return not text.isascii() and any("\u4e00" <= letter <= "\u9fff" for letter in text)


@cache
def _table() -> dict[int, str]:
    """Return the simplified character by the number of the traditional one."""
    lines = (line for line in TABLE.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))
    return {ord(pair[0]): pair[1] for line in lines for pair in line.split()}
