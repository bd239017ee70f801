"""Exact and approximate search by the size of the catalogue, to choose `exact_search_limit`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.report import Section, Table
from benchmarks.shop import similar_vectors
from benchmarks.stage import Stage
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.vectors import Int8Vector, quantise
from inference.types import Item, Vector
from streams.settings import SETTINGS

SPREAD = 0.5
"""Length of the noise on a real vector. It gives a cosine of 0.9, like that of titles that differ in one word."""
REPEATS = 5
NEVER = 10**9

HOW = """\
The figures are microseconds per query on one thread, for the {limit} nearest items of a catalogue, with vectors of
{dim} dimensions. The vectors are those of real titles, each moved by noise to a cosine of about 0.9, and so are the
queries. Exact search is one matrix product. Approximate search is HNSW over int8, with exact scores of its results.
Recall is the share of the exact {limit} that approximate search finds. "Update" is the cost of one changed item in the
approximate index."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One size of the catalogue. Times are microseconds by batch size."""

    items: int
    exact: dict[int, float]
    approximate: dict[int, float]
    recall: float
    update: float


def measure(stage: Stage) -> Section:
    """Measure each size."""
    with threadpool_limits(1, "blas"):
        real = stage.bundle.encode([item.title for item in stage.shop.items])
        measured = [_measure(stage, real, items) for items in stage.sizes.retrieval_items]
    return _section(stage, measured)


def _measure(stage: Stage, real: Vector, items: int) -> Measured:
    stage.progress(f"search over {items:,} items")
    sizes = stage.sizes
    vectors = quantise(similar_vectors(real, items, SPREAD, sizes.seed))
    queries = similar_vectors(real, sizes.retrieval_queries, SPREAD, sizes.seed + 1)
    exact, approximate = Catalogue(real.shape[1], exact_limit=NEVER), Catalogue(real.shape[1], exact_limit=0)
    shop = [Item(item_id=str(number), title="-") for number in range(items)]
    _fill(exact, shop, vectors)
    update = _seconds(lambda: _fill(approximate, shop, vectors), 1) / items
    return Measured(
        items,
        {batch: _micros(exact, queries, batch, sizes.retrieval_limit) for batch in sizes.retrieval_batches},
        {batch: _micros(approximate, queries, batch, sizes.retrieval_limit) for batch in sizes.retrieval_batches},
        recall(exact, approximate, queries, sizes.retrieval_limit),
        1e6 * update,
    )


def _fill(catalogue: Catalogue, items: Sequence[Item], vectors: Int8Vector) -> None:
    for item, vector in zip(items, vectors, strict=True):
        catalogue.upsert(item, vector)
    while catalogue.build_index(len(catalogue)):
        pass


def recall(exact: Catalogue, approximate: Catalogue, queries: Vector, limit: int) -> float:
    """Return the share of the exact results that approximate search finds."""
    pairs = zip(exact.search(queries, limit), approximate.search(queries, limit), strict=True)
    return float(np.mean([np.isin(one.rows, other.rows).mean() for one, other in pairs]))


def _micros(catalogue: Catalogue, queries: Vector, batch: int, limit: int) -> float:
    def search() -> None:
        for start in range(0, len(queries), batch):
            catalogue.search(queries[start : start + batch], limit)

    return 1e6 * _seconds(search, REPEATS) / len(queries)


def _seconds(work: Callable[[], object], repeats: int) -> float:
    def timed() -> float:
        started = perf_counter()
        work()
        return perf_counter() - started

    return median(timed() for _ in range(repeats))


def _section(stage: Stage, measured: list[Measured]) -> Section:
    sizes = stage.sizes
    batches = sizes.retrieval_batches
    columns = (f"{kind}, batch {batch}" for kind in ("exact", "approximate") for batch in batches)
    header = ("items", *columns, "recall", "update")
    rows = tuple(
        (f"{m.items:,}", *(f"{m.exact[b]:,.0f}" for b in batches), *(f"{m.approximate[b]:,.0f}" for b in batches),
         f"{m.recall:.3f}", f"{m.update:,.0f}")
        for m in measured
    )  # fmt: skip
    limit = SETTINGS["exact_search_limit"].default
    return Section(
        title="Search: exact and approximate",
        how=HOW.format(limit=sizes.retrieval_limit, dim=stage.bundle.dim),
        tables=(Table(header, rows),),
        says=(f"{_crossing(measured, batches)} `exact_search_limit` is {limit:,} by default.",),
        data={str(m.items): {name: getattr(m, name) for name in Measured.__slots__} for m in measured},
    )


def _crossing(measured: list[Measured], batches: tuple[int, ...]) -> str:
    def first(batch: int) -> str:
        faster = [m.items for m in measured if m.approximate[batch] < m.exact[batch]]
        return f"from {min(faster):,} items on" if faster else "at none of these sizes"

    return "Approximate search costs less " + ", ".join(f"{first(b)} at batch {b}" for b in batches) + "."
