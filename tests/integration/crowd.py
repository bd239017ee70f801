"""Shoppers who act while a test changes the workers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import chain, count

from streams.contracts.messages import Interaction, Search
from tests.integration.goods import stroll
from tests.integration.shop import Shop


class Crowd:
    """Shoppers who never wait for a list: events go out at a steady pace until the block ends."""

    def __init__(self) -> None:
        self.sent: list[Interaction] = []

    @classmethod
    @asynccontextmanager
    async def acting(
        cls, shop: Shop, *, pause_seconds: float, shoppers: int = 40, only: type[Search] | None = None
    ) -> AsyncIterator[Crowd]:
        """Let the shoppers act, in turn, as long as the block runs; who only searches teaches others nothing."""
        crowd, over = cls(), asyncio.Event()
        acting = asyncio.create_task(crowd._act(shop, shoppers, pause_seconds, over, only))
        try:
            yield crowd
        finally:
            over.set()
            await acting

    async def _act(
        self, shop: Shop, shoppers: int, pause_seconds: float, over: asyncio.Event, only: type[Search] | None
    ) -> None:
        days = (zip(*(stroll(f"shopper-{n}", 50, seed) for n in range(shoppers)), strict=True) for seed in count())
        for event in chain.from_iterable(chain.from_iterable(days)):
            if over.is_set():
                return
            if only is not None and not isinstance(event, only):
                continue
            await shop.happens(event)
            self.sent.append(event)
            await asyncio.sleep(pause_seconds)
