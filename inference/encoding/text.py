"""What the encoder reads: an item or a query as one line of clean text. Pure.

The same functions serve the catalogue, the live path and the training, so that a text means one vector everywhere.
"""

from __future__ import annotations

import unicodedata

from inference.types import Item

MAX_ITEM_CHARS = 400
"""About as many characters as fill the 128 tokens that the encoder reads."""
MAX_TITLE_CHARS = 300
MAX_QUERY_CHARS = 200
REMEMBERED_BYTES = 64
"""Of UTF-8, of a query that is remembered: a profile and the state of an item hold several."""


def clean(text: str, limit: int) -> str:
    """Return `text` in Unicode NFKC with single spaces, cut at a word to at most `limit` characters."""
    # A lone surrogate is no character: no tokenizer takes it, and JSON can smuggle it in.
    whole = text.encode("utf-8", "ignore").decode("utf-8")
    line = " ".join(unicodedata.normalize("NFKC", whole).split())
    if len(line) <= limit:
        return line
    head = line[: limit + 1]
    at_word, _, _ = head.rpartition(" ")
    return at_word or head[:limit]


def normalise_query(text: str) -> str:
    """Return a query as the encoder and the cache of query vectors know it: clean, in lower case.

    >>> normalise_query("  ＵＳＢ   Cable ")
    'usb cable'
    """
    # Case folding can leave letters that NFKC composes anew, hence the second pass.
    return clean(clean(text, 2 * MAX_QUERY_CHARS).casefold(), MAX_QUERY_CHARS)


def shortened(text: str) -> str:
    """Return the first REMEMBERED_BYTES of a text, in whole characters."""
    return text.encode("utf-8", "ignore")[:REMEMBERED_BYTES].decode("utf-8", "ignore")


def remembered_query(text: str) -> str:
    """Return a query as it is remembered beside the items that it led to: normalised, and short.

    The same comes of a query that was shortened before.

    >>> remembered_query("  ＵＳＢ   Cable ")
    'usb cable'
    """
    return shortened(normalise_query(shortened(text)))


def item_text(item: Item) -> str:
    """Return the line that stands for an item: title, brand, most specific category, start of the description.

    >>> item_text(Item(item_id="1", title="Roller  Coaster", brand="JBL", category=("Audio", "Speakers")))
    'Roller Coaster. JBL. Speakers'
    """
    parts = [clean(item.title, MAX_TITLE_CHARS)]
    for extra in (item.brand, item.label, item.description):
        part = clean(extra or "", MAX_ITEM_CHARS)
        # A title often names its brand already; said twice it would weigh twice.
        if part and part.casefold() not in parts[0].casefold():
            parts.append(part)
    return clean(". ".join(part for part in parts if part), MAX_ITEM_CHARS)
