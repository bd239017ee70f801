"""The word index of the catalogue: finds items whose text has the words of a search, above all the rare ones.

Vectors capture the topic of a text but blur its exact words. Model numbers, sizes and brand names that the encoder was
not trained on are found here.
"""

from __future__ import annotations

from inference.retrieval.sparse import Document, Matches, SparseIndex, document
from inference.retrieval.tokens import words
from inference.types import Item

FIELD_WEIGHTS = {"title": 3.0, "brand": 2.0, "category": 1.0, "attributes": 1.0, "description": 0.5}
"""Weights of the fields: a word in the title describes an item better than one in its description."""
MAX_CHARS = 2000
"""Characters of each field that are indexed: a description may be very long."""


class WordIndex:
    """The catalogue's items by their words. The caller keeps the item of each row."""

    def __init__(self) -> None:
        self._index = SparseIndex()

    def __len__(self) -> int:
        return len(self._index)

    def replace(self, row: int, old: Item | None, new: Item | None) -> None:
        """Replace `old`, the item that was indexed under `row`, by `new`; None stands for no item."""
        if old is not None and new is not None and _texts(old) == _texts(new):
            return
        if old is not None:
            self._index.remove(row, _document(old))
        if new is not None:
            self._index.add(row, _document(new))

    def search(self, text: str) -> Matches:
        """Return the rows with any of the query's words, and BM25 as a share of the greatest possible score."""
        return self._index.search(words(text))


def _texts(item: Item) -> dict[str, str]:
    return {
        "title": item.title,
        "brand": item.brand or "",
        "category": " ".join(item.category),
        "attributes": " ".join(item.attributes.values()),
        "description": item.description or "",
    }


def _document(item: Item) -> Document:
    texts = _texts(item)
    return document([(weight, words(texts[field][:MAX_CHARS])) for field, weight in FIELD_WEIGHTS.items()])
