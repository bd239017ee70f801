"""The destination of sources that add up votes: their part of the hits, for the available items of one catalogue."""

from __future__ import annotations

from inference.kernels.votes import Results
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.hits import Hits
from inference.retrieval.numbers import ItemNumbers


def results_of(numbers: ItemNumbers, catalogue: Catalogue, hits: Hits, place: int) -> Results:
    """Return the arrays to which the source at a place writes its hits. `numbers` are the item numbers of its votes.

    Raises:
        ValueError: the catalogue has other item numbers, so each vote would count for another item.
    """
    if catalogue.numbers is not numbers:
        raise ValueError("catalogue: required the item numbers of the behaviour behind its sources, got others")
    columns = catalogue.columns
    return Results(catalogue.row_of, columns.available, columns.keys, hits.rows, hits.scores, hits.counts, place)
