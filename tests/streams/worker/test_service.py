"""Texts of the worker's log: partitions."""

from __future__ import annotations

import pytest
from faust.types import TP

from streams.worker.service import partitions_text, ranges


@pytest.mark.parametrize(
    ("numbers", "expected"), [([], ""), ([3], "3"), ([5, 0, 1, 2, 7], "0-2 5 7"), ([1, 0], "0-1"), ([0, 2, 4], "0 2 4")]
)
def test_consecutive_partitions_are_written_as_ranges(numbers: list[int], expected: str) -> None:
    assert ranges(numbers) == expected


def test_partitions_are_listed_by_topic_without_changelogs() -> None:
    partitions = {TP("searches", 1), TP("clicks", 0), TP("clicks", 1), TP("shop-profiles-changelog", 0)}
    assert partitions_text(partitions) == "clicks 0-1, searches 1"
    assert partitions_text(set()) == "none"
