"""Where sources that add up votes write: the available items of one catalogue, one source's part of the hits."""

from __future__ import annotations

from inference.kernels.votes import Results
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.hits import Hits
from inference.retrieval.numbers import ItemNumbers


def results_of(numbers: ItemNumbers, catalogue: Catalogue, hits: Hits, place: int) -> Results:
    """Return where the source at a place writes its hits; `numbers` are those of the items that it votes for.

    Raises:
        ValueError: the catalogue goes by other numbers, so that each vote would count for another item.
    """
    if catalogue.numbers is not numbers:
        raise ValueError("catalogue: the item numbers of the behaviour behind its sources required, others came")
    columns = catalogue.columns
    return Results(catalogue.row_of, columns.available, columns.keys, hits.rows, hits.scores, hits.counts, place)
