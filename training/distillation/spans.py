"""Pseudo-queries: parts of titles that a shopper might type to find the item. No I/O."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from inference.encoding.text import normalise_query

LONGEST = 8
_SHARES = np.array([5, 8, 6, 4, 2, 2, 1, 1], dtype=np.float64)
"""Relative frequency of pseudo-queries of 1, 2, ... LONGEST words. Most are short, like those that people type."""
_IN_PLACE = 0.7
"""Share of the spans whose words are adjacent in the title. In the others words are left out, as people do."""
_EDGES = "\"'.,;:!?()[]{}<>|/\\-–*+&@#"


def words_of(title: str) -> list[str]:
    """Return the words of a title without the punctuation around them and without lone signs.

    >>> words_of('Roller - "Coaster", (black)')
    ['Roller', 'Coaster', 'black']
    """
    return [word for word in (each.strip(_EDGES) for each in title.split()) if any(map(str.isalnum, word))]


def sample_span(title: str, generator: np.random.Generator) -> str:
    """Return a normalised pseudo-query of 1 to LONGEST words of `title`, in their order; empty if it has no words."""
    words = words_of(title)
    if not words:
        return ""
    shares = _SHARES[: len(words)]
    size = 1 + int(generator.choice(len(shares), p=shares / shares.sum()))
    if generator.random() < _IN_PLACE:
        start = int(generator.integers(len(words) - size + 1))
        chosen: Sequence[str] = words[start : start + size]
    else:
        chosen = [words[place] for place in np.sort(generator.choice(len(words), size, replace=False))]
    return normalise_query(" ".join(chosen))
