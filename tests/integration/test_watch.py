"""The metrics of a worker on a real Kafka: stages, lag, state, and readiness."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from streams.contracts.messages import Interaction, Search
from streams.contracts.serde import encode_json
from streams.kafka.clients import client_options
from streams.outcomes import STAGES
from tests.integration.catalogue_items import catalogue, random_events
from tests.integration.load import LoadGenerator
from tests.integration.shop_client import ShopClient
from tests.integration.workers import WorkerProcess, until, worker, worker_settings

pytestmark = pytest.mark.kafka

MINUTE = 60.0


async def test_a_worker_under_load_exports_its_metrics(
    kafka: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    settings = worker_settings(kafka, request.node.name)
    topics = (settings.topics.clicks, settings.topics.searches, settings.topics.items, settings.topics.item_pairs)
    async with ShopClient.connected(settings) as shop, worker(settings, tmp_path) as running:
        await shop.publish_items(catalogue())
        await running.wait_for_items(len(catalogue()))
        async with LoadGenerator.running(shop, pause_seconds=0.005) as load:
            await until(lambda: len(shop.lists) > 200, "the worker is under load")
        await shop.wait_for_lists(load.sent)

        for stage in STAGES:
            assert await running.metric(f'intentstream_stage_duration_seconds_count{{stage="{stage}"}}') > 0, stage
        for trigger in ("search", "view"):
            assert await running.metric(f'intentstream_end_to_end_latency_seconds_count{{trigger="{trigger}"}}') > 0
        counted = [
            "batch_queue_seconds_count",
            'scorer_inference_seconds_count{provider="CPUExecutionProvider"}',
            "recommendation_score_count",
            "commit_seconds_count",
            "rebalances_total",
            "rebalance_seconds_count",
            "event_loop_lag_seconds_count",
            "data_free_bytes",
        ]
        for name in counted:
            assert await running.metric(f"intentstream_{name}") > 0, name
        assert await running.metric("intentstream_recovery_active") == 0
        assert 0 <= await running.metric("intentstream_catalogue_freshness_seconds") < 10 * MINUTE
        for topic in topics:
            assert (
                await running.metric(f'intentstream_assigned_partitions{{topic="{topic}"}}')
                == settings.topics.partitions
            )
        # An estimate: keys that were written twice may count twice until compaction.
        shoppers, keys = (
            {event.user_id for event in load.sent},
            'intentstream_rocksdb_estimated_keys{table="profiles"}',
        )

        async def counted_all() -> bool:
            return await running.metric(keys) >= len(shoppers)

        await until(counted_all, "the profiles are counted")
        # Answered events are committed within an interval. The next update of the metrics includes them.
        for topic in topics:
            await running.wait_for_metric(f'intentstream_consumer_lag_seconds{{topic="{topic}"}}', 0)
            for partition in range(settings.topics.partitions):
                labels = f'{{partition="{partition}",topic="{topic}"}}'
                await running.wait_for_metric(f"intentstream_consumer_lag_records{labels}", 0)


async def test_a_transaction_marker_does_not_count_as_lag(
    kafka: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    settings = worker_settings(kafka, request.node.name, partitions=1)
    event, *_ = random_events("shopper", 1)
    topic = settings.topics.searches if isinstance(event, Search) else settings.topics.clicks
    lag = {name: f"intentstream_consumer_lag_{name}" for name in ("seconds", "records")}
    async with ShopClient.connected(settings) as shop, worker(settings, tmp_path) as running:
        producer = AIOKafkaProducer(**client_options(settings.kafka), transactional_id=request.node.name)
        await producer.start()
        try:
            async with producer.transaction():
                await producer.send_and_wait(topic, encode_json(event), event.user_id.encode())
        finally:
            await producer.stop()
        await shop.wait_for_lists([event])
        await running.wait_for_metric(f'intentstream_consumer_offset{{partition="0",topic="{topic}"}}', 1)
        await running.wait_for_metric(f'{lag["records"]}{{partition="0",topic="{topic}"}}', 0)
        assert await running.metric(f'{lag["seconds"]}{{topic="{topic}"}}') == 0


async def test_a_worker_is_alive_before_it_is_ready(kafka: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    settings = worker_settings(kafka, request.node.name)
    async with ShopClient.connected(settings) as shop:
        process = WorkerProcess(settings, tmp_path)
        try:
            process.start()
            seen: set[tuple[int, int]] = set()

            async def serves() -> bool:
                seen.add(((await process.page("/livez"))[0], (await process.page("/readyz"))[0]))
                return (200, 200) in seen

            await until(serves, "it is ready")
            assert (200, 503) in seen
            assert {alive for alive, _ in seen} <= {0, 200}
            assert all(json.loads((await process.page("/readyz"))[1]).values())
            await shop.publish_event(random_events("shopper", 1)[0])
            assert await process.stop() == 0
        finally:
            process.close()


async def test_lag_in_seconds_includes_the_time_without_a_worker(
    kafka: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    # With one event in flight, events arrive faster than the worker processes them, until it reports a lag.
    settings = worker_settings(kafka, request.node.name, max_in_flight=1)
    async with ShopClient.connected(settings) as shop:
        events: list[Interaction] = []

        async def publish_events(shoppers: int) -> None:
            for _ in range(shoppers):
                for event in random_events(f"shopper-{len(events)}", 10):
                    await shop.publish_event(event)
                    events.append(event)

        await publish_events(20)
        process = WorkerProcess(settings, tmp_path)
        try:
            process.start()
            await process.wait_until_ready()
            lag = f'intentstream_consumer_lag_seconds{{topic="{settings.topics.clicks}"}}'

            async def is_behind() -> bool:
                await publish_events(5)
                return await process.metric(lag) > 0

            await until(is_behind, "the lag shows")
            await shop.wait_for_lists(events)
            await process.wait_for_metric(lag, 0)
        finally:
            process.close()
