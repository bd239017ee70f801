"""Continuous load while a test changes the workers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import chain, count

from streams.contracts.messages import Interaction, Search
from tests.integration.catalogue_items import random_events
from tests.integration.shop_client import ShopClient


class LoadGenerator:
    """Publishes events of many shoppers at a steady rate, without waiting for lists."""

    def __init__(self) -> None:
        self.sent: list[Interaction] = []

    @classmethod
    @asynccontextmanager
    async def running(
        cls, shop: ShopClient, *, pause_seconds: float, shoppers: int = 40, only: type[Search] | None = None
    ) -> AsyncIterator[LoadGenerator]:
        """Publish events of alternating shoppers until the block ends. Searches alone do not change behaviour."""
        load, stopped = cls(), asyncio.Event()
        publishing = asyncio.create_task(load._publish(shop, shoppers, pause_seconds, stopped, only))
        try:
            yield load
        finally:
            stopped.set()
            await publishing

    async def _publish(
        self, shop: ShopClient, shoppers: int, pause_seconds: float, stopped: asyncio.Event, only: type[Search] | None
    ) -> None:
        rounds = (
            zip(*(random_events(f"shopper-{n}", 50, seed) for n in range(shoppers)), strict=True) for seed in count()
        )
        for event in chain.from_iterable(chain.from_iterable(rounds)):
            if stopped.is_set():
                return
            if only is not None and not isinstance(event, only):
                continue
            await shop.publish_event(event)
            self.sent.append(event)
            await asyncio.sleep(pause_seconds)
