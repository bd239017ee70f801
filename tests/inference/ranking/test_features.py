"""The names of the features and their order, which the manifest of every bundle repeats."""

from __future__ import annotations

from inference.manifest_files import read_manifest
from inference.ranking.features import FEATURES, PLACED, SCORED
from inference.retrieval.sources import SOURCES
from tests.conftest import BUNDLE


def test_the_shipped_ranker_reads_features_that_exist_in_their_order() -> None:
    shipped = read_manifest(BUNDLE).features
    assert [name for name in FEATURES if name in shipped] == list(shipped)


def test_features_of_sources_are_those_of_the_table_of_sources() -> None:
    assert {source.score: source.name for source in SOURCES if source.score} == SCORED
    assert {source.place: source.name for source in SOURCES if source.place} == PLACED
    assert {source.similarity for source in SOURCES if source.similarity} < set(FEATURES)
    assert {name for source in SOURCES for name in source.features} < set(FEATURES)
    assert len(set(FEATURES)) == len(FEATURES)
