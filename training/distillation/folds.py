"""Cross-validation over queries: each graded query is held out once, together with its variants. No I/O."""

from __future__ import annotations

from collections.abc import Sequence

from inference.types import stable_key


def fold_of(query: str, folds: int) -> int:
    """Return the fold of a query.

    Variants of spelling and plural have the same fold. Otherwise a student would be trained on variants of its held-out
    queries.

    >>> fold_of("bluetooth speaker", 5) == fold_of("Blue-tooth speakers", 5)
    True
    """
    words = "".join(letter for letter in query.casefold() if letter.isalnum() or letter == " ").split()
    return stable_key("".join(word.removesuffix("s") for word in words)) % folds


def split(queries: Sequence[str], folds: int) -> list[list[int]]:
    """Return the places of the queries in each fold; empty folds are left out."""
    found: list[list[int]] = [[] for _ in range(folds)]
    for at, query in enumerate(queries):
        found[fold_of(query, folds)].append(at)
    return [each for each in found if each]
