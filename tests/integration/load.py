"""Continuous load while a test changes the workers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import chain, count, islice

from streams.contracts.messages import Interaction, Search
from tests.integration.catalogue_items import random_events
from tests.integration.shop_client import ShopClient


class LoadGenerator:
    """Publishes events of many shoppers at a steady rate, without waiting for lists."""

    def __init__(self) -> None:
        self.sent: list[Interaction] = []
        self._published = asyncio.Event()

    @classmethod
    @asynccontextmanager
    async def running(
        cls,
        shop: ShopClient,
        *,
        pause_seconds: float,
        at_once: int = 1,
        shoppers: int = 40,
        only: type[Search] | None = None,
    ) -> AsyncIterator[LoadGenerator]:
        """Publish events of alternating shoppers until the block ends: `at_once` of them, then a pause, and so on.

        Clients and workers need less CPU time for events that come together. Searches alone do not change behaviour.
        """
        load, stopped = cls(), asyncio.Event()
        rounds = (
            zip(*(random_events(f"shopper-{n}", 50, seed) for n in range(shoppers)), strict=True) for seed in count()
        )
        events = chain.from_iterable(chain.from_iterable(rounds))
        chosen = (event for event in events if only is None or isinstance(event, only))
        batches = iter(lambda: list(islice(chosen, at_once)), [])
        publishing = asyncio.create_task(load._publish(shop, batches, pause_seconds, stopped))
        try:
            yield load
        finally:
            stopped.set()
            await publishing

    async def wait_for_events(self) -> None:
        """Wait until the brokers have new events, which workers now process."""
        await self._published.wait()

    async def _publish(
        self, shop: ShopClient, batches: Iterator[list[Interaction]], pause_seconds: float, stopped: asyncio.Event
    ) -> None:
        for batch in batches:
            if stopped.is_set():
                return
            await shop.publish_events(batch)
            self.sent += batch
            self._published.set()
            self._published.clear()
            await asyncio.sleep(pause_seconds)
