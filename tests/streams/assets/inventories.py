"""An inventory of a small shop, for tests of what is made of inventories."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from inference.manifest_files import read_manifest
from inference.types import Item
from streams.asset_catalogue import topic_names
from streams.assets.building import inventory_of
from streams.assets.expectations import Finding
from streams.assets.inventory import BrokerFacts, GroupFacts, Inventory, TopicFacts
from streams.assets.observed import Observed
from streams.assets.profile import Observation, Stream
from streams.settings import load_settings
from tests.conftest import BUNDLE
from tests.streams.assets.streams import observed, profiles
from tests.streams.shoppers import NOW_MS, act, search

SETTINGS = load_settings(env_file=None)
NAMES = topic_names(SETTINGS)
EVIL = "<script>alert(1)</script>"
DAY_MS = 86_400_000


def messages() -> list[Observation]:
    """Return clicks of two producers, a search, items, and a refused message."""
    clicks = [
        observed(
            msgspec.structs.replace(
                act("click", f"i{place % 5}", NOW_MS + place, user_id=f"u{place % 7}"),
                price=None if place % 4 == 0 else float(place),
                context={"device": "phone", "page": place, "note": "to jo@example.com" if place == 8 else "gift"},
            ),
            producer=EVIL if place % 2 else "web",
        )
        for place in range(40)
    ]
    items = [
        observed(Item(item_id=f"i{n}", title="A tent", attributes={"colour": "red"}), producer="pim") for n in range(5)
    ]
    refused = Observation(Stream("clicks", "refused", "app"), None, 9, 0, NOW_MS, "not_json")
    return [*clicks, observed(search("red shoes")), *items, refused]


def broker() -> BrokerFacts:
    """Return what a broker knows about `clicks` and the compacted `items`, and that it refuses sizes."""
    clicks = TopicFacts(
        partitions=8, retention_ms=7 * DAY_MS, cleanup="delete", size_bytes=None, records=41, last_hour=36,
        first_ms=NOW_MS - DAY_MS, last_ms=NOW_MS,
    )  # fmt: skip
    items = TopicFacts(partitions=8, retention_ms=7 * DAY_MS, cleanup="compact", size_bytes=123, records=5, last_hour=0)
    groups = (
        GroupFacts(name=SETTINGS.kafka.app_id, members=2, lag={"clicks": 3, "searches": 0}),
        GroupFacts(name="warehouse", members=None, lag={"clicks": 1000}),
    )
    return BrokerFacts(topics={"clicks": clicks, "items": items}, groups=groups, unknown={"size": "the brokers refuse"})


def small_inventory(
    given: Sequence[Observation] | None = None,
    *,
    facts: BrokerFacts | None = None,
    sources: Iterable[str] | None = None,
    findings: tuple[Finding, ...] = (),
) -> Inventory:
    """Return the inventory of these messages."""
    found = profiles(messages() if given is None else given)
    return inventory_of(
        Observed(
            app_id=SETTINGS.kafka.app_id,
            now_ms=NOW_MS + 1000,
            names=NAMES,
            partitions=dict.fromkeys(NAMES, 8),
            profiles=found,
            window=found,
            hourly={stream: [0, profile.messages] for stream, profile in found.items()},
            since_ms=NOW_MS,
            broker=broker() if facts is None else facts,
            manifest=read_manifest(BUNDLE),
            sources=SETTINGS.retrieval.sources if sources is None else tuple(sources),
            findings=findings,
        )
    )
