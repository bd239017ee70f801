"""Profiles of a small shop's streams, for the tests of the Data page."""

from __future__ import annotations

import msgspec

from inference.types import Item
from streams.assets.collector import Collector
from streams.assets.fields import REFUSED
from streams.assets.profile import ROBOT, UNKNOWN_ITEM, Observation, Stream
from streams.assets.snapshots import Snapshot
from streams.worker.asset_path import AssetPath
from tests.streams.assets.streams import observed
from tests.streams.shoppers import act, search

INTERVAL_MS = 20_000
SECRET = "jo.smith@mail.example"


def fill(path: AssetPath, now_ms: int, producer: str = "shop-app", value: str = "phone") -> None:
    """Let a worker read and judge three intervals: of `producer`, a fifth of the messages of `clicks` is refused.

    They have searches, views and purchases of two producers, refused messages, unknown items, and items. `value` is
    the value of `context.device`.
    """
    for snapshot in snapshots(now_ms, producer, value):
        window = path.history.apply(snapshot)
        assert window is not None
        path.quality.observe(snapshot, window)
    path.quality.evaluate(now_ms)


def snapshots(now_ms: int, producer: str = "shop-app", value: str = "phone") -> list[Snapshot]:
    """Return the snapshots of three intervals until now."""
    start_ms = now_ms - 3 * INTERVAL_MS
    collector, made = Collector(f"worker-{now_ms}", start_ms), list[Snapshot]()
    for interval in range(3):
        at_ms = start_ms + interval * INTERVAL_MS
        for each in ("shop-web", producer):
            collector.observe(_of_shoppers(at_ms, each, value, is_wrong=each == producer))
        collector.observe(_items(at_ms))
        made += collector.take(at_ms + INTERVAL_MS)
    return made


def _of_shoppers(at_ms: int, producer: str, value: str, *, is_wrong: bool) -> list[Observation]:
    views = [
        observed(
            msgspec.structs.replace(
                act("view", f"i{number % 7}", at_ms + number, user_id=f"secret-{number % 40}"),
                context={"device": value, "page": number, "note": SECRET if number % 10 == 0 else "gift"},
            ),
            producer,
        )
        for number in range(100)
    ]
    if is_wrong:
        views[:25] = [each._replace(marks=(UNKNOWN_ITEM,)) for each in views[:25]]
    bought = [
        observed(
            msgspec.structs.replace(
                act("purchase", "i1", at_ms + number, user_id="secret-1"), price=2.0 + number if number % 2 else None
            ),
            producer,
            marks=(ROBOT,) if number == 0 else (),
        )
        for number in range(20)
    ]
    searches = [observed(search("a secret wish", at_ms + number), producer) for number in range(10)]
    refused = [
        Observation(Stream("clicks", REFUSED, producer), None, 9, 0, at_ms + number, "not_json") for number in range(30)
    ]
    return views + bought + searches + refused * is_wrong


def _items(at_ms: int) -> list[Observation]:
    return [
        observed(Item(item_id=f"i{number}", title="A tent", category=("Camping", "Tents"), price=99.5), at_ms=at_ms)
        for number in range(8)
    ]
