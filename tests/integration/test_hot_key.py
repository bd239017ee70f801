"""One shopper's burst on Apache Kafka: it is folded and answered, and the others of its partition get ranked lists."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from inference.bundle import Bundle
from streams.budget import RATE_LIMITED
from streams.contracts.messages import Interaction, Recommendations, View
from tests.integration.catalogue_items import catalogue
from tests.integration.profiles import assert_same, expected, on_disk
from tests.integration.shop_client import ShopClient
from tests.integration.workers import worker, worker_settings

BURST, STRANGERS = 8_000, 50
ROBOT = "robot"


@pytest.mark.kafka
async def test_a_burst_of_one_shopper_is_folded_and_labelled_and_strangers_get_ranked_lists(
    kafka: str, request: pytest.FixtureRequest, bundle: Bundle, tmp_path: Path
) -> None:
    settings = worker_settings(kafka, request.node.name, partitions=1)
    budget = settings.latency.shopper_lists_per_minute
    async with ShopClient.connected(settings) as shop, worker(settings, tmp_path) as running:
        await shop.publish_items(catalogue())
        await running.wait_for_items(len(catalogue()))
        burst = [_view(ROBOT, number) for number in range(BURST)]
        strangers = [_view(f"stranger-{number}", 0) for number in range(STRANGERS)]
        await shop.publish_events([*burst, *strangers])
        await shop.wait_for_lists([*burst, *strangers])
        repeated = await running.metric(f'intentstream_fallbacks_total{{reason="{RATE_LIMITED}"}}')
        profiles = await expected(settings, bundle)
        assert await running.stop() == 0

    assert [shop.lists[event.event_id][0].fallback for event in strangers] == [None] * STRANGERS
    answers = [shop.lists[event.event_id][0] for event in burst]
    assert len({answer.recommendation_id for answer in answers}) == BURST
    ranked = [answer for answer in answers if answer.fallback is None]
    assert {answer.fallback for answer in answers} == {None, RATE_LIMITED}
    # The broker's clock went on during the burst, so some lists more than the budget may be ranked.
    assert budget <= len(ranked) < BURST / 2
    assert repeated == BURST - len(ranked)
    _assert_repeats_the_last_list(answers)
    assert_same(on_disk(running.data_dir), profiles, bundle)


def _assert_repeats_the_last_list(answers: list[Recommendations]) -> None:
    last: Recommendations | None = None
    for answer in sorted(answers, key=lambda answer: answer.trigger.offset):
        if answer.fallback is None:
            last = answer
        assert last is not None
        assert answer.items == last.items


def _view(user_id: str, number: int) -> Interaction:
    items = catalogue()
    item_id = items[number * 7 % len(items)].item_id
    return View(event_id=f"{user_id}/{number}", user_id=user_id, occurred_at=datetime.now(UTC), item_id=item_id)
