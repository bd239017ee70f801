"""Search results graded by people: reads them from a CSV file, and ranks the graded items of each query."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import numpy as np

from inference.bundle import Bundle
from inference.encoding.text import item_text
from inference.types import Item, Query
from streams.errors import ConfigurationError
from training.evaluation.baseline_pass import Ranking
from training.evaluation.baselines.text import Bm25
from training.evaluation.metrics import NOTHING, Lists, Targets
from training.evaluation.system_pass import OURS
from training.ranker.provenance import Hashes, grade_hashes

QUERY, ITEM, GRADE = ("query",), ("item_id", "docid", "product_id"), ("grade", "rating", "label")
"""The accepted names of the columns."""


@dataclass(frozen=True, slots=True)
class Judgements:
    """Queries with items of more than one grade: only these distinguish a good order from a bad one.

    Attributes:
        queries: texts of the queries, unchanged.
        items: item numbers in the catalogue, for each query, in the order of the file.
        grades: the grades of these items, 0 or more.
        single: number of queries that were omitted because all their items have the same grade.
        missing: share of the graded items that are not in the catalogue. They are omitted.
    """

    queries: tuple[str, ...]
    items: tuple[tuple[int, ...], ...]
    grades: tuple[tuple[float, ...], ...]
    single: int
    missing: float


def read_judgements(path: Path, catalogue: Sequence[Item]) -> Judgements:
    """Read the grades of items in the catalogue. If a pair has two grades, the last one counts.

    Raises:
        ConfigurationError: the file cannot be read, a column is missing, a grade is invalid, or no query remains.
    """
    numbers = {item.item_id: number for number, item in enumerate(catalogue)}
    graded: defaultdict[str, dict[int, float]] = defaultdict(dict)
    pairs = missing = 0
    for query, item_id, grade in graded_rows(path):
        pairs += 1
        number = numbers.get(item_id)
        # A graded item that the catalogue lacks can be in no list. It is left out of the targets, and its share is
        # reported.
        missing += number is None
        if number is not None:
            graded[query][number] = grade
    kept = {query: items for query, items in graded.items() if len(set(items.values())) > 1}
    if not kept:
        got = f"{len(graded)} queries with items of the catalogue, {missing} of {pairs} items unknown to it"
        raise ConfigurationError(f"{path}: required a query whose items have more than one grade, got {got}")
    return Judgements(
        queries=tuple(kept),
        items=tuple(tuple(items) for items in kept.values()),
        grades=tuple(tuple(items.values()) for items in kept.values()),
        single=len(graded) - len(kept),
        missing=missing / pairs,
    )


def hashes_of(judgements: Judgements, catalogue: Sequence[Item]) -> Hashes:
    """Return the hash of each graded item; see `training.ranker.provenance`."""
    graded = zip(judgements.queries, judgements.items, strict=True)
    return grade_hashes((query, catalogue[item].item_id) for query, items in graded for item in items)


def graded_rows(path: Path) -> Iterator[tuple[str, str, float]]:
    """Yield the query, the item id and the grade of each line. Raises ConfigurationError as `read_judgements` does."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            query, item, grade = (_column(path, reader.fieldnames or (), names) for names in (QUERY, ITEM, GRADE))
            for row in reader:
                yield row[query], row[item], _grade(f"{path}:{reader.line_num}", row[grade])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationError(f"{path}: required a readable CSV file in UTF-8, got: {error}") from error


def _column(path: Path, header: Sequence[str], names: Sequence[str]) -> str:
    found = next((name for name in names if name in header), None)
    if found is None:
        got = ", ".join(header) or "none"
        raise ConfigurationError(f"{path}: required a header with a column {' or '.join(names)}, got {got}")
    return found


def _grade(place: str, text: str | None) -> float:
    try:
        grade = float(text or "")
    except ValueError:
        grade = -1.0
    if not (isfinite(grade) and grade >= 0):
        raise ConfigurationError(f"{place}: required a grade of 0 or more, got {text!r}")
    return grade


def graded_targets(judgements: Judgements) -> Targets:
    """Return the items with a grade above 0 as the targets."""
    wanted = [
        [(item, grade) for item, grade in zip(items, grades, strict=True) if grade > 0]
        for items, grades in zip(judgements.items, judgements.grades, strict=True)
    ]
    return Targets(
        starts=np.concatenate([[0], np.cumsum([len(each) for each in wanted])]).astype(np.int64),
        items=np.array([item for each in wanted for item, _ in each], dtype=np.int32),
        grades=np.array([grade for each in wanted for _, grade in each], dtype=np.float32),
    )


def rank_graded(
    bundle: Bundle, catalogue: Sequence[Item], judgements: Judgements, k: int, progress: Callable[[int], None]
) -> list[Ranking]:
    """Order each query's graded items by the bundle, by the encoder alone and by BM25. Ties go by item number.

    Raises:
        ScoringError: a graph of the bundle failed.
    """
    words = Bm25([item_text(item) for item in catalogue])
    numbers = {item.item_id: number for number, item in enumerate(catalogue)}
    names = (OURS, "encoder alone", words.name)
    lists = {name: np.full((len(judgements.queries), k), NOTHING, dtype=np.int32) for name in names}
    for place, (query, items) in enumerate(zip(judgements.queries, judgements.items, strict=True)):
        candidates = [catalogue[item] for item in items]
        ranked = bundle.rank(Query(text=query, k=k), candidates)
        _put(lists[OURS], place, [numbers[each.item.item_id] for each in ranked.items])
        cosines = bundle.encode([*map(item_text, candidates)]) @ bundle.encode_query(query)
        _put(lists["encoder alone"], place, _by(cosines.tolist(), items))
        scores = words.scores(query)
        _put(lists[words.name], place, _by(scores[list(items)].tolist(), items))
        progress(1)
    return [Ranking(name, found, np.zeros(0)) for name, found in lists.items()]


def _by(scores: Sequence[float], items: Sequence[int]) -> list[int]:
    ordered = sorted(zip(scores, items, strict=True), key=lambda each: (-each[0], each[1]))
    return [item for _, item in ordered]


def _put(lists: Lists, place: int, ranked: Sequence[int]) -> None:
    best = ranked[: lists.shape[1]]
    lists[place, : len(best)] = best
