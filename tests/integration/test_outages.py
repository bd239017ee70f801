"""Outages of Kafka, and too little CPU: a worker ends in bounded time, and no profile lacks anything."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from inference.bundle import Bundle
from streams.settings import load_settings
from tests.conftest import running_broker
from tests.integration import profiles
from tests.integration.brokers import KafkaBroker
from tests.integration.catalogue_items import catalogue, random_events
from tests.integration.shop_client import ShopClient
from tests.integration.workers import WorkerProcess, until, worker, worker_settings

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

OUTAGE_S, MOST_LINES = 15, 30
"""Length of an outage, and most lines of a worker's log in it. The clients log over a hundred lines a second."""
RUNS_S, STOPS_S = 0.02, 0.2
"""Turns of a starved worker."""
DEFAULT_DEADLINE_MS = load_settings(env_file=None).latency.scoring_deadline_ms


@pytest.fixture
def own_kafka() -> Iterator[KafkaBroker]:
    """A broker of this test alone, which may kill it."""
    yield from running_broker(KafkaBroker())


async def test_a_worker_without_brokers_logs_little_and_ends_in_bounded_time(
    own_kafka: KafkaBroker, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    settings = worker_settings(own_kafka.bootstrap_servers, request.node.name, trending_interval_seconds=1.0)
    running = WorkerProcess(settings, tmp_path)
    try:
        async with ShopClient.connected(settings) as shop:
            running.start()
            await running.wait_until_ready()
            await shop.publish_items(catalogue())
            await running.wait_for_items(len(catalogue()))
            lag = f'intentstream_consumer_lag_records{{partition="0",topic="{settings.topics.clicks}"}}'
            await running.wait_for_metric(lag, 0)  # the brokers have answered
            # More events at once than the worker answers before the brokers are gone: some are in flight then.
            history = [event for number in range(1000) for event in random_events(f"shopper-{number}", 4)]
            await asyncio.gather(*map(shop.publish_event, history))
            own_kafka.kill()
            assert len(shop.lists) < len(history)
        before = len(running.log.splitlines())
        await until(lambda: "no answer from Kafka for" in running.log, "the outage is noticed")
        began = time.monotonic()
        await until(lambda: time.monotonic() > began + OUTAGE_S, "the outage lasts")
        assert len(running.log.splitlines()) - before < MOST_LINES
        assert await running.stop(timeout_s=60) == 1
        # It ends by the drain, or by the answer of a request that met the outage: both say what to do.
        assert "check the brokers" in running.log.splitlines()[-1].casefold()
    finally:
        running.close()


async def test_lists_of_events_that_waited_for_long_have_no_deadline(
    kafka: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    # Every batch is late.
    settings = worker_settings(kafka, request.node.name, scoring_deadline_ms=0.001, catch_up_seconds=3.0)
    waiting = [event for number in range(20) for event in random_events(f"shopper-{number}", 5)]
    async with ShopClient.connected(settings) as shop, worker(settings, tmp_path) as running:
        await shop.publish_items(catalogue())
        await running.wait_for_items(len(catalogue()))
        assert await running.stop() == 0
        for event in waiting:
            await shop.publish_event(event)
        published = time.monotonic()
        await until(lambda: time.monotonic() > published + 3.0, "the events are old")
        running.start()
        await shop.wait_for_lists(waiting)
        assert {shop.lists[event.event_id][0].fallback for event in waiting} == {None}
        new = [event for number in range(40) for event in random_events(f"new-{number}", 2)]
        for event in new:
            await shop.publish_event(event)
        await shop.wait_for_lists(new)
        assert "deadline_exceeded" in {shop.lists[event.event_id][0].fallback for event in new}
        assert await running.stop() == 0


@asynccontextmanager
async def starved(victim: WorkerProcess) -> AsyncIterator[None]:
    """Let a worker run and stop in turns for the block, so that it gets a tenth of a CPU."""

    async def take_turns() -> None:
        while True:
            victim.process.send_signal(signal.SIGSTOP)
            await asyncio.sleep(STOPS_S)
            victim.process.send_signal(signal.SIGCONT)
            await asyncio.sleep(RUNS_S)

    turns = asyncio.create_task(take_turns())
    try:
        yield
    finally:
        turns.cancel()
        victim.process.send_signal(signal.SIGCONT)


async def test_a_starved_worker_sends_fallbacks_and_folds_every_vector(
    kafka: str, request: pytest.FixtureRequest, bundle: Bundle, tmp_path: Path
) -> None:
    settings = worker_settings(kafka, request.node.name, scoring_deadline_ms=DEFAULT_DEADLINE_MS)
    async with ShopClient.connected(settings) as shop:
        running = WorkerProcess(settings, tmp_path)
        try:
            running.start()
            await running.wait_until_ready()
            await shop.publish_items(catalogue())
            await running.wait_for_items(len(catalogue()))
            history = [event for number in range(60) for event in random_events(f"shopper-{number}", 10)]
            async with starved(running):
                for event in history:
                    await shop.publish_event(event)
                    await asyncio.sleep(0.002)
                await shop.wait_for_lists(history)
            fallbacks = [shop.lists[event.event_id][0].fallback for event in history]
            assert set(fallbacks) <= {None, "deadline_exceeded"}
            assert "deadline_exceeded" in fallbacks
            assert await running.stop() == 0
        finally:
            running.close()
        profiles.assert_same(await profiles.changelog(settings), await profiles.expected(settings, bundle), bundle)
