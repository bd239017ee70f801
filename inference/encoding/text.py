"""The input of the encoder: an item or a query as one line of clean text. No I/O.

The catalogue, the live path and the training use the same functions, so that a text has the same vector everywhere.
Chinese is encoded in simplified characters, in whichever it is written.
"""

from __future__ import annotations

import unicodedata

from inference.chinese import simplified
from inference.plain_text import readable, without_joiners
from inference.types import Item, stable_key

MAX_ITEM_CHARS = 400
"""The number of characters that fills about 128 tokens, which is what the encoder reads."""
MAX_TITLE_CHARS = 300
MAX_QUERY_CHARS = 200
MOST_PASSES = 4
"""Most times that a text is cleaned."""
REMEMBERED_BYTES = 64
"""Greatest length in UTF-8 of a remembered query. A profile and the state of an item have several of them."""


def clean(text: str, limit: int) -> str:
    """Return `text` without markup, in Unicode NFKC with single spaces, cut at a word to at most `limit` characters."""
    line = _folded(text)
    if len(line) <= limit:
        return line
    # One character more than the limit: if that is the space, the last word is whole.
    head = line[: limit + 1]
    at_word, _, _ = head.rpartition(" ")
    return at_word or head[:limit]


def _folded(text: str) -> str:
    """Return `text` without markup and invisible characters, in Unicode NFKC with single spaces."""
    for _ in range(MOST_PASSES):
        before, text = text, without_joiners(readable(text))
        # NFKC can produce markup, as of the full-width letters of a tag, so the result is cleaned again.
        if not text.isascii():
            text = " ".join(unicodedata.normalize("NFKC", text).split())
        if text == before:
            break
    return text


def normalise_query(text: str) -> str:
    """Return a query in the form for the encoder and for comparison: clean, in lower case, in simplified characters.

    A query without letters and digits, such as blanks or an emoji, is no text: the result is empty.

    >>> normalise_query("  ＵＳＢ   Cable "), normalise_query("藍牙耳機")
    ('usb cable', '蓝牙耳机')
    """
    return simplified(written_query(text))


def written_query(text: str) -> str:
    """Return a query in the form that is shown to shoppers: clean, in lower case, in the characters that were typed.

    >>> written_query("藍牙耳機  ＰＲＯ")
    '藍牙耳機 pro'
    """
    # Case folding can produce letters that NFKC composes again, hence the second pass.
    query = clean(clean(text, 2 * MAX_QUERY_CHARS).casefold(), MAX_QUERY_CHARS)
    return query if any(map(str.isalnum, query)) else ""


def shortened(text: str) -> str:
    """Return the first REMEMBERED_BYTES of a text, in whole characters."""
    return text.encode("utf-8", "ignore")[:REMEMBERED_BYTES].decode("utf-8", "ignore")


def remembered_query(text: str) -> str:
    """Return a query in the form that is remembered with the items that it led to: as it is shown, and short.

    A query that was shortened before gives the same result.

    >>> remembered_query("  ＵＳＢ   Cable ")
    'usb cable'
    """
    return shortened(written_query(shortened(text)))


def search_key(remembered: str) -> int:
    """Return the stable key of a remembered query, the same in traditional and in simplified characters."""
    return stable_key(simplified(remembered))


def item_text(item: Item) -> str:
    """Return the line of text that represents an item: title, brand, most specific category, start of the description.

    >>> item_text(Item(item_id="1", title="Roller  Coaster", brand="JBL", category=("Audio", "Speakers")))
    'Roller Coaster. JBL. Speakers'
    """
    parts = [simplified(clean(item.title, MAX_TITLE_CHARS))]
    for extra in (item.brand, item.label, item.description):
        part = simplified(clean(extra or "", MAX_ITEM_CHARS))
        # A title often contains the brand. Repeated, it would count twice.
        if part and part.casefold() not in parts[0].casefold():
            parts.append(part)
    return clean(". ".join(part for part in parts if part), MAX_ITEM_CHARS)
