"""The monitor has bounded memory, and is not confused by newer workers, wrong clocks and rules without a reference."""

from __future__ import annotations

import msgspec
import pytest

from streams.assets.expectations import Expected
from streams.assets.history import AssetHistory
from streams.assets.profile import MOST_STREAMS, Observation, Stream
from streams.assets.records import MOST_AHEAD_MS, apply_record
from streams.assets.rules import parse_rules
from streams.assets.snapshots import HOUR_MS, encode_snapshot
from streams.errors import InvalidEvent
from tests.streams.assets.simulated import START_MS, Shop, Watched, item
from tests.streams.assets.streams import observed

MINUTE = 3
"""Intervals in a minute."""


def test_the_streams_of_a_monitor_are_bounded() -> None:
    watched, shop = Watched(), Shop(0, 3.0)
    for number in range(MOST_STREAMS):
        watched.run(shop, 1, producers=[f"p{number}"])
    assert len(watched.monitor.references) <= MOST_STREAMS + 6


def test_a_type_of_message_that_a_newer_worker_publishes_is_judged_without_its_fields() -> None:
    watched = Watched()
    watched.run(Shop(seed=1), 2 * MINUTE)
    (known,) = [each for each in watched.snapshots[-6:] if each.type == "click" and each.producer == "web"]
    for place in range(2 * MINUTE):
        watched.feed(msgspec.structs.replace(known, type="wishlist", worker=f"new-{place}"))
    watched.monitor.evaluate(watched.now_ms)
    wishlist = Stream(known.topic, "wishlist", known.producer)
    assert {each.kind for each in watched.monitor.expectations(wishlist)} >= {Expected.CLOCK, Expected.ROBOTS}


def test_a_distribution_from_a_file_is_judged_before_anything_is_learned() -> None:
    rules = parse_rules(
        '[[expectation]]\nkind = "drift"\nfield = "brand"\nvalues = ["b0", "b1"]\nshares = [0.5, 0.5, 0.0]\n', "file"
    )
    watched = Watched(rules)
    items = [observed(item(place)) for place in range(400)]
    assert [each.field for each in watched.step(items) + watched.step(items)] == ["brand"]


def test_a_stream_that_is_quiet_for_a_day_gives_its_place_to_a_new_one() -> None:
    watched = Watched()
    watched.step([observed(each.content, f"old-{place}") for place, each in enumerate(_clicks(MOST_STREAMS))])
    watched.step([observed(each.content, "new") for each in _clicks(1)])
    assert Stream("clicks", "click", "new") not in watched.monitor.references
    watched.now_ms += 25 * HOUR_MS
    watched.step([])
    watched.step([observed(each.content, "newest") for each in _clicks(1)])
    assert Stream("clicks", "click", "newest") not in watched.monitor.references  # nothing newer had come before it
    watched.step([observed(each.content, "newest") for each in _clicks(1)])
    assert Stream("clicks", "click", "newest") in watched.monitor.references
    assert len(watched.monitor.references) <= MOST_STREAMS + 1


def _clicks(number: int) -> list[Observation]:
    made = (each for each in Shop(seed=3, per_interval=200.0).interval(START_MS, "web"))
    return [each for each in made if each.stream.type == "click"][:number]


def test_a_snapshot_of_the_future_is_refused() -> None:
    watched = Watched()
    watched.run(Shop(seed=1), 2)
    snapshot, history = watched.snapshots[-1], AssetHistory()
    late = snapshot.until_ms - MOST_AHEAD_MS
    apply_record(history, watched.monitor, snapshot.key, encode_snapshot(snapshot), late)
    with pytest.raises(InvalidEvent, match="the clock of its worker is wrong"):
        apply_record(history, watched.monitor, snapshot.key, encode_snapshot(snapshot), late - 1)
    assert history.changes == 1
