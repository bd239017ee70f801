"""Why an item is in the list, in words for the shopper."""

from __future__ import annotations

import numpy as np

from inference.retrieval.catalogue import Catalogue
from inference.retrieval.columns import Rows
from inference.retrieval.sources import LONG_TERM, QUERY, SHORT_TERM, TRENDING
from inference.types import Query


def reasons(query: Query, catalogue: Catalogue, rows: Rows, origins: list[tuple[str, ...]]) -> list[str]:
    """Explain each of `rows` by the sources that proposed it: the search first, then the nearest remembered item."""
    remembered = [(memory, row) for memory in query.recent if (row := catalogue.row(memory.key)) is not None]
    nearest: list[int] = []
    if remembered:
        past = np.array([row for _, row in remembered], dtype=np.intp)
        vectors, norms = catalogue.columns.vectors, catalogue.columns.inverse_norms
        nearest = (vectors[rows] @ vectors[past].T * norms[past]).argmax(axis=1).tolist()

    def explain(position: int) -> str:
        sources = origins[position]
        if QUERY in sources and query.text:
            return f"matches your search “{query.text}”"
        if remembered and (SHORT_TERM in sources or LONG_TERM in sources):
            memory, row = remembered[nearest[position]]
            if row == rows[position]:
                return f"you {memory.action} it before"
            return f"because you {memory.action} {catalogue.item(row).title}"
        if TRENDING in sources:
            return "popular right now"
        return "fits what you looked for"

    return [explain(position) for position in range(len(rows))]
