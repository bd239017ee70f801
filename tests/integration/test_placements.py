"""Placements on Apache Kafka: an event has a list at each placement of its type, filtered by the catalogue's fields."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from streams.contracts.messages import Recommendations, View
from tests.integration.catalogue_items import catalogue
from tests.integration.shop_client import ShopClient
from tests.integration.workers import until, worker, worker_settings

FILE = """
[placements.brand]
k = 3
filter = {brands = ["BRAND"]}

[events]
view = ["default", "brand"]
"""


@pytest.mark.kafka
async def test_a_view_has_a_list_at_both_placements(kafka: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    items = {item.item_id: item for item in catalogue()}
    first = next(item for item in items.values() if item.brand is not None)
    file = tmp_path / "placements.toml"
    file.write_text(FILE.replace("BRAND", str(first.brand)))
    settings = worker_settings(kafka, request.node.name, placements_file=file)
    view = View(event_id="e1", user_id="u", occurred_at=datetime.now(UTC), item_id=first.item_id)
    async with ShopClient.connected(settings) as shop, worker(settings, tmp_path) as running:
        await shop.publish_items(list(items.values()))
        await running.wait_for_items(len(items))
        await shop.publish_events([view])
        await until(lambda: len(shop.lists.get("e1", ())) == 2, "two lists")
        assert await running.stop() == 0
    lists: list[Recommendations] = shop.lists["e1"]
    assert [each.placement for each in lists] == ["default", "brand"]
    assert len({each.recommendation_id for each in lists}) == 2
    matching = {item.item_id for item in items.values() if item.brand == first.brand and item.in_stock}
    own = {item.item_id for item in lists[1].items}
    assert own <= matching - {first.item_id}
    assert len(own) == min(3, len(matching - {first.item_id}))
