"""Where sources that add up votes write: the available items of one catalogue, one source's part of the hits."""

from __future__ import annotations

from inference.kernels.votes import Results
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.hits import Hits


def results_of(catalogue: Catalogue, hits: Hits, place: int) -> Results:
    """Return where the source at a place writes its hits."""
    columns = catalogue.columns
    return Results(catalogue.row_of, columns.available, columns.keys, hits.rows, hits.scores, hits.counts, place)
