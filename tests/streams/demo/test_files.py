"""The files of the demo: events in order of time, or interleaved for a replay at a constant rate."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner

from streams.contracts.jsonlines import read_events, read_items
from streams.contracts.messages import Interaction
from streams.demo.files import main
from streams.demo.words import LANGUAGES

EVENTS = 1500


def written(folder: Path, *options: str) -> list[Interaction]:
    """Write the files of a small shop, and return its events in the order of the file."""
    arguments = [str(folder), "--items", "500", "--households", "40", "--events", str(EVENTS), *options]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    items = list(read_items(folder / "items.jsonl"))
    events = [line.message for line in read_events(folder / "events.jsonl")]
    assert f"{len(items)} items and {len(events)} interactions" in result.output
    return events


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_events_of_the_files_are_in_order_of_time(tmp_path: Path, language: str) -> None:
    ordered = written(tmp_path / "ordered", "--language", language)
    assert len(ordered) == EVENTS
    assert all(before.occurred_at <= after.occurred_at for before, after in pairwise(ordered))
    interleaved = written(tmp_path / "interleaved", "--language", language, "--interleaved")
    assert any(before.occurred_at > after.occurred_at for before, after in pairwise(interleaved))
    assert Counter(each.event_id for each in ordered) == Counter(each.event_id for each in interleaved)


def test_the_sort_keeps_the_order_of_a_receipts_purchases(tmp_path: Path) -> None:
    ordered, interleaved = written(tmp_path / "ordered"), written(tmp_path / "interleaved", "--interleaved")
    for user in {each.user_id for each in ordered}:
        ids = [[each.event_id for each in events if each.user_id == user] for events in (ordered, interleaved)]
        assert ids[0] == ids[1]
