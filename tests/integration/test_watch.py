"""The monitoring of a worker on a real Kafka: stages, lag, state, and readiness."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from streams.contracts.messages import Interaction, Search
from streams.contracts.serde import encode_json
from streams.kafka.clients import client_options
from streams.metrics import STAGES
from tests.integration.crowd import Crowd
from tests.integration.goods import catalogue, stroll
from tests.integration.shop import Shop
from tests.integration.workers import WorkerProcess, serving, until, worker

pytestmark = pytest.mark.kafka

MINUTE = 60.0


async def test_a_worker_under_load_tells_how_it_does(
    kafka: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    settings = serving(kafka, request.node.name)
    topics = (settings.topics.clicks, settings.topics.searches, settings.topics.items, settings.topics.item_pairs)
    async with Shop.opened(settings) as shop, worker(settings, tmp_path) as running:
        await shop.stock(catalogue())
        await running.knows(len(catalogue()))
        async with Crowd.acting(shop, pause_seconds=0.005) as crowd:
            await until(lambda: len(shop.answers) > 200, "the worker is under load")
        await shop.answered(crowd.sent)

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
        # An estimate: what was written twice may count twice until it is compacted.
        shoppers, keys = (
            {event.user_id for event in crowd.sent},
            'intentstream_rocksdb_estimated_keys{table="profiles"}',
        )

        async def counted_all() -> bool:
            return await running.metric(keys) >= len(shoppers)

        await until(counted_all, "the profiles are counted")
        # What was answered is committed within an interval, and seen at the next look.
        for topic in topics:
            await running.shows(f'intentstream_consumer_lag_seconds{{topic="{topic}"}}', 0)
            for partition in range(settings.topics.partitions):
                place = f'{{partition="{partition}",topic="{topic}"}}'
                await running.shows(f"intentstream_consumer_lag_records{place}", 0)


async def test_the_marker_that_ends_a_transaction_is_no_lag(
    kafka: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    settings = serving(kafka, request.node.name, partitions=1)
    event, *_ = stroll("shopper", 1)
    topic = settings.topics.searches if isinstance(event, Search) else settings.topics.clicks
    lag = {name: f"intentstream_consumer_lag_{name}" for name in ("seconds", "records")}
    async with Shop.opened(settings) as shop, worker(settings, tmp_path) as running:
        producer = AIOKafkaProducer(**client_options(settings.kafka), transactional_id=request.node.name)
        await producer.start()
        try:
            async with producer.transaction():
                await producer.send_and_wait(topic, encode_json(event), event.user_id.encode())
        finally:
            await producer.stop()
        await shop.answered([event])
        await running.shows(f'intentstream_consumer_offset{{partition="0",topic="{topic}"}}', 1)
        await running.shows(f'{lag["records"]}{{partition="0",topic="{topic}"}}', 0)
        assert await running.metric(f'{lag["seconds"]}{{topic="{topic}"}}') == 0


async def test_it_is_ready_when_it_serves_and_lives_from_the_start(
    kafka: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    settings = serving(kafka, request.node.name)
    async with Shop.opened(settings) as shop:
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
            await shop.happens(stroll("shopper", 1)[0])
            assert await process.stop() == 0
        finally:
            process.close()


async def test_the_lag_of_what_waited_while_nobody_served_is_told_by_its_age(
    kafka: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    # One event is in flight at a time. Events go on coming, faster than that, until the worker has seen that they wait.
    settings = serving(kafka, request.node.name, max_in_flight=1)
    async with Shop.opened(settings) as shop:
        events: list[Interaction] = []

        async def more(shoppers: int) -> None:
            for _ in range(shoppers):
                for event in stroll(f"shopper-{len(events)}", 10):
                    await shop.happens(event)
                    events.append(event)

        await more(20)
        process = WorkerProcess(settings, tmp_path)
        try:
            process.start()
            await process.ready()
            lag = f'intentstream_consumer_lag_seconds{{topic="{settings.topics.clicks}"}}'

            async def behind() -> bool:
                await more(5)
                return await process.metric(lag) > 0

            await until(behind, "the lag shows")
            await shop.answered(events)
            await process.shows(lag, 0)
        finally:
            process.close()
