"""NDCG@10 of graded queries by titles alone: BM25, the teacher, students not trained on the query, and a bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import numpy as np

from inference.encoding.encoder import TextEncoder
from inference.errors import DataError
from inference.loading import Loader
from inference.manifest import CATALOGUE, QUERY
from inference.manifest_files import read_manifest
from training.distillation.corpus import GradedQuery
from training.distillation.graded import BM25, HELD_OUT, HeldOut, ndcg
from training.distillation.public_texts import CHORUS, read_chorus
from training.distillation.teachers import teacher_of


@dataclass(frozen=True, slots=True)
class GradedQueries:
    """The queries whose items have more than one grade, and all titles of their catalogue."""

    queries: tuple[GradedQuery, ...]
    titles: tuple[str, ...]


def read_graded(data: Path) -> GradedQueries:
    """Read the graded queries in the folder `data`. Raises DataError."""
    if not (data / CHORUS).is_dir():
        raise DataError(f"{data}: required the folder {CHORUS} with the graded queries, got none")
    texts = read_chorus(data / CHORUS)
    mixed = tuple(each for each in texts.graded if len({grade for _, grade in each[1]}) > 1)
    return GradedQueries(mixed, texts.titles)


def titles_ndcg(graded: GradedQueries, queries: TextEncoder, items: TextEncoder) -> float:
    """Return the mean NDCG@10 of the order by the cosine of query and title."""
    titles = sorted({title for _, rated in graded.queries for title, _ in rated})
    vectors = dict(zip(titles, items.encode(titles), strict=True))
    query_vectors = np.vstack([queries.encode([query]) for query, _ in graded.queries])
    return _mean(
        [
            [float(vectors[title] @ vector) for title, _ in rated]
            for (_, rated), vector in zip(graded.queries, query_vectors, strict=True)
        ],
        graded.queries,
    )


def judge(bundle: Path, data: Path) -> str:
    """Return a Markdown table of the NDCG@10 of BM25, the teacher, the held-out students and the bundle.

    Raises:
        DataError: the data are missing or damaged, or the bundle has no held-out scores for them.
        BundleError: the bundle is damaged.
    """
    graded = read_graded(data)
    words = BM25(graded.titles)
    by_words = [words.scores(query, [title for title, _ in rated]).tolist() for query, rated in graded.queries]
    manifest = read_manifest(bundle)
    source = teacher_of(manifest.created_from)
    with TemporaryDirectory() as work:
        teacher = source.encoder(source.unpack(Path(work)))
    loader = Loader(bundle, manifest)
    shipped = titles_ndcg(graded, loader.encoder_for(QUERY), loader.encoder_for(CATALOGUE))
    rows = {
        "BM25": _mean(by_words, graded.queries),
        f"teacher, {source.precision}": titles_ndcg(graded, teacher, teacher),
    }
    if any(file.name == HELD_OUT for file in manifest.files):
        rows["student, queries it was not trained on"] = _mean(_held_out(bundle, graded.queries), graded.queries)
        rows["student as shipped, trained on these queries"] = shipped
    else:
        rows["student as shipped"] = shipped
    lines = [f"NDCG@10, titles only, {len(graded.queries)} queries with more than one grade.", "", "| | NDCG@10 |"]
    return "\n".join([*lines, "|---|---|", *(f"| {name} | {value:.4f} |" for name, value in rows.items())])


def _held_out(bundle: Path, queries: Sequence[GradedQuery]) -> list[list[float]]:
    path = bundle / HELD_OUT
    try:
        scores = msgspec.json.decode(path.read_bytes(), type=HeldOut).scores
        found = [scores[query] for query, _ in queries]
    except (OSError, msgspec.DecodeError, KeyError) as error:
        raise DataError(f"{path}: required scores by students not trained on these queries, got: {error}") from error
    if any(len(known) != len(rated) for known, (_, rated) in zip(found, queries, strict=True)):
        raise DataError(f"{path}: required scores for the ratings in the data folder, got scores for others")
    return found


def _mean(scores: Sequence[Sequence[float]], queries: Sequence[GradedQuery]) -> float:
    each = (
        ndcg(np.array(known), np.array([grade for _, grade in rated]))
        for known, (_, rated) in zip(scores, queries, strict=True)
    )
    return float(np.mean(list(each)))
